#ifndef FIRN_TESTS_FUZZ_IMAGE_PARTS_H_
#define FIRN_TESTS_FUZZ_IMAGE_PARTS_H_

#include <array>
#include <cstdint>
#include <vector>

#include "format/types.h"

namespace firn::fuzz {

using Bytes = std::vector<std::byte>;

// An image taken apart. Tables are here as they are decoded, so that whoever changes a number in
// them need not care for checksums, offsets and compression, which Assemble() makes anew.
enum class Part : uint8_t {
  kOptions,     // 4 bytes, bits of AssembleOption
  kSuperblock,  // its 96 bytes, and compressor options; offsets in it are overwritten
  kData,        // what stands from kFirstDataOffset to the inode table
  kInodes,
  kListings,
  kFragments,
  kExports,
  kIds,
  kXattrs,  // length of the pairs (2), pairs, entries of 16 bytes; empty: no table
  kLists,   // edits of the lists by which the last three are found: (table, entry)
  kManifest,
  kDigests,
  kProfile,
  kOther,       // a section that readers do not know
  kExtents,     // records of offset (8) and length (4), for kExtentsAsGiven
  kCore,        // edits of the core table
  kSignatures,  // area without its checksum
  kFooter,      // edits of footer, mark and file
  kCount,
};

// How the parts are put together.
enum AssembleOption : uint32_t {
  // The offset in the superblock stays as it is in the part.
  kRawIdTable = 1 << 0,
  kRawXattrTable = 1 << 1,
  kRawInodeTable = 1 << 2,
  kRawDirectoryTable = 1 << 3,
  kRawFragmentTable = 1 << 4,
  kRawExportTable = 1 << 5,
  kRawBytesUsed = 1 << 6,
  // Stored as zstd makes them.
  kCompressInodes = 1 << 8,
  kCompressListings = 1 << 9,
  kCompressIndexed = 1 << 10,
  // The part is what is stored, headers of metadata blocks and all.
  kStoredInodes = 1 << 12,
  kStoredListings = 1 << 13,
  kTinyExtents = 1 << 16,  // so that section extents has several pages
  kExtentsAsGiven = 1 << 17,
  kRawSignatureId = 1 << 18,  // not this image's
};

// In parts that are edits: records of 10 bytes, where (1), index (1), value (8). FORMAT.md's order
// of the fields, from 0; in kCore: offset, length, digest, name of a section, then what the head
// has; in kFooter behind the fields: bytes cut off, bytes appended, and the mark's version.
struct Edit {
  static constexpr size_t kLength = 10;
  uint8_t where;
  uint8_t index;
  uint64_t value;
};

struct ImageParts {
  std::array<Bytes, static_cast<size_t>(Part::kCount)> parts;

  Bytes& operator[](Part part) { return parts[static_cast<size_t>(part)]; }
  const Bytes& operator[](Part part) const { return parts[static_cast<size_t>(part)]; }
};

// The file of an image: all its checksums and its id are right, whatever the parts say.
Bytes Assemble(const ImageParts& parts);

// Of a good image. Throws Error.
ImageParts TakeApart(ByteSpan image);

}  // namespace firn::fuzz

#endif  // FIRN_TESTS_FUZZ_IMAGE_PARTS_H_
