#ifndef FIRN_FORMAT_INODE_H_
#define FIRN_FORMAT_INODE_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "format/types.h"

namespace firn {

enum class FileType : uint8_t {
  kDirectory = 1,
  kRegular,
  kSymlink,
  kBlockDevice,
  kCharacterDevice,
  kFifo,
  kSocket
};

// The type as st_mode has it (S_IFDIR, …); 0 for a value that is none.
mode_t TypeBits(FileType type);

// A position in the decoded stream of the inode or the directory table.
struct MetadataPosition {
  uint64_t block = 0;   // of the metadata block, bytes from the table's start
  uint32_t offset = 0;  // in the decoded block
};

// An inode as the file system has it. Plain data, decoded and checked by Image.
struct Inode {
  InodeNumber number{};
  FileType type = FileType::kRegular;
  mode_t mode = 0;  // type and permission bits, as in st_mode
  uid_t uid = 0;
  gid_t gid = 0;
  int64_t mtime = 0;
  uint32_t link_count = 0;
  uint64_t size = 0;    // content, symlink target, or for a directory its listing
  uint32_t device = 0;  // of a device node, encoded as Linux does in 32 bits

  struct File {
    uint64_t blocks_start = 0;
    bool has_fragment = false;
    FragmentIndex fragment{};
    uint32_t fragment_offset = 0;
    uint64_t block_count = 0;  // without the fragment
    uint64_t sparse_bytes = 0;
    MetadataPosition block_sizes;  // where the list of block sizes stands
  } file;

  struct Directory {
    MetadataPosition listing;
    uint32_t listing_length = 0;
    InodeNumber parent{};
    uint32_t index_count = 0;
    MetadataPosition index;
  } directory;

  MetadataPosition symlink_target;

  bool IsDirectory() const { return type == FileType::kDirectory; }
  bool IsRegular() const { return type == FileType::kRegular; }
  bool IsSymlink() const { return type == FileType::kSymlink; }
};

}  // namespace firn

#endif  // FIRN_FORMAT_INODE_H_
