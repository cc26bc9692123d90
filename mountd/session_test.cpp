#include "mountd/session.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "format/image.h"
#include "mountd/attachment.h"
#include "mountd/fuse_mount.h"
#include "mountd/mount_table.h"
#include "mountd/subprocess.h"

namespace firn {
namespace {

namespace fs = std::filesystem;

constexpr int kThreads = 8;

std::string Contents(const fs::path& path) {
  const FileDescriptor file = OpenFile(path.string(), O_RDONLY, ErrorKind::kInput);
  std::string bytes(FileSize(file.get()), '\0');
  bytes.resize(ReadAt(file.get(), 0, std::as_writable_bytes(std::span(bytes))));
  return bytes;
}

// Relative path to type, size or target, and contents of everything below a directory.
std::map<std::string, std::string> Everything(const fs::path& root) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const std::string name = entry.path().lexically_relative(root).string();
    if (entry.is_symlink()) {
      all[name] = "symlink to " + fs::read_symlink(entry.path()).string();
    } else if (entry.is_directory()) {
      all[name] = "directory";
    } else {
      all[name] = "file: " + Contents(entry.path());
    }
  }
  return all;
}

// An image that is mounted and served by threads of this process.
class Served {
 public:
  Served(const Image& image, const std::string& target, ViewKind view)
      : image_(image),
        attachment_(
            Attachment::Mount(target, {.image = image.path(),
                                       .view = view,
                                       .start = [this](FileDescriptor fuse, RootLayout layout) {
                                         Start(std::move(fuse), layout);
                                       }})) {
    attachment_->TakePusherPlace();  // nobody prefetches
  }
  ~Served() { attachment_.reset(); }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

  const Session& session() const { return *session_; }
  Attachment::Unmounted Unmount() { return attachment_->Unmount(); }

 private:
  void Start(FileDescriptor fuse, RootLayout layout) {
    fuse_ = std::move(fuse);
    tree_.emplace(layout);
    tree_->Attach(std::make_shared<AttachedImage>(SlotNumber{1}, Borrowed(image_), 4));
    session_ = std::make_unique<Session>(*tree_, fuse_.get(), memory_, ServeOptions{.threads = 4});
    session_->Start();
  }

  const Image& image_;
  SessionMemory memory_;
  std::optional<Tree> tree_;
  FileDescriptor fuse_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Attachment> attachment_;
};

// A tree, an image of it made by mksquashfs, and a place to mount it that only this process sees.
class SessionTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) != 0) {
      GTEST_SKIP() << "mounting takes root and /dev/fuse";
    }
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      GTEST_SKIP() << "no private mount namespace can be made here";
    }
    std::string pattern = testing::TempDir() + "firn-session-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    MakeTree();
    const pid_t pid = Spawn({"mksquashfs", tree(), image_path(), "-noappend", "-quiet",
                             "-no-progress", "-comp", "zstd", "-b", "16384"},
                            {});
    ASSERT_GT(pid, 0);
    ASSERT_EQ(WaitForExit(pid), 0);
    cache_ = std::make_unique<BlockCache>(size_t{64} << 20);
    image_ = Image::Open(OpenFile(image_path(), O_RDONLY, ErrorKind::kInput), image_path(), *cache_,
                         {.allow_foreign = true});
  }
  void TearDown() override {
    if (!directory_.empty()) fs::remove_all(directory_);
  }

  void MakeTree() const {
    for (int d = 0; d < 20; ++d) {
      const fs::path directory = fs::path(tree()) / ("directory" + std::to_string(d));
      fs::create_directories(directory);
      for (int f = 0; f < 20; ++f) {
        std::ofstream file(directory / ("file" + std::to_string(f)), std::ios::binary);
        for (int line = 0; line < d * f * 3; ++line) file << d << ' ' << f << ' ' << line << '\n';
      }
      fs::create_symlink("file0", directory / "symlink");
    }
    std::ofstream sparse(fs::path(tree()) / "sparse", std::ios::binary);
    sparse.seekp(5 << 20);
    sparse << "end";
    fs::create_directories(mount_point());
  }

  std::string tree() const { return directory_ + "/tree"; }
  std::string image_path() const { return directory_ + "/image"; }
  std::string mount_point() const { return directory_ + "/mount"; }

  std::unique_ptr<Served> Mount(ViewKind view) const {
    return std::make_unique<Served>(*image_, mount_point(), view);
  }

  static bool Ended(const Served& served, int timeout_ms) {
    pollfd entry{served.session().ended_fd(), POLLIN, 0};
    return poll(&entry, 1, timeout_ms) == 1;
  }

  std::string directory_;
  std::unique_ptr<BlockCache> cache_;
  std::unique_ptr<const Image> image_;
};

class SessionViewTest : public SessionTest, public testing::WithParamInterface<ViewKind> {};

INSTANTIATE_TEST_SUITE_P(, SessionViewTest, testing::Values(ViewKind::kOverlay, ViewKind::kDirect),
                         [](const auto& view) { return std::string(ToString(view.param)); });

TEST_P(SessionViewTest, ManyThreadsReadEverything) {
  const auto expected = Everything(tree());
  const std::unique_ptr<Served> attachment = Mount(GetParam());
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] { right += Everything(mount_point()) == expected ? 1 : 0; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, kThreads);
  EXPECT_EQ(attachment->session().errors().damaged, 0u);
  EXPECT_EQ(attachment->session().errors().other, 0u);
}

TEST_P(SessionViewTest, UnmountEndsIt) {
  const std::unique_ptr<Served> attachment = Mount(GetParam());
  Everything(mount_point());
  EXPECT_FALSE(Ended(*attachment, 0));
  EXPECT_EQ(attachment->Unmount(), Attachment::Unmounted::kGone);
  EXPECT_TRUE(Ended(*attachment, 10'000));
  EXPECT_TRUE(fs::is_empty(mount_point()));
}

TEST_P(SessionViewTest, APlainUnmountEndsIt) {
  const std::unique_ptr<Served> attachment = Mount(GetParam());
  ASSERT_EQ(umount2(mount_point().c_str(), 0), 0);
  EXPECT_TRUE(Ended(*attachment, 10'000));
  EXPECT_EQ(attachment->Unmount(), Attachment::Unmounted::kGone);
}

TEST_P(SessionViewTest, WhoUsesItIsServedAfterTheUnmount) {
  const std::string expected = Contents(fs::path(tree()) / "directory19/file19");
  const std::unique_ptr<Served> attachment = Mount(GetParam());
  {
    const FileDescriptor open_file =
        OpenFile(mount_point() + "/directory19/file19", O_RDONLY, ErrorKind::kInput);
    EXPECT_EQ(attachment->Unmount(), Attachment::Unmounted::kInUse);
    EXPECT_TRUE(fs::is_empty(mount_point()));
    EXPECT_FALSE(Ended(*attachment, 0));
    std::string got(expected.size() + 1, '\0');
    got.resize(ReadAt(open_file.get(), 0, std::as_writable_bytes(std::span(got))));
    EXPECT_EQ(got, expected);
  }
  EXPECT_TRUE(Ended(*attachment, 10'000));
}

TEST_P(SessionViewTest, ItsEndTakesTheMountAway) {
  Mount(GetParam());
  EXPECT_FALSE(FindMount(ReadMountTable(), mount_point()));
  EXPECT_TRUE(fs::is_empty(mount_point()));
}

TEST_P(SessionViewTest, AMountOnTopIsLeftAlone) {
  const std::unique_ptr<Served> attachment = Mount(GetParam());
  ASSERT_EQ(mount("covering", mount_point().c_str(), "tmpfs", 0, nullptr), 0);
  EXPECT_EQ(attachment->Unmount(), Attachment::Unmounted::kCovered);
  EXPECT_EQ(FindMount(ReadMountTable(), mount_point())->source, "covering");
  ASSERT_EQ(umount2(mount_point().c_str(), 0), 0);
  EXPECT_EQ(attachment->Unmount(), Attachment::Unmounted::kGone);
}

TEST_P(SessionViewTest, ShowsModesLinksAndNumbers) {
  const std::unique_ptr<Served> attachment = Mount(GetParam());
  struct stat root {};
  struct stat file {};
  ASSERT_EQ(stat(mount_point().c_str(), &root), 0);
  EXPECT_EQ(root.st_nlink, 22u);  // itself, "." and twenty directories
  ASSERT_EQ(stat((mount_point() + "/sparse").c_str(), &file), 0);
  EXPECT_EQ(file.st_size, (5 << 20) + 3);
  EXPECT_EQ(file.st_dev, root.st_dev);
  EXPECT_LE(file.st_blocks, 64);
}

TEST_P(SessionViewTest, EachBlockIsDecodedOnce) {
  const std::unique_ptr<Served> attachment = Mount(GetParam());
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back([this] { Everything(mount_point()); });
  for (std::thread& thread : threads) thread.join();
  const BlockCache::Statistics together = cache_->statistics();
  // The same work for one reader alone, of another cache.
  BlockCache alone(size_t{64} << 20);
  const std::unique_ptr<const Image> image =
      Image::Open(OpenFile(image_path(), O_RDONLY, ErrorKind::kInput), image_path(), alone,
                  {.allow_foreign = true});
  EXPECT_EQ(attachment->Unmount(), Attachment::Unmounted::kGone);
  const Served second(*image, mount_point(), GetParam());
  Everything(mount_point());
  for (const BlockKind kind : {BlockKind::kData, BlockKind::kFragment}) {
    const auto index = static_cast<size_t>(kind);
    EXPECT_GT(together.decoded[index], 0u);
    EXPECT_EQ(together.decoded[index], alone.statistics().decoded[index]);
  }
}

TEST_F(SessionTest, AWarmReaderSendsNoRequest) {
  const std::unique_ptr<Served> attachment = Mount(ViewKind::kOverlay);
  Everything(mount_point());
  auto before = attachment->session().requests().Snapshot();
  Everything(mount_point());
  // A kernel in want of memory may forget some of it, but not time after time.
  for (int i = 0; i < 10 && attachment->session().requests().Snapshot() != before; ++i) {
    before = attachment->session().requests().Snapshot();
    Everything(mount_point());
  }
  EXPECT_EQ(attachment->session().requests().Snapshot(), before);
}

TEST_F(SessionTest, AMissIsRemembered) {
  const std::unique_ptr<Served> attachment = Mount(ViewKind::kOverlay);
  struct stat status {};
  for (int i = 0; i < 5; ++i) {
    EXPECT_NE(stat((mount_point() + "/missing").c_str(), &status), 0);
    EXPECT_EQ(errno, ENOENT);
  }
  // One for the view's directory, one for the miss.
  EXPECT_EQ(attachment->session().requests().Snapshot().at("LOOKUP"), 2u);
}

TEST_F(SessionTest, ADescriptorThatIsNotMountedIsRefused) {
  const Tree tree(RootLayout::kImageIsRoot);
  const FileDescriptor fuse = OpenFuseDevice();
  const SessionMemory memory;
  Session session(tree, fuse.get(), memory, {.threads = 2});
  EXPECT_THROW(session.Start(), Error);
}

TEST_F(SessionTest, AMountPointThatVanishedLeavesNothing) {
  fs::remove(mount_point());
  for (const ViewKind view : {ViewKind::kOverlay, ViewKind::kDirect}) {
    EXPECT_THROW(Mount(view), Error);
  }
}

}  // namespace
}  // namespace firn
