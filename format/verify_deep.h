#ifndef FIRN_FORMAT_VERIFY_DEEP_H_
#define FIRN_FORMAT_VERIFY_DEEP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "format/appendix.h"
#include "format/block_cache.h"
#include "format/decompressor.h"
#include "format/extent_table.h"
#include "format/inode_table.h"
#include "format/manifest.h"
#include "format/metadata.h"
#include "format/superblock.h"
#include "format/verify_internal.h"

// Verification of each structure of the file system by itself, which serving files does not need:
// whether they contradict each other and the appendix. Each step logs what it finds and goes on.
namespace firn {

// The tables, read past Image, which shows only what they amount to. `fd`, `cache` are borrowed.
class DeepTables {
 public:
  // Throws kDamaged where superblock or id table are not what they must be.
  DeepTables(int fd, const Appendix& appendix, BlockCache& cache);

  const ExtentTable extents;  // what `source` checks by
  const VerifiedSource source;
  const Superblock super;
  const std::unique_ptr<const Decompressor> decompressor;
  const MetadataContext context;
  const InodeTable inodes;
  const MetadataTable listings;
  const IndexedTable exports;
  const IndexedTable fragments;

  // Where in the file the metadata block with a position in the inode table stands.
  uint64_t OffsetOf(InodeReference reference) const {
    return super.inode_table + (ToInt(reference) >> 16);
  }
};

// What is known of an inode after the tables were read.
struct DeepInode {
  InodeReference reference{};
  FileType type = FileType::kRegular;
  uint32_t links = 0;           // as it says
  uint32_t names = 0;           // as directories have it
  uint32_t subdirectories = 0;  // of a directory
  InodeNumber said_parent{};    // of a directory, as it says
  InodeNumber parent{};         // the directory that has its first name
  std::string name;             // its first
};

// Every inode that can be read, by its number, and where in the tree it is.
class DeepTree {
 public:
  std::unordered_map<uint32_t, DeepInode> inodes;
  // Those whose damage is in the log already.
  std::unordered_set<uint32_t> unreadable;

  DeepInode* Find(InodeNumber number);
  const DeepInode* Find(InodeNumber number) const;
  // Its first path, "/" for the root; empty where no directory has it.
  std::string PathOf(InodeNumber number) const;
  std::string PathOf(InodeNumber directory, std::string_view name) const;
};

// Superblock and compressor options against the manifest, fragment table, xattr table.
void VerifyTables(const DeepTables& tables, const Manifest& manifest, VerifyLog& log);
// Number of entries of the xattr table, each of which is checked; 0 where there is none.
uint32_t VerifyXattrs(const DeepTables& tables, VerifyLog& log);
// Every inode as it stands in the table, and the export table's way to it.
void VerifyInodes(const DeepTables& tables, DeepTree& tree, VerifyLog& log);
// Every listing and index from the root down; link counts and parents.
void VerifyListings(const DeepTables& tables, DeepTree& tree, VerifyLog& log);
// What the appendix says of the tree: counts, and paths that it names.
void VerifyClaims(int fd, const Appendix& appendix, const Manifest& manifest,
                  const DeepTables& tables, const DeepTree& tree, VerifyLog& log);

}  // namespace firn

#endif  // FIRN_FORMAT_VERIFY_DEEP_H_
