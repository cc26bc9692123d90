#ifndef FIRN_FORMAT_IMAGE_WRITER_H_
#define FIRN_FORMAT_IMAGE_WRITER_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "format/digest.h"
#include "format/inode.h"
#include "format/manifest.h"
#include "format/types.h"

namespace firn {

// A node of the tree to write. Plain data; children are sorted by the bytes of their names.
struct TreeNode {
  std::string name;  // empty for the root
  FileType type = FileType::kDirectory;
  mode_t permissions = 0755;      // the lower 12 bits of st_mode
  std::string symlink_target;     // of a symlink
  uint32_t device = 0;            // of a device node
  uint64_t size = 0;              // of a regular file
  std::string source_path;        // of a regular file: where its content is read
  TreeNode* hard_link = nullptr;  // another name of that regular file (which is no hard link)
  TreeNode* parent = nullptr;
  std::vector<std::unique_ptr<TreeNode>> children;
};

struct ImageWriterOptions {
  uint32_t block_size = 1u << 20;  // a power of two from 4 KiB to 1 MiB
  int level = 9;                   // zstd, 1 to 22
  unsigned jobs = 1;               // compressing threads
  int64_t time = 0;                // of every inode and of the superblock, 0 to 2^32 - 1
};

}  // namespace firn

#endif  // FIRN_FORMAT_IMAGE_WRITER_H_
