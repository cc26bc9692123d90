#include "tests/fuzz/base_image.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>

#include "format/error.h"
#include "format/file.h"
#include "format/image_writer.h"
#include "format/key.h"
#include "format/little_endian.h"
#include "format/signature.h"
#include "format/superblock.h"
#include "tests/fuzz/memory_file.h"

namespace firn::fuzz {
namespace {

constexpr char kProfileText[] =
    "firn-profile 1\nlookup dir\nlist dir\nread blocks 0 9000\nread dir/small 0 11\nmiss no\n";

// A tree of which an image is made.
class TreeMaker {
 public:
  TreeMaker() {
    std::string pattern = std::filesystem::temp_directory_path() / "firn-fuzz-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) {
      throw SystemError(ErrorKind::kInternal, errno, "cannot make a directory");
    }
    directory_ = pattern;
  }
  ~TreeMaker() { std::filesystem::remove_all(directory_); }
  TreeMaker(const TreeMaker&) = delete;
  TreeMaker& operator=(const TreeMaker&) = delete;

  TreeNode& root() { return root_; }

  static TreeNode& Add(TreeNode& parent, const std::string& name, FileType type) {
    auto node = std::make_unique<TreeNode>();
    node->name = name;
    node->type = type;
    node->parent = &parent;
    parent.children.push_back(std::move(node));
    return *parent.children.back();
  }

  TreeNode& AddFile(TreeNode& parent, const std::string& name, const std::string& content) {
    const std::string path = directory_ / std::to_string(++files_);
    std::ofstream(path, std::ios::binary) << content;
    struct stat status {};
    stat(path.c_str(), &status);
    TreeNode& node = Add(parent, name, FileType::kRegular);
    node.permissions = 0644;
    node.source_path = path;
    node.stamp = SourceStamp::Of(status);
    return node;
  }

  Bytes Write(const std::string& profile) {
    const FileDescriptor image = MemoryFile({});
    Manifest manifest;
    manifest.name = "fuzz";
    manifest.prefix = "/opt/fuzz";
    manifest.builder = "firn test";
    manifest.python = Manifest::Python{.version = "3.11.2", .compiled = 1, .not_compiled = {"a"}};
    manifest.environment = {{"PATH", "${PREFIX}/bin"}};
    manifest.scratch = {"TMPDIR"};
    manifest.bound = {"dir/small"};
    const FileDescriptor source = OpenFile(directory_, O_RDONLY | O_DIRECTORY, ErrorKind::kInput);
    WriteImage(image.get(), root_,
               {.block_size = 4096,
                .jobs = 1,
                .source_directory = source.get(),
                .source_name = directory_,
                .profile = profile},
               manifest, [](const WriteProgress&) {});
    Bytes bytes(FileSize(image.get()));
    ReadAt(image.get(), 0, bytes);
    return bytes;
  }

 private:
  std::filesystem::path directory_;
  TreeNode root_;
  int files_ = 0;
};

std::string Letters(size_t length) {
  std::minstd_rand random(1);
  std::string text(length, '\0');
  for (char& c : text) c = static_cast<char>('a' + random() % 16);
  return text;
}

Bytes SignaturesOf() {
  SignatureArea area;
  area.Add(PrivateKey::Parse(
      "firn-private-key 1\nname fuzz\npublic "
      "ed25519:3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29\nsecret " +
          std::string(64, '0') + "\n",
      "key", [] { return std::string(); }));
  Bytes bytes = area.Encode();
  bytes.resize(bytes.size() - SignatureArea::kChecksumLength);
  return bytes;
}

// That nothing refers to.
Bytes OneXattr() {
  Bytes part;
  AppendLe(part, uint16_t{10});
  for (const uint16_t number : {0, 1}) AppendLe(part, number);  // user., a name of one byte
  AppendLe(part, uint8_t{'a'});
  AppendLe(part, uint32_t{1});
  AppendLe(part, uint8_t{'b'});
  AppendLe(part, uint64_t{0});
  for (const uint32_t number : {1, 8}) AppendLe(part, number);
  return part;
}

// Of 1,000 bytes each.
Bytes EvenExtents(const ImageParts& parts) {
  constexpr uint64_t kLength = 1000;
  const Bytes image = Assemble(parts);
  const uint64_t end = Superblock::Decode(image, image.size()).bytes_used;
  Bytes part;
  for (uint64_t at = 0; at < end; at += kLength) {
    AppendLe(part, at);
    AppendLe(part, static_cast<uint32_t>(std::min(kLength, end - at)));
  }
  return part;
}

ImageParts MakeSmallImage() {
  TreeMaker tree;
  tree.AddFile(tree.root(), "blocks", Letters(9000));
  TreeMaker::Add(tree.root(), "device", FileType::kCharacterDevice);
  TreeNode& directory = TreeMaker::Add(tree.root(), "dir", FileType::kDirectory);
  TreeNode& small = tree.AddFile(directory, "small", "a few bytes");
  small.may_have_links = true;
  TreeMaker::Add(TreeMaker::Add(directory, "sub", FileType::kDirectory), "fifo", FileType::kFifo);
  tree.AddFile(tree.root(), "empty", "");
  tree.AddFile(tree.root(), "hole", std::string(10000, '\0') + "end");
  TreeNode& link = TreeMaker::Add(tree.root(), "link", FileType::kRegular);
  link.hard_link = &small;
  TreeMaker::Add(tree.root(), "symlink", FileType::kSymlink).symlink_target = "dir/small";
  ImageParts parts = TakeApart(tree.Write(kProfileText));
  parts[Part::kSignatures] = SignaturesOf();
  parts[Part::kXattrs] = OneXattr();
  parts[Part::kExtents] = EvenExtents(parts);
  return parts;
}

// Makes the root, the last inode, an extended one that has an index of the runs of its listing. The
// library that writes images gives one to listings of more than 64 KiB alone.
void GiveIndex(ImageParts& parts) {
  constexpr size_t kStoredBlock = kMetadataBlockSize + 2;
  const Bytes& listing = parts[Part::kListings];
  Bytes index;
  uint16_t count = 0;
  for (size_t at = 0; at < listing.size();) {
    const uint32_t last = LoadLe<uint32_t>(listing.data() + at);
    const std::byte* const name = listing.data() + at + 12 + 8;
    const uint32_t length = LoadLe<uint16_t>(name - 2);
    AppendLe(index, static_cast<uint32_t>(at));
    AppendLe(index, static_cast<uint32_t>(at / kMetadataBlockSize * kStoredBlock));
    AppendLe(index, length);
    index.insert(index.end(), name, name + length + 1);
    ++count;
    at += 12;
    for (uint32_t i = 0; i <= last; ++i) at += 8 + LoadLe<uint16_t>(listing.data() + at + 6) + 1;
  }
  Bytes& inodes = parts[Part::kInodes];
  constexpr size_t kHeaderLength = 16;
  const size_t root = LoadLe<uint64_t>(parts[Part::kSuperblock].data() + 32) & 0xffff;
  const uint32_t links = LoadLe<uint32_t>(inodes.data() + root + kHeaderLength + 4);
  const uint32_t parent = LoadLe<uint32_t>(inodes.data() + root + kHeaderLength + 12);
  StoreLe(inodes.data() + root, uint16_t{8});
  inodes.resize(root + kHeaderLength);
  AppendLe(inodes, links);
  AppendLe(inodes, static_cast<uint32_t>(listing.size() + 3));
  AppendLe(inodes, uint32_t{0});
  AppendLe(inodes, parent);
  AppendLe(inodes, count);
  AppendLe(inodes, uint16_t{0});
  AppendLe(inodes, UINT32_MAX);
  inodes.insert(inodes.end(), index.begin(), index.end());
}

// Names of one file, so that the inode table stays small.
ImageParts MakeLargeDirectory() {
  constexpr int kNames = 400;
  TreeMaker tree;
  TreeNode& first = tree.AddFile(tree.root(), "first", "one");
  first.may_have_links = true;
  for (int i = 0; i < kNames; ++i) {
    const std::string name = "name-that-is-long-enough-" + std::to_string(1000 + i);
    TreeMaker::Add(tree.root(), name, FileType::kRegular).hard_link = &first;
  }
  ImageParts parts = TakeApart(tree.Write({}));
  GiveIndex(parts);
  return parts;
}

}  // namespace

const ImageParts& SmallImage() {
  static const ImageParts parts = MakeSmallImage();
  return parts;
}

const ImageParts& LargeDirectory() {
  static const ImageParts parts = MakeLargeDirectory();
  return parts;
}

}  // namespace firn::fuzz
