#ifndef FIRN_FORMAT_FILE_READER_H_
#define FIRN_FORMAT_FILE_READER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "format/image.h"
#include "format/inode.h"
#include "format/metadata.h"
#include "format/superblock.h"

namespace firn {

// Contents of regular files. Thread-safe.
class FileReader {
 public:
  // `inodes` is borrowed: it holds the lists of block sizes.
  // `drop_stored` is as in ImageOptions.
  FileReader(MetadataContext context, const Superblock& super, const MetadataTable& inodes,
             bool drop_stored);

  std::vector<FilePiece> Read(const Inode& file, uint64_t offset, uint64_t length) const;
  // Of block `index` < file.file.block_count.
  StoredBlock BlockAt(const Inode& file, uint64_t index) const;
  // Where the fragment block is stored that holds the file's tail.
  StoredBlock FragmentOf(const Inode& file) const;

 private:
  FilePiece BlockPiece(const Inode& file, uint64_t index, uint64_t from, uint64_t length) const;
  FilePiece TailPiece(const Inode& file, uint64_t from, uint64_t length) const;
  std::shared_ptr<const Block> LoadBlock(const StoredBlock& stored, BlockKind kind) const;
  std::shared_ptr<const Block> DecodeBlock(const StoredBlock& stored) const;
  std::shared_ptr<const Block> BlockMap(const Inode& file, uint64_t segment,
                                        const Block* previous) const;
  StoredBlock ParseSize(uint64_t offset, uint32_t size) const;

  MetadataContext context_;
  const uint32_t block_size_;
  const bool drop_stored_;
  const MetadataTable& inodes_;
  const IndexedTable fragments_;
};

}  // namespace firn

#endif  // FIRN_FORMAT_FILE_READER_H_
