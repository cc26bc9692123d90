#include "builder/merged_images.h"

#include <fcntl.h>

#include <ranges>
#include <set>
#include <string>
#include <utility>

#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

constexpr size_t kMergedCacheBytes = size_t{16} << 20;

}  // namespace

bool IsWhiteout(FileType type, uint32_t device) {
  return type == FileType::kCharacterDevice && device == 0;
}

MergedImages::MergedImages(const std::vector<std::string>& paths, bool allow_foreign)
    : cache_(std::make_unique<BlockCache>(kMergedCacheBytes)) {
  ImageOptions options;
  options.allow_foreign = allow_foreign;
  for (const std::string& path : paths) {
    images_.push_back(
        Image::Open(OpenFile(path, O_RDONLY, ErrorKind::kInput), path, *cache_, options));
  }
}

MergedImages::Entry MergedImages::root() const {
  Entry root;
  for (const auto& image : images_ | std::views::reverse) {
    root.parts.push_back({image.get(), image->GetInode(image->root())});
  }
  return root;
}

std::optional<MergedImages::Entry> MergedImages::Lookup(const Entry& directory,
                                                        std::string_view name) const {
  Entry found;
  for (const Entry::Part& part : directory.parts) {
    const std::optional<Inode> inode = part.image->LookupInode(part.inode, name);
    if (!inode) continue;
    if (IsWhiteout(inode->type, inode->device)) break;
    if (!inode->IsDirectory()) {
      if (found.parts.empty()) found.parts.push_back({part.image, *inode});
      break;
    }
    found.parts.push_back({part.image, *inode});
  }
  if (found.parts.empty()) return std::nullopt;
  return found;
}

std::map<std::string, MergedImages::Entry> MergedImages::Entries(const Entry& directory) const {
  std::map<std::string, Entry> entries;
  std::set<std::string> closed;  // names of which the images further below show nothing
  for (const Entry::Part& part : directory.parts) {
    part.image->ListDirectory(part.inode, 0, [&](const DirectoryEntry& listed) {
      std::string name(listed.name);
      if (closed.contains(name)) return true;
      const Inode inode = part.image->GetInode(part.inode, listed);
      const auto known = entries.find(name);
      if (IsWhiteout(inode.type, inode.device)) {
        closed.insert(std::move(name));
      } else if (known == entries.end()) {
        entries[name].parts.push_back({part.image, inode});
        if (!inode.IsDirectory()) closed.insert(std::move(name));
      } else if (inode.IsDirectory()) {
        known->second.parts.push_back({part.image, inode});
      } else {
        closed.insert(std::move(name));
      }
      return true;
    });
  }
  return entries;
}

}  // namespace firn
