#ifndef FIRN_MOUNTD_TREE_H_
#define FIRN_MOUNTD_TREE_H_

#include <sys/stat.h>

#include <cstdint>
#include <string_view>

#include "format/image.h"

namespace firn {

class ReadAhead;

// What a FUSE superblock names an inode by, and the st_ino that programs see.
using NodeId = uint64_t;
inline constexpr NodeId kRootNode = 1;  // fixed by the protocol

// Where the image's root stands in the session's FUSE root.
enum class RootLayout {
  kImageIsRoot,         // it is the FUSE root
  kImageIsSubdirectory  // it is the one entry, kImageDirectory, of the FUSE root (see view.h)
};

// An image as a FUSE superblock shows it: which node is which inode. Node ids are computed, never
// stored: 1 is the FUSE root, any other (slot 1) << 32 | inode number. Thread-safe.
class Tree {
 public:
  // `read_ahead`, where given, learns of every read; it outlives the tree.
  Tree(const Image& image, RootLayout layout, ReadAhead* read_ahead = nullptr)
      : image_(image), layout_(layout), read_ahead_(read_ahead) {}

  const Image& image() const { return image_; }
  ReadAhead* read_ahead() const { return read_ahead_; }

  // Is this the FUSE root above the image's root, which has no inode?
  bool IsAboveImage(NodeId node) const {
    return node == kRootNode && layout_ == RootLayout::kImageIsSubdirectory;
  }

  NodeId NodeOf(InodeNumber inode) const;
  // Any node but that above the image. Throws kInternal for an id that NodeOf() never gave.
  InodeNumber InodeOf(NodeId node) const;
  Inode GetInode(NodeId node) const { return image_.GetInode(InodeOf(node)); }

  struct stat StatOf(const Inode& inode) const;
  struct stat StatAboveImage() const;

 private:
  const Image& image_;
  const RootLayout layout_;
  ReadAhead* const read_ahead_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_TREE_H_
