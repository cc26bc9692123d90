#ifndef FIRN_FORMAT_IMAGE_WRITER_H_
#define FIRN_FORMAT_IMAGE_WRITER_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "format/digest.h"
#include "format/file.h"
#include "format/inode.h"
#include "format/manifest.h"
#include "format/source_file.h"
#include "format/types.h"

namespace firn {

// A node of the tree to write. Plain data; children are sorted by the bytes of their names.
struct TreeNode {
  std::string name;  // empty for the root
  FileType type = FileType::kDirectory;
  mode_t permissions = 0755;      // the lower 12 bits of st_mode
  std::string symlink_target;     // of a symlink
  uint32_t device = 0;            // of a device node, encoded as Linux does in 32 bits
  std::string source_path;        // of a regular file: where its content is read; empty: at its own
                                  // place below ImageWriterOptions::source_directory
  SourceStamp stamp;              // of a regular file: what its source must still be when read
  bool may_have_links = false;    // of a regular file: other names may lead to it
  TreeNode* hard_link = nullptr;  // another name of that regular file, which is no hard link and
                                  // comes earlier in the walk
  TreeNode* parent = nullptr;
  std::vector<std::unique_ptr<TreeNode>> children;
  InodeNumber inode_number{};  // set by WriteImage

  // Names from the root, joined by '/'; empty for the root.
  std::string RelativePath() const;
};

// In which order contents stand in the image.
struct ContentOrder {
  std::vector<const TreeNode*> files;  // each regular file once, no hard links; empty: as walked
  size_t front = 0;                    // the first so many share no fragment block with the rest
};

// A section that the writer of the SquashFS part knows nothing of.
struct ExtraSection {
  std::string name;
  std::string content;
};

struct ImageWriterOptions {
  uint32_t block_size = 1u << 20;  // a power of two from 4 KiB to 1 MiB
  int level = 9;                   // zstd, 1 to 22
  unsigned jobs = 1;               // compressing threads
  int64_t time = 0;                // of every inode and of the superblock, 0 to 2^32 - 1
  int source_directory = -1;       // descriptor of the directory that the tree was read from
  std::string source_name;         // its name, for messages
  std::string profile = {};        // text that goes into the image; empty: none
  std::vector<ExtraSection> sections = {};
  ContentOrder order = {};
};

struct WriteProgress {
  uint64_t files = 0;  // regular files read so far
  uint64_t bytes = 0;  // of their contents
};

// Called by the writing thread every few milliseconds. May throw to give up (an Error of
// kInterrupted, say).
using ProgressFunction = std::function<void(const WriteProgress&)>;

struct WrittenImage {
  Digest id;
  Manifest manifest;  // as it stands in the image
  uint64_t squashfs_length = 0;
  uint64_t file_length = 0;
  uint64_t duplicate_files = 0;  // regular files whose content another file has
};

// Writes a whole image to the descriptor, which is an empty file open for reading and writing.
// `manifest` has name, prefix, builder and python; the rest of it is filled in here. Throws kInput
// for a source that cannot be read or that changed, kOutput for the image.
WrittenImage WriteImage(int fd, TreeNode& root, const ImageWriterOptions& options,
                        Manifest manifest, const ProgressFunction& progress);

}  // namespace firn

#endif  // FIRN_FORMAT_IMAGE_WRITER_H_
