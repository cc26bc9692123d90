#ifndef FIRN_FORMAT_SQUASHFS_WRITER_H_
#define FIRN_FORMAT_SQUASHFS_WRITER_H_

#include <cstdint>
#include <functional>
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
  uint64_t copied_blocks = 0;  // of `blocks`: those that were not compressed anew
};

// Where the contents of a tree's files come from.
class ContentSource {
 public:
  virtual ~ContentSource() = default;
  // Gives the content of a regular file, no hard link, to `data`. Called once for each, in
  // ContentOrder. `tick` takes the number of bytes that were read since its last call.
  virtual DataWriter::AddedFile Add(const TreeNode& file, DataWriter& data,
                                    const std::function<void(uint64_t)>& tick) = 0;
};

// Numbers the inodes of the tree and writes it as a SquashFS file system, with the mark, to the
// start of an empty file. Throws as WriteImage does.
SquashfsPart WriteSquashfs(int fd, TreeNode& root, const ImageWriterOptions& options,
                           ContentSource& contents, const ProgressFunction& progress);
// The same for files that are read below ImageWriterOptions::source_directory.
SquashfsPart WriteSquashfs(int fd, TreeNode& root, const ImageWriterOptions& options,
                           const ProgressFunction& progress);

}  // namespace firn

#endif  // FIRN_FORMAT_SQUASHFS_WRITER_H_
