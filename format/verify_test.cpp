#include "format/verify.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "format/block_cache.h"
#include "format/error.h"
#include "format/image.h"
#include "format/image_writer.h"
#include "format/layout.h"
#include "format/little_endian.h"

namespace firn {
namespace {

namespace fs = std::filesystem;

// Every so many bytes are tried, fewer where the sanitizers make each round ten times as long.
#ifdef FIRN_SANITIZED
constexpr size_t kStride = 37;
#else
constexpr size_t kStride = 3;
#endif

std::string Letters(size_t length, unsigned seed) {
  std::mt19937 random(seed);
  std::string text(length, '\0');
  for (char& c : text) c = static_cast<char>(random() % 64);
  return text;
}

FileDescriptor FileOf(ByteSpan bytes) {
  FileDescriptor fd(memfd_create("image", MFD_CLOEXEC));
  WriteAt(fd.get(), 0, bytes);
  return fd;
}

// A small image, made once, and what its files hold.
class SmallImage : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string name = fs::temp_directory_path() / "firn_verify_test.XXXXXX";
    const fs::path directory = mkdtemp(name.data());
    contents_["big"] = Letters(9000, 1);
    contents_["empty"];
    contents_["hole"] = std::string(10000, '\0');
    contents_["hole"] += "end";
    contents_["small"] = "a few bytes";
    contents_["tail"] = Letters(5000, 2);
    TreeNode root;
    for (const auto& [file, content] : contents_) {
      std::ofstream(directory / file, std::ios::binary) << content;
      root.children.push_back(MakeFile(directory, file, root));
    }
    auto link = std::make_unique<TreeNode>();
    link->name = "zlink";
    link->type = FileType::kSymlink;
    link->symlink_target = "small";
    link->parent = &root;
    root.children.push_back(std::move(link));

    const FileDescriptor source = OpenFile(directory, O_RDONLY | O_DIRECTORY, ErrorKind::kInput);
    const FileDescriptor image(memfd_create("image", MFD_CLOEXEC));
    Manifest manifest;
    manifest.name = "small";
    manifest.prefix = "/opt/small";
    manifest.builder = "firn test";
    WriteImage(
        image.get(), root,
        {.block_size = 4096, .jobs = 2, .source_directory = source.get(), .source_name = directory},
        manifest, [](const WriteProgress&) {});
    bytes_.resize(FileSize(image.get()));
    ReadAt(image.get(), 0, bytes_);
    fs::remove_all(directory);
  }

  static std::unique_ptr<TreeNode> MakeFile(const fs::path& directory, const std::string& name,
                                            TreeNode& parent) {
    struct stat status;
    if (lstat((directory / name).c_str(), &status) != 0) throw std::runtime_error("no " + name);
    auto node = std::make_unique<TreeNode>();
    node->name = name;
    node->type = FileType::kRegular;
    node->permissions = 0644;
    node->stamp = SourceStamp::Of(status);
    node->parent = &parent;
    return node;
  }

  static std::vector<std::byte> Flipped(size_t at) {
    std::vector<std::byte> bytes = bytes_;
    bytes[at] ^= std::byte{1} << (at % 8);
    return bytes;
  }

  static VerifyReport VerifyBytes(ByteSpan bytes, bool deep = false) {
    return Verify(FileOf(bytes), "image", {.jobs = 1, .deep = deep, .progress = {}});
  }

  static std::unique_ptr<const Image> Open(ByteSpan bytes, BlockCache& cache) {
    return Image::Open(FileOf(bytes), "image", cache, {.allow_foreign = true});
  }

  // Reads everything that can be read; nothing of it may differ. Returns how many files could not.
  static size_t CompareContents(const Image& image) {
    size_t unreadable = 0;
    const Inode root = image.GetInode(image.root());
    for (const auto& [name, expected] : contents_) {
      try {
        const Inode inode = image.GetInode(image.Lookup(root, name).value());
        std::string content;
        for (const FilePiece& piece : image.Read(inode, 0, inode.size)) {
          content.append(reinterpret_cast<const char*>(piece.bytes.data()), piece.bytes.size());
        }
        EXPECT_TRUE(content == expected) << name;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kDamaged) << error.what();
        ++unreadable;
      }
    }
    return unreadable;
  }

  static std::map<std::string, std::string> contents_;
  static std::vector<std::byte> bytes_;
};

std::map<std::string, std::string> SmallImage::contents_;
std::vector<std::byte> SmallImage::bytes_;

TEST_F(SmallImage, IsWhole) {
  const VerifyReport report = VerifyBytes(bytes_);
  for (const VerifyFinding& finding : report.findings) ADD_FAILURE() << finding.message;
  EXPECT_EQ(report.files, contents_.size());
  EXPECT_EQ(report.sections, 3u);
  BlockCache cache(size_t{1} << 20);
  const auto image = Open(bytes_, cache);
  EXPECT_FALSE(image->foreign());
  EXPECT_EQ(image->manifest().name, "small");
  EXPECT_EQ(image->manifest().prefix, "/opt/small");
  EXPECT_EQ(image->id(), report.id);
  EXPECT_EQ(CompareContents(*image), 0u);
  const Inode root = image->GetInode(image->root());
  EXPECT_EQ(image->ReadLink(image->GetInode(image->Lookup(root, "zlink").value())), "small");
  const InodeNumber small = image->Lookup(root, "small").value();
  EXPECT_EQ(image->FileDigest(small), Sha256Of(std::as_bytes(std::span(contents_.at("small")))));
}

TEST_F(SmallImage, DeepVerificationFindsNothingInAWholeImage) {
  const VerifyReport report = VerifyBytes(bytes_, true);
  for (const VerifyFinding& finding : report.findings) ADD_FAILURE() << finding.message;
  EXPECT_TRUE(report.notes.empty());
  EXPECT_EQ(report.inodes, contents_.size() + 2);
}

TEST_F(SmallImage, DeepVerificationNamesTheFilesOfADamagedFragment) {
  BlockCache cache(size_t{1} << 20);
  const auto image = Open(bytes_, cache);
  const Inode root = image->GetInode(image->root());
  const Inode small = image->GetInode(image->Lookup(root, "small").value());
  const StoredBlock block = image->FragmentOf(small);
  const VerifyReport report = VerifyBytes(Flipped(block.offset + 1), true);
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].path, "small");
  EXPECT_EQ(report.findings[0].offset, block.offset);
}

TEST_F(SmallImage, DeepVerificationFindsEveryFlippedBitToo) {
  for (size_t at = 1; at < bytes_.size(); at += 7 * kStride) {
    bool found = false;
    try {
      found = !VerifyBytes(Flipped(at), true).ok();
    } catch (const Error&) {
      found = true;
    }
    EXPECT_TRUE(found) << "byte " << at;
  }
}

TEST_F(SmallImage, EveryFlippedBitIsFoundByVerify) {
  for (size_t at = 0; at < bytes_.size(); at += kStride) {
    bool found = false;
    try {
      found = !VerifyBytes(Flipped(at)).ok();
    } catch (const Error&) {
      found = true;
    }
    EXPECT_TRUE(found) << "byte " << at;
  }
}

TEST_F(SmallImage, AFlippedBitGivesAnErrorNeverWrongBytes) {
  size_t refused = 0;
  size_t unreadable = 0;
  for (size_t at = 0; at < bytes_.size(); at += kStride) {
    BlockCache cache(size_t{1} << 20);
    try {
      unreadable += CompareContents(*Open(Flipped(at), cache));
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 0u);
  EXPECT_GT(unreadable, 0u);
}

TEST_F(SmallImage, CutShortAnywhereItIsRefusedAndNeverForeign) {
  for (size_t length = 0; length < bytes_.size(); length += kStride) {
    BlockCache cache(size_t{1} << 20);
    EXPECT_THROW(Open(ByteSpan(bytes_).first(length), cache), Error) << length;
  }
}

TEST_F(SmallImage, BytesBehindItsEndAreNamed) {
  std::vector<std::byte> longer = bytes_;
  longer.resize(longer.size() + 777, std::byte{'x'});
  BlockCache cache(size_t{1} << 20);
  try {
    Open(longer, cache);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kDamaged);
    EXPECT_EQ(error.offset(), bytes_.size());
    EXPECT_NE(error.message().find("777 bytes follow"), std::string::npos) << error.message();
  }
}

TEST_F(SmallImage, DamageIsNamedByPathAndOffset) {
  BlockCache cache(size_t{1} << 20);
  const auto image = Open(bytes_, cache);
  const Inode big = image->GetInode(image->Lookup(image->GetInode(image->root()), "big").value());
  const StoredBlock block = image->BlockAt(big, 1);
  const VerifyReport report = VerifyBytes(Flipped(block.offset + block.length / 2));
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].path, "big");
  EXPECT_EQ(report.findings[0].offset, block.offset);
}

TEST_F(SmallImage, ANewerVersionIsUnsupported) {
  std::vector<std::byte> bytes = bytes_;
  std::byte* footer = bytes.data() + bytes.size() - kFooterLength;
  StoreLe<uint32_t>(footer + 8, kFormatVersion + 1);
  StoreLe<uint64_t>(footer + 120, Xxh3Of(ByteSpan(footer, 120)));
  BlockCache cache(size_t{1} << 20);
  try {
    Open(bytes, cache);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
  }
}

}  // namespace
}  // namespace firn
