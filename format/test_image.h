#ifndef FIRN_FORMAT_TEST_IMAGE_H_
#define FIRN_FORMAT_TEST_IMAGE_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "format/image.h"
#include "format/image_writer.h"

namespace firn {

// For tests: a directory, and images that Firn's writer makes of files in it.
class TestImages {
 public:
  struct File {
    std::string path;  // a name, or "directory/name"; in the order of a walk
    std::string content;
    mode_t permissions = 0644;
    std::string link_to = {};         // the path of an earlier file of which this is another name
    std::string symlink_target = {};  // a symlink, without content
  };

  TestImages() {
    std::string pattern = testing::TempDir() + "firn-images-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) throw std::bad_alloc();
    directory_ = pattern;
  }
  ~TestImages() { std::filesystem::remove_all(directory_); }
  TestImages(const TestImages&) = delete;
  TestImages& operator=(const TestImages&) = delete;

  const std::filesystem::path& directory() const { return directory_; }
  BlockCache& cache() { return cache_; }

  // Writes the image `name` into directory(); the result is open for reading and writing. Of
  // `options`, source_directory and source_name are filled in.
  FileDescriptor Write(const std::string& name, const std::vector<File>& files,
                       ImageWriterOptions options) {
    const std::filesystem::path tree = directory_ / (name + ".tree");
    std::filesystem::create_directory(tree);
    const FileDescriptor source =
        OpenFile(tree.string(), O_RDONLY | O_DIRECTORY, ErrorKind::kInput);
    TreeNode root;
    for (const File& file : files) AddFile(tree, root, file);
    const std::string path = (directory_ / name).string();
    FileDescriptor image(open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    Manifest manifest;
    manifest.name = name;
    manifest.prefix = "/" + name;
    manifest.builder = "test";
    options.source_directory = source.get();
    options.source_name = name;
    WriteImage(image.get(), root, options, manifest, [](const auto&) {});
    std::filesystem::remove_all(tree);
    return image;
  }

  std::unique_ptr<const Image> Make(const std::vector<File>& files, int64_t time = 5) {
    const std::string name = "image" + std::to_string(++count_);
    FileDescriptor image =
        Write(name, files, {.block_size = 4096, .level = 1, .time = time, .source_name = {}});
    return Image::Open(std::move(image), (directory_ / name).string(), cache_);
  }

 private:
  static TreeNode& Child(TreeNode& parent, const std::string& name) {
    for (const auto& child : parent.children) {
      if (child->name == name) return *child;
    }
    auto node = std::make_unique<TreeNode>();
    node->name = name;
    node->parent = &parent;
    parent.children.push_back(std::move(node));
    return *parent.children.back();
  }

  static TreeNode& NodeAt(const std::filesystem::path& tree, TreeNode& root,
                          const std::string& path) {
    const size_t slash = path.find('/');
    if (slash == std::string::npos) return Child(root, path);
    std::filesystem::create_directories(tree / path.substr(0, slash));
    return Child(Child(root, path.substr(0, slash)), path.substr(slash + 1));
  }

  static void AddFile(const std::filesystem::path& tree, TreeNode& root, const File& file) {
    TreeNode& node = NodeAt(tree, root, file.path);
    if (!file.symlink_target.empty()) {
      node.type = FileType::kSymlink;
      node.symlink_target = file.symlink_target;
      return;
    }
    std::ofstream(tree / file.path, std::ios::binary) << file.content;
    struct stat status {};
    stat((tree / file.path).c_str(), &status);
    node.type = FileType::kRegular;
    node.permissions = file.permissions;
    node.stamp = SourceStamp::Of(status);
    if (!file.link_to.empty()) node.hard_link = &NodeAt(tree, root, file.link_to);
  }

  std::filesystem::path directory_;
  BlockCache cache_{size_t{16} << 20};
  int count_ = 0;
};

// The inode at a path of an image that has it.
inline Inode InodeAt(const Image& image, const std::string& path) {
  Inode inode = image.GetInode(image.root());
  for (const auto& name : std::filesystem::path(path)) {
    inode = image.GetInode(image.Lookup(inode, name.string()).value());
  }
  return inode;
}

inline std::string ContentOf(const Image& image, const Inode& file, uint64_t offset = 0,
                             uint64_t length = ~uint64_t{0}) {
  std::string content;
  for (const FilePiece& piece : image.Read(file, offset, length)) {
    content.append(reinterpret_cast<const char*>(piece.bytes.data()), piece.bytes.size());
  }
  return content;
}

inline std::vector<std::byte> AllBytesOf(int fd) {
  std::vector<std::byte> bytes(FileSize(fd));
  bytes.resize(ReadAt(fd, 0, bytes));
  return bytes;
}

// A file in memory that holds these bytes.
inline FileDescriptor MemoryFileOf(ByteSpan bytes) {
  FileDescriptor fd(memfd_create("image", MFD_CLOEXEC));
  WriteAt(fd.get(), 0, bytes);
  return fd;
}

// Another descriptor of the same file.
inline FileDescriptor DuplicateOf(int fd) { return FileDescriptor(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

}  // namespace firn

#endif  // FIRN_FORMAT_TEST_IMAGE_H_
