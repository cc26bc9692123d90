// Every bit of a small image flipped, every length that it can be cut to.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "format/appendix.h"
#include "format/block_cache.h"
#include "format/error.h"
#include "format/image.h"
#include "format/key.h"
#include "format/layout.h"
#include "format/parallel.h"
#include "format/sign_image.h"
#include "format/test_image.h"
#include "format/verify.h"

namespace firn {
namespace {

// Sanitizers make each flip ten times as slow: one bit of each byte then, all of them otherwise,
// and of the slower trials every byte or one of so many.
#ifdef FIRN_SANITIZED
constexpr unsigned kBitsOfEachByte = 1;
constexpr uint64_t kDeepStride = 7;
#else
constexpr unsigned kBitsOfEachByte = 8;
constexpr uint64_t kDeepStride = 1;
#endif

// What an image shows, by path; errors take the place of nothing.
struct Shown {
  std::map<std::string, std::string> answers;
  size_t errors = 0;
};

// Asks an image everything that it can be asked, without stopping at errors.
class Questioner {
 public:
  explicit Questioner(const Image& image) : image_(image) {}

  Shown Ask() {
    AskFor("profile", [&] {
      const auto profile = Appendix::ReadImage(image_.fd(), image_.path()).ReadProfile(image_.fd());
      return profile ? profile->ToText() : "none";
    });
    AskFor("manifest", [&] { return image_.manifest_yaml(); });
    Inode root;
    AskFor("/", [&] {
      root = image_.GetInode(image_.root());
      return Attributes(root);
    });
    if (root.IsDirectory()) List(root, "");
    return std::move(shown_);
  }

 private:
  template <typename Question>
  void AskFor(const std::string& path, Question&& question) {
    try {
      shown_.answers[path] = question();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kDamaged) << error.what();
      EXPECT_EQ(error.path(), image_.path());
      EXPECT_TRUE(error.offset()) << error.what();
      shown_.answers.erase(path);
      ++shown_.errors;
    }
  }

  void List(const Inode& directory, const std::string& prefix) {
    std::vector<std::pair<std::string, InodeNumber>> entries;
    AskFor(prefix + "/.", [&] {
      image_.ListDirectory(directory, 0, [&](const DirectoryEntry& entry) {
        entries.emplace_back(entry.name, entry.inode);
        return true;
      });
      return std::to_string(entries.size());
    });
    AskFor(prefix + "/missing",
           [&] { return image_.Lookup(directory, "missing") ? "there" : "not there"; });
    for (const auto& [name, number] : entries) {
      const std::string path = prefix + "/" + name;
      Inode inode;
      AskFor(path, [&, &n = name] {
        inode = image_.GetInode(image_.Lookup(directory, n).value());
        EXPECT_EQ(inode.number, number) << path;
        return Attributes(inode);
      });
      if (inode.IsDirectory()) List(inode, path);
      if (inode.IsSymlink()) AskFor(path + " target", [&] { return image_.ReadLink(inode); });
      if (inode.IsRegular() && inode.number != InodeNumber{}) AskForFile(inode, path);
    }
  }

  void AskForFile(const Inode& file, const std::string& path) {
    AskFor(path + " content", [&] { return ContentOf(image_, file); });
    AskFor(path + " digest", [&] { return ToHex(image_.FileDigest(file.number)); });
    AskFor(path + " equals", [&] {
      const FileRange range = image_.FilesWithDigest(image_.FileDigest(file.number));
      return std::to_string(range.count) + " from " +
             std::to_string(ToInt(image_.FileInDigestOrder(range.first)));
    });
  }

  static std::string Attributes(const Inode& inode) {
    std::string text;
    for (const uint64_t number :
         {uint64_t{ToInt(inode.number)}, uint64_t{inode.mode}, uint64_t{inode.uid},
          uint64_t{inode.gid}, static_cast<uint64_t>(inode.mtime), uint64_t{inode.link_count},
          inode.size, uint64_t{inode.device}}) {
      text += std::to_string(number) + " ";
    }
    return text;
  }

  const Image& image_;
  Shown shown_;
};

// An image with something of every kind, signed, and as small as that can be.
class DamagedImage : public testing::Test {
 protected:
  // What damage at a place does to who reads the image.
  enum class Effect { kRefused, kUnreadable, kRefusedOrUnreadable, kNothing };

  static void SetUpTestSuite() {
    TestImages images;
    std::mt19937 random(3);
    std::string noise(300, '\0');
    for (char& c : noise) c = static_cast<char>(random());
    const std::string path = (images.directory() / "image").string();
    const std::vector<TestImages::File> files = {
        {.path = "blocks", .content = std::string(4096, 'b') + noise},
        {.path = "directory/link", .content = {}, .symlink_target = "../blocks"},
        {.path = "directory/program", .content = "#!/bin/sh\n", .permissions = 0755},
        {.path = "hole", .content = std::string(8192, '\0') + "end"},
        {.path = "same", .content = "#!/bin/sh\n"},
        {.path = "second", .content = {}, .link_to = "blocks"}};
    images.Write("image", files,
                 {.block_size = 4096,
                  .level = 19,
                  .time = 1'700'000'000,
                  .source_name = {},
                  .profile = "firn-profile 1\nlookup hole\n",
                  .sections = {{"locks", "what is not known is kept"}}});
    SignImage(OpenFile(path, O_RDONLY, ErrorKind::kInput), path, PrivateKey::Generate("test"), {});
    const FileDescriptor image = OpenFile(path, O_RDONLY, ErrorKind::kInput);
    bytes_ = AllBytesOf(image.get());
    const Appendix appendix = Appendix::ReadImage(image.get(), "image");
    footer_ = appendix.footer();
    core_ = appendix.core();
    BlockCache cache(size_t{1} << 20);
    shown_ = Questioner(*Image::Open(DuplicateOf(image.get()), "image", cache)).Ask();
  }

  static Effect EffectOfDamageAt(uint64_t offset) {
    if (offset < core_.squashfs_length) return Effect::kRefusedOrUnreadable;
    for (const Section& section : core_.sections) {
      if (offset < section.offset || offset >= section.offset + section.length) continue;
      if (section.name == kDigestsSection || section.name == kProfileSection) {
        return Effect::kUnreadable;
      }
      return section.name == kManifestSection || section.name == kExtentsSection ? Effect::kRefused
                                                                                 : Effect::kNothing;
    }
    if (offset >= footer_.core_offset && offset < footer_.core_offset + footer_.core_length) {
      return Effect::kRefused;
    }
    return offset >= bytes_.size() - kFooterLength ? Effect::kRefused : Effect::kNothing;
  }

  static bool IsFoundByVerify(int fd, bool deep = false) {
    try {
      return !Verify(DuplicateOf(fd), "image", {.jobs = 1, .deep = deep, .progress = {}}).ok();
    } catch (const Error& error) {
      EXPECT_TRUE(error.kind() == ErrorKind::kDamaged || error.kind() == ErrorKind::kUnsupported)
          << error.what();
      return true;
    }
  }

  // Compares all that the image shows with what it showed when it was whole.
  static Effect EffectOnReading(int fd, ExtentCheck check) {
    BlockCache cache(size_t{1} << 20);
    std::unique_ptr<const Image> image;
    try {
      image = Image::Open(DuplicateOf(fd), "image", cache, {.check = check});
    } catch (const Error& error) {
      EXPECT_TRUE(error.kind() == ErrorKind::kDamaged || error.kind() == ErrorKind::kUnsupported)
          << error.what();
      return Effect::kRefused;
    }
    EXPECT_EQ(image->id(), footer_.image_id);
    const Shown shown = Questioner(*image).Ask();
    if (shown.errors == 0) {
      EXPECT_EQ(shown.answers.size(), shown_.answers.size());
    }
    for (const auto& [path, answer] : shown.answers) {
      const auto right = shown_.answers.find(path);
      if (right == shown_.answers.end() || right->second != answer) {
        ADD_FAILURE() << path << " is " << answer;
      }
    }
    return shown.errors > 0 ? Effect::kUnreadable : Effect::kNothing;
  }

  // Calls `work` for each byte of the image with a file that holds it, on all processors, until a
  // test fails. `work` leaves the file as it was.
  static void ForEachByte(const std::function<void(int fd, uint64_t offset)>& work) {
    const unsigned jobs = std::clamp(std::thread::hardware_concurrency(), 1u, 8u);
    ParallelFor(jobs, jobs, [&](uint64_t job) {
      const FileDescriptor file = MemoryFileOf(bytes_);
      for (uint64_t offset = job; offset < bytes_.size() && !HasFailure(); offset += jobs) {
        work(file.get(), offset);
      }
      EXPECT_EQ(AllBytesOf(file.get()), bytes_);
    });
  }

  static void TryFlip(int fd, uint64_t offset, unsigned bit) {
    SCOPED_TRACE("byte " + std::to_string(offset) + ", bit " + std::to_string(bit));
    const std::array flipped{bytes_[offset] ^ std::byte{1} << bit};
    WriteAt(fd, offset, flipped);
    EXPECT_TRUE(IsFoundByVerify(fd));
    const auto check = bit % 2 == 0 ? ExtentCheck::kChecksum : ExtentCheck::kProof;
    const Effect effect = EffectOnReading(fd, check);
    const Effect expected = EffectOfDamageAt(offset);
    if (expected == Effect::kRefusedOrUnreadable) {
      EXPECT_NE(effect, Effect::kNothing);
    } else {
      EXPECT_EQ(effect, expected);
    }
    WriteAt(fd, offset, std::array{bytes_[offset]});
  }

  static std::vector<std::byte> bytes_;
  static Footer footer_;
  static CoreTable core_;
  static Shown shown_;
};

std::vector<std::byte> DamagedImage::bytes_;
Footer DamagedImage::footer_;
CoreTable DamagedImage::core_;
Shown DamagedImage::shown_;

TEST_F(DamagedImage, IsWholeBeforeThat) {
  EXPECT_EQ(shown_.errors, 0u);
  EXPECT_EQ(shown_.answers.at("/hole content"), std::string(8192, '\0') + "end");
  EXPECT_EQ(shown_.answers.at("/directory/link target"), "../blocks");
  EXPECT_EQ(shown_.answers.at("/same equals"), shown_.answers.at("/directory/program equals"));
  EXPECT_NE(footer_.signatures_length, 0u);
  const FileDescriptor file = MemoryFileOf(bytes_);
  EXPECT_FALSE(IsFoundByVerify(file.get()));
  EXPECT_FALSE(IsFoundByVerify(file.get(), true));
  EXPECT_EQ(EffectOnReading(file.get(), ExtentCheck::kProof), Effect::kNothing);
}

TEST_F(DamagedImage, EveryFlippedBitIsFoundAndNothingWrongIsShown) {
  std::atomic<uint64_t> tried{0};
  ForEachByte([&](int fd, uint64_t offset) {
    for (unsigned i = 0; i < kBitsOfEachByte; ++i, ++tried) TryFlip(fd, offset, (offset + i) % 8);
  });
  EXPECT_EQ(tried, bytes_.size() * kBitsOfEachByte);
}

TEST_F(DamagedImage, DeepVerificationFindsFlippedBitsToo) {
  ForEachByte([&](int fd, uint64_t offset) {
    if (offset % kDeepStride != 0) return;
    WriteAt(fd, offset, std::array{bytes_[offset] ^ std::byte{1} << offset % 8});
    EXPECT_TRUE(IsFoundByVerify(fd, true)) << "byte " << offset;
    WriteAt(fd, offset, std::array{bytes_[offset]});
  });
}

TEST_F(DamagedImage, CutShortAnywhereItIsRefusedAndNeverForeign) {
  const FileDescriptor file = MemoryFileOf(bytes_);
  for (size_t length = bytes_.size(); length-- > 0;) {
    SCOPED_TRACE("cut to " + std::to_string(length) + " bytes");
    ASSERT_EQ(ftruncate(file.get(), static_cast<off_t>(length)), 0);
    for (const bool allow_foreign : {false, true}) {
      BlockCache cache(size_t{1} << 20);
      try {
        Image::Open(DuplicateOf(file.get()), "image", cache, {.allow_foreign = allow_foreign});
        FAIL() << "opened";
      } catch (const Error& error) {
        ASSERT_EQ(error.kind(), ErrorKind::kDamaged) << error.what();
        ASSERT_EQ(error.path(), "image");
      }
    }
    ASSERT_TRUE(IsFoundByVerify(file.get()));
  }
}

}  // namespace
}  // namespace firn
