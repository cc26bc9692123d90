#include "builder/merged_images.h"

#include <fcntl.h>

#include <ranges>
#include <set>
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

MergedImages::MergedImages(const std::vector<std::string>& paths)
    : cache_(std::make_unique<BlockCache>(kMergedCacheBytes)) {
  for (const std::string& path : paths) {
    images_.push_back(Image::Open(OpenFile(path, O_RDONLY, ErrorKind::kInput), path, *cache_));
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
    const std::optional<InodeNumber> number = part.image->Lookup(part.inode, name);
    if (!number) continue;
    const Inode inode = part.image->GetInode(*number);
    if (IsWhiteout(inode.type, inode.device)) break;
    if (!inode.IsDirectory()) {
      if (found.parts.empty()) found.parts.push_back({part.image, inode});
      break;
    }
    found.parts.push_back({part.image, inode});
  }
  if (found.parts.empty()) return std::nullopt;
  return found;
}

std::vector<std::string> MergedImages::List(const Entry& directory) const {
  std::set<std::string> shown;
  std::set<std::string> hidden;
  for (const Entry::Part& part : directory.parts) {
    part.image->ListDirectory(part.inode, 0, [&](const DirectoryEntry& entry) {
      std::string name(entry.name);
      const bool is_device = entry.type == FileType::kCharacterDevice;
      if (is_device && IsWhiteout(entry.type, part.image->GetInode(entry.inode).device)) {
        if (!shown.contains(name)) hidden.insert(std::move(name));
      } else if (!hidden.contains(name)) {
        shown.insert(std::move(name));
      }
      return true;
    });
  }
  return {shown.begin(), shown.end()};
}

}  // namespace firn
