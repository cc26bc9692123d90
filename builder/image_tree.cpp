#include "builder/image_tree.h"

#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "format/error.h"

namespace firn {
namespace {

// Trees are walked by recursion, and a path of one more letter a level could not be opened.
constexpr size_t kMaxDepth = 4096;

class ImageTreeReader {
 public:
  ImageTreeReader(const Image& image, const std::function<void()>& poll)
      : image_(image), poll_(poll) {}

  ImageTree Read() {
    const Inode root = image_.GetInode(image_.root());
    tree_.root = std::make_unique<TreeNode>();
    Fill(*tree_.root, root);
    directories_.insert(ToInt(root.number));
    pending_.push_back({tree_.root.get(), root, 0});
    while (!pending_.empty()) {
      const Pending directory = pending_.back();
      pending_.pop_back();
      ReadDirectory(directory);
    }
    LinkBelow(*tree_.root);
    return std::move(tree_);
  }

 private:
  struct Pending {
    TreeNode* node;
    Inode inode;
    size_t depth;
  };

  void ReadDirectory(const Pending& directory) {
    if (directory.depth > kMaxDepth) {
      throw Error(ErrorKind::kUnsupported,
                  "has directories more than " + std::to_string(kMaxDepth) + " deep",
                  "Build it anew from its directory.")
          .WithPath(image_.path());
    }
    image_.ListDirectory(directory.inode, 0, [&](const DirectoryEntry& entry) {
      poll_();
      auto child = std::make_unique<TreeNode>();
      child->name = entry.name;
      child->parent = directory.node;
      const Inode inode = image_.GetInode(directory.inode, entry);
      Fill(*child, inode);
      if (inode.IsDirectory()) {
        if (!directories_.insert(ToInt(inode.number)).second) {
          throw DamagedError("a directory has two names").WithPath(image_.path());
        }
        pending_.push_back({child.get(), inode, directory.depth + 1});
      } else if (inode.IsRegular()) {
        tree_.inodes.emplace(child.get(), inode.number);
      }
      directory.node->children.push_back(std::move(child));
      return true;
    });
  }

  void Fill(TreeNode& node, const Inode& inode) {
    if (inode.uid != 0 || inode.gid != 0 || inode.mtime != image_.manifest().time) {
      throw Error(ErrorKind::kUnsupported,
                  "expected files of root with the manifest's time, found others",
                  "Build it anew from its directory.")
          .WithPath(image_.path());
    }
    node.type = inode.type;
    node.permissions = inode.mode & 07777;
    node.device = inode.device;
    node.stamp.size = inode.size;
    if (inode.IsSymlink()) node.symlink_target = image_.ReadLink(inode);
  }

  // In the order of the walk, as the first name of a file is the one that is no link.
  void LinkBelow(TreeNode& directory) {
    for (const auto& child : directory.children) {
      if (child->type == FileType::kDirectory) {
        LinkBelow(*child);
      } else if (child->type == FileType::kRegular) {
        const auto own = tree_.inodes.find(child.get());
        const auto [first, is_new] = first_names_.emplace(ToInt(own->second), child.get());
        if (is_new) continue;
        child->hard_link = first->second;
        tree_.inodes.erase(own);
      }
    }
  }

  const Image& image_;
  const std::function<void()>& poll_;
  ImageTree tree_;
  std::vector<Pending> pending_;
  std::unordered_set<uint32_t> directories_;
  std::unordered_map<uint32_t, TreeNode*> first_names_;
};

}  // namespace

ImageTree ReadImageTree(const Image& image, const std::function<void()>& poll) {
  return ImageTreeReader(image, poll).Read();
}

}  // namespace firn
