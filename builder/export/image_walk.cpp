#include "builder/export/image_walk.h"

#include <unordered_map>
#include <unordered_set>

#include "format/error.h"

namespace firn {
namespace {

// As deep as a path that can be opened may be.
constexpr size_t kMaxWalkDepth = 2048;

class ImageWalker {
 public:
  ImageWalker(const Image& image, ImageVisitor& visitor, const std::function<void()>& poll)
      : image_(image), visitor_(visitor), poll_(poll) {}

  void Walk(const ImageEntry& directory, size_t depth) {
    if (!seen_.insert(ToInt(directory.inode.number)).second) {
      throw DamagedError("a directory has two names").WithPath(image_.path());
    }
    if (depth > kMaxWalkDepth) {
      throw Error(ErrorKind::kUnsupported,
                  "has directories more than " + std::to_string(kMaxWalkDepth) + " deep")
          .WithPath(image_.path());
    }
    visitor_.Enter(directory);
    for (auto& [name, inode] : EntriesOf(image_, directory.inode)) {
      poll_();
      ImageEntry entry{.path = directory.path.empty() ? name : directory.path + "/" + name,
                       .name = name,
                       .inode = inode,
                       .linked = {}};
      if (inode.IsDirectory()) {
        Walk(entry, depth + 1);
        continue;
      }
      if (inode.IsRegular() && inode.link_count > 1) {
        const auto [first, is_new] = first_names_.emplace(ToInt(inode.number), entry.path);
        if (!is_new) entry.linked = first->second;
      }
      visitor_.Take(entry);
    }
    visitor_.Leave(directory);
  }

 private:
  const Image& image_;
  ImageVisitor& visitor_;
  const std::function<void()>& poll_;
  std::unordered_set<uint32_t> seen_;  // directories
  std::unordered_map<uint32_t, std::string> first_names_;
};

}  // namespace

std::vector<std::pair<std::string, Inode>> EntriesOf(const Image& image, const Inode& directory) {
  std::vector<std::pair<std::string, Inode>> entries;
  image.ListDirectory(directory, 0, [&](const DirectoryEntry& entry) {
    entries.emplace_back(entry.name, image.GetInode(directory, entry));
    return true;
  });
  return entries;
}

void WalkImage(const Image& image, ImageVisitor& visitor, const std::function<void()>& poll) {
  ImageWalker(image, visitor, poll)
      .Walk({.path = {}, .name = {}, .inode = image.GetInode(image.root()), .linked = {}}, 0);
}

}  // namespace firn
