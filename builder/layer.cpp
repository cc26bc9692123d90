#include "builder/layer.h"

#include <fcntl.h>
#include <sys/xattr.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include "format/digest.h"
#include "format/error.h"
#include "format/file.h"
#include "format/source_file.h"

namespace firn {
namespace {

using Entry = MergedImages::Entry;

// Where the overlay was mounted with userxattr, as Staging does.
constexpr char kOpaqueAttribute[] = "user.overlay.opaque";

class LayerTree {
 public:
  LayerTree(int changes, const MergedImages& base, const std::function<void()>& poll)
      : changes_(changes), base_(base), poll_(poll) {}

  // `is_hidden`: nothing of the base is seen here but what the tree has too.
  void Reduce(TreeNode& directory, const std::optional<Entry>& below, bool is_hidden) {
    const bool hides = below && (is_hidden || IsOpaque(directory));
    for (auto& child : directory.children) {
      poll_();
      if (child->type != FileType::kDirectory) continue;
      std::optional<Entry> same = below ? base_.Lookup(*below, child->name) : std::nullopt;
      if (same && !same->inode().IsDirectory()) same.reset();
      Reduce(*child, same, hides);
    }
    if (hides) HideRest(directory, *below);  // before what is as in the base goes
    std::erase_if(directory.children,
                  [&](const std::unique_ptr<TreeNode>& child) { return IsAsBelow(*child, below); });
  }

 private:
  bool IsOpaque(const TreeNode& directory) const {
    const FileDescriptor fd =
        directory.parent == nullptr
            ? FileDescriptor(fcntl(changes_, F_DUPFD_CLOEXEC, 0))
            : OpenBelow(changes_, directory.RelativePath(), O_RDONLY | O_DIRECTORY);
    char value = 0;
    return fd.valid() && fgetxattr(fd.get(), kOpaqueAttribute, &value, 1) == 1 && value == 'y';
  }

  bool IsAsBelow(const TreeNode& node, const std::optional<Entry>& below) const {
    const std::optional<Entry> same = below ? base_.Lookup(*below, node.name) : std::nullopt;
    // A whiteout of what is not there hides nothing.
    if (!same) return IsWhiteout(node.type, node.device);
    const Inode& inode = same->inode();
    if (node.type != inode.type || node.permissions != (inode.mode & 07777)) return false;
    switch (node.type) {
      case FileType::kDirectory:
        return node.children.empty();
      case FileType::kSymlink:
        return node.symlink_target == same->image().ReadLink(inode);
      case FileType::kRegular:
        return node.stamp.size == inode.size &&
               DigestOf(node) == same->image().FileDigest(inode.number);
      default:
        return node.device == inode.device;
    }
  }

  Digest DigestOf(const TreeNode& file) const {
    const bool is_elsewhere = !file.source_path.empty();
    const std::string path = is_elsewhere ? file.source_path : file.RelativePath();
    SourceFile source(is_elsewhere ? AT_FDCWD : changes_, path, path, file.stamp);
    std::array<std::byte, 65536> buffer;
    Sha256 digest;
    for (uint64_t left = source.size(); left > 0;) {
      const ByteSpan bytes = source.Read(buffer);
      digest.Update(bytes);
      left -= bytes.size();
    }
    source.CheckUnchanged();
    return digest.Finish();
  }

  void HideRest(TreeNode& directory, const Entry& below) const {
    const std::map<std::string, Entry> shown = base_.Entries(below);
    for (const std::string& name : std::views::keys(shown)) {
      const auto at = std::lower_bound(
          directory.children.begin(), directory.children.end(), name,
          [](const auto& child, const std::string& key) { return child->name < key; });
      if (at != directory.children.end() && (*at)->name == name) continue;
      auto whiteout = std::make_unique<TreeNode>();
      whiteout->name = name;
      whiteout->type = FileType::kCharacterDevice;
      whiteout->permissions = 0;
      whiteout->parent = &directory;
      directory.children.insert(at, std::move(whiteout));
    }
  }

  const int changes_;
  const MergedImages& base_;
  const std::function<void()>& poll_;
};

}  // namespace

void KeepDifferences(TreeNode& root, int changes, const MergedImages& base, bool is_whole,
                     const std::function<void()>& poll) {
  LayerTree(changes, base, poll).Reduce(root, base.root(), /*is_hidden=*/is_whole);
}

}  // namespace firn
