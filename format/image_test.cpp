#include "format/image.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <string>

#include "format/appendix.h"
#include "format/error.h"

namespace firn {
namespace {

namespace fs = std::filesystem;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = fs::temp_directory_path() / "firn_image_test.XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~TemporaryDirectory() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string Noise(size_t length, unsigned seed) {
  std::mt19937_64 random(seed);
  std::string text(length, '\0');
  // Half of it repeats, so that some blocks compress and some do not.
  for (size_t i = 0; i < length; ++i) {
    text[i] = (i / 5000) % 2 == 0 ? static_cast<char>(random()) : static_cast<char>(i / 100);
  }
  return text;
}

void WriteFile(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

// A tree with something of everything, read through images that mksquashfs makes of it.
class ForeignImage : public testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() {
    directory_ = std::make_unique<TemporaryDirectory>();
    const fs::path tree = directory_->path() / "tree";
    fs::create_directories(tree / "empty directory");
    fs::create_directories(tree / "many");
    WriteFile(tree / "empty", "");
    WriteFile(tree / "small", "a few bytes");
    WriteFile(tree / "one block", Noise(131072, 1));
    WriteFile(tree / "large", Noise(3'000'001, 2));
    WriteFile(tree / "hole", std::string(1 << 20, '\0') + "end");
    fs::create_hard_link(tree / "large", tree / "same");
    fs::create_symlink("small", tree / "link");
    fs::create_symlink(std::string(4000, 'x'), tree / "long link");
    for (int i = 0; i < 3000; ++i) {
      WriteFile(tree / "many" / ("file " + std::to_string(i * 7919 % 3000)), std::to_string(i));
    }
    // Where /tmp takes no attributes, the images have none.
    [[maybe_unused]] const int status =
        setxattr((tree / "small").c_str(), "user.note", "text", 4, 0);
  }
  static void TearDownTestSuite() { directory_.reset(); }

  void SetUp() override {
    const fs::path image = directory_->path() / "image";
    fs::remove(image);
    const std::string command = "mksquashfs '" + tree().string() + "' '" + image.string() + "' " +
                                GetParam() + " -noappend -no-progress -quiet >/dev/null 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
    image_ = Image::Open(OpenFile(image, O_RDONLY, ErrorKind::kInput), image, cache_,
                         {.allow_foreign = true});
  }

  fs::path tree() const { return directory_->path() / "tree"; }

  std::string Content(const Inode& inode, uint64_t step) const {
    std::string content;
    for (uint64_t at = 0; at < inode.size; at += step) {
      for (const FilePiece& piece : image_->Read(inode, at, step)) {
        content.append(reinterpret_cast<const char*>(piece.bytes.data()), piece.bytes.size());
      }
    }
    return content;
  }

  // Compares `directory` of the image with `path`; returns how many entries it has.
  size_t Compare(const Inode& directory, const fs::path& path) {
    std::set<std::string> names;
    image_->ListDirectory(directory, 0, [&](const DirectoryEntry& entry) {
      const std::string name(entry.name);
      EXPECT_TRUE(names.insert(name).second) << name;
      EXPECT_EQ(image_->Lookup(directory, name), entry.inode) << name;
      CompareEntry(image_->GetInode(entry.inode), path / name);
      return true;
    });
    std::set<std::string> expected;
    for (const auto& entry : fs::directory_iterator(path)) expected.insert(entry.path().filename());
    EXPECT_EQ(names, expected) << path;
    return names.size();
  }

  void CompareEntry(const Inode& inode, const fs::path& path) {
    struct stat status;
    ASSERT_EQ(lstat(path.c_str(), &status), 0) << path;
    EXPECT_EQ(inode.mode, status.st_mode) << path;
    EXPECT_EQ(inode.mtime, status.st_mtime) << path;
    EXPECT_EQ(inode.uid, status.st_uid) << path;
    EXPECT_EQ(inode.link_count, status.st_nlink) << path;
    if (inode.IsDirectory()) Compare(inode, path);
    if (inode.IsSymlink()) {
      EXPECT_EQ(image_->ReadLink(inode), fs::read_symlink(path).string());
    }
    if (inode.IsRegular()) {
      std::ifstream file(path, std::ios::binary);
      const std::string expected((std::istreambuf_iterator<char>(file)), {});
      EXPECT_TRUE(Content(inode, 100'003) == expected) << path;
    }
  }

  static std::unique_ptr<TemporaryDirectory> directory_;
  BlockCache cache_{size_t{16} << 20};
  std::unique_ptr<const Image> image_;
};

std::unique_ptr<TemporaryDirectory> ForeignImage::directory_;

TEST_P(ForeignImage, HoldsTheTreeItWasMadeOf) {
  EXPECT_TRUE(image_->foreign());
  EXPECT_THROW(image_->id(), Error);
  const Inode root = image_->GetInode(image_->root());
  EXPECT_EQ(Compare(root, tree()), 10u);
}

TEST_P(ForeignImage, IsNotTakenForAnImage) {
  EXPECT_FALSE(image_->has_profile());
  EXPECT_FALSE(Appendix::Read(image_->fd(), "image"));
  try {
    Appendix::ReadImage(image_->fd(), "image");
    ADD_FAILURE() << "taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_NE(error.remedy().find("--foreign"), std::string::npos);
  }
  const Inode large =
      image_->GetInode(image_->Lookup(image_->GetInode(image_->root()), "large").value());
  EXPECT_THROW(image_->FileDigest(large.number), Error);
}

TEST_P(ForeignImage, MissesWhatIsNotThere) {
  const Inode root = image_->GetInode(image_->root());
  for (const char* name : {"", ".", "..", "a", "zzz", "many/file 1", "smal", "small "}) {
    EXPECT_EQ(image_->Lookup(root, name), std::nullopt) << name;
  }
  const Inode many = image_->GetInode(image_->Lookup(root, "many").value());
  EXPECT_EQ(image_->Lookup(many, "file 3000"), std::nullopt);
  EXPECT_EQ(image_->Lookup(many, std::string(300, 'f')), std::nullopt);
}

TEST_P(ForeignImage, ListsOnFromEveryCookie) {
  const Inode root = image_->GetInode(image_->root());
  const Inode many = image_->GetInode(image_->Lookup(root, "many").value());
  std::vector<std::pair<std::string, uint64_t>> all;
  image_->ListDirectory(many, 0, [&](const DirectoryEntry& entry) {
    all.emplace_back(entry.name, entry.next_cookie);
    return true;
  });
  ASSERT_EQ(all.size(), 3000u);
  for (size_t i = 0; i + 1 < all.size(); i += 13) {
    std::string next;
    image_->ListDirectory(many, all[i].second, [&](const DirectoryEntry& entry) {
      next = entry.name;
      return false;
    });
    EXPECT_EQ(next, all[i + 1].first);
  }
}

TEST_P(ForeignImage, NeverInventsANameForACookieThatIsNone) {
  const Inode root = image_->GetInode(image_->root());
  const Inode many = image_->GetInode(image_->Lookup(root, "many").value());
  std::mt19937_64 random(3);
  for (int i = 0; i < 500; ++i) {
    const uint64_t cookie = i % 2 == 0 ? random() % 20'000'000 : random() >> 1;
    image_->ListDirectory(many, cookie, [&](const DirectoryEntry& entry) {
      EXPECT_TRUE(fs::exists(tree() / "many" / entry.name)) << entry.name;
      return false;
    });
  }
}

TEST_P(ForeignImage, ReadsEveryRangeOfAFile) {
  const Inode root = image_->GetInode(image_->root());
  const Inode large = image_->GetInode(image_->Lookup(root, "large").value());
  const std::string whole = Content(large, uint64_t{1} << 30);
  std::mt19937_64 random(4);
  for (int i = 0; i < 200; ++i) {
    const uint64_t offset = random() % (large.size + 1000);
    const uint64_t length = random() % 300'000;
    std::string content;
    for (const FilePiece& piece : image_->Read(large, offset, length)) {
      content.append(reinterpret_cast<const char*>(piece.bytes.data()), piece.bytes.size());
    }
    EXPECT_TRUE(content == (offset < whole.size() ? whole.substr(offset, length) : ""));
  }
}

INSTANTIATE_TEST_SUITE_P(Mksquashfs, ForeignImage,
                         testing::Values("-comp gzip", "-comp xz -no-exports",
                                         "-comp lz4 -no-fragments", "-comp zstd",
                                         "-comp zstd -b 4096",
                                         "-comp zstd -b 1M -always-use-fragments",
                                         "-comp gzip -noI -noD -noF -no-exports -no-duplicates"));

}  // namespace
}  // namespace firn
