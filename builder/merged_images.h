#ifndef FIRN_BUILDER_MERGED_IMAGES_H_
#define FIRN_BUILDER_MERGED_IMAGES_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/block_cache.h"
#include "format/image.h"

namespace firn {

// Is it overlayfs' mark for "the layers below have this name, the merge has not"? A character
// device of number 0: https://docs.kernel.org/filesystems/overlayfs.html.
bool IsWhiteout(FileType type, uint32_t device);

// The tree that a layer and the images below it show together, as overlayfs would. Thread-safe.
class MergedImages {
 public:
  // An entry: in which image it is, and for a directory in which ones, the topmost first.
  struct Entry {
    struct Part {
      const Image* image;
      Inode inode;
    };
    std::vector<Part> parts;  // one, but for a directory that several images have

    const Inode& inode() const { return parts.front().inode; }
    const Image& image() const { return *parts.front().image; }
  };

  // The lowest first, as a job would show them. Throws as Image::Open().
  explicit MergedImages(const std::vector<std::string>& paths, bool allow_foreign = false);

  Entry root() const;
  // nullopt where the directory has no such name.
  std::optional<Entry> Lookup(const Entry& directory, std::string_view name) const;
  // What the directory shows, by name, in the order of their bytes.
  std::map<std::string, Entry> Entries(const Entry& directory) const;
  // The image on top.
  const Image& top() const { return *images_.back(); }

 private:
  std::unique_ptr<BlockCache> cache_;
  std::vector<std::unique_ptr<const Image>> images_;
};

}  // namespace firn

#endif  // FIRN_BUILDER_MERGED_IMAGES_H_
