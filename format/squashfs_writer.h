#ifndef FIRN_FORMAT_SQUASHFS_WRITER_H_
#define FIRN_FORMAT_SQUASHFS_WRITER_H_

#include <cstdint>
#include <vector>

#include "format/data_writer.h"
#include "format/digest.h"
#include "format/image_writer.h"
#include "format/manifest.h"

namespace firn {

// What the appendix has to know of the SquashFS part.
struct SquashfsPart {
  uint64_t length = 0;
  std::vector<WrittenBlock> blocks;  // data and fragment blocks, in order, the first at
                                     // kFirstDataOffset, without gaps
  std::vector<Digest> digests;       // SHA-256 of the regular files, by inode number
  Manifest::Contents contents;
  uint64_t duplicate_files = 0;
};

// Numbers the inodes of the tree and writes it as a SquashFS file system, with the mark, to the
// start of an empty file. Throws as WriteImage does.
SquashfsPart WriteSquashfs(int fd, TreeNode& root, const ImageWriterOptions& options,
                           const ProgressFunction& progress);

}  // namespace firn

#endif  // FIRN_FORMAT_SQUASHFS_WRITER_H_
