#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "format/error.h"
#include "format/layout.h"
#include "format/little_endian.h"
#include "format/parallel.h"
#include "format/verify_deep.h"

namespace firn {
namespace {

constexpr uint16_t kHasExportTable = 0x0080;
constexpr uint16_t kHasOptions = 0x0400;
constexpr uint64_t kXattrHeaderLength = 16;
constexpr uint64_t kXattrEntryLength = 16;
constexpr uint64_t kEntriesInBlock = kMetadataBlockSize / kXattrEntryLength;

// Prefixes of the names of extended attributes; with the bit, the value stands elsewhere.
constexpr uint16_t kXattrPrefixes = 3;
constexpr uint16_t kValueElsewhere = 0x100;
// Linux' limits of a value, and more pairs than any image has: entries may share them.
constexpr uint32_t kMaxXattrValue = 65'536;
constexpr uint64_t kMaxXattrPairs = uint64_t{1} << 24;

void CheckSuperblock(const DeepTables& tables, const Manifest& manifest, VerifyLog& log) {
  const Superblock& super = tables.super;
  const auto differ = [&](uint64_t offset, const std::string& what, const std::string& said,
                          const std::string& found) {
    if (said != found) {
      log.Add({}, offset, "superblock: " + what + " " + found + ", the manifest says " + said);
    }
  };
  differ(8, "time", std::to_string(manifest.time), std::to_string(super.mtime));
  differ(12, "block size", std::to_string(manifest.block_size), std::to_string(super.block_size));
  differ(20, "compression", manifest.compression, CompressionName(super.compression));
  if ((super.flags & kHasExportTable) != 0 && tables.exports.count() == 0) {
    log.Add({}, 24, "superblock: flags speak of an export table that is not there");
  }
  const bool has_xattrs = super.xattr_table != kNoTable;
  if (has_xattrs && super.xattr_table >= super.bytes_used) {
    log.Add({}, 56, "superblock: the xattr table starts outside the file system");
  }
}

// A metadata block of 4 bytes, the level, where flagged.
void CheckOptions(const DeepTables& tables, const Manifest& manifest, VerifyLog& log) {
  if ((tables.super.flags & kHasOptions) == 0 || tables.super.compression != Compression::kZstd) {
    return;
  }
  std::array<std::byte, 6> bytes;
  tables.source.Read(ImageOffset{kSuperblockLength}, bytes);
  const uint16_t header = LoadLe<uint16_t>(bytes.data());
  const uint32_t level = LoadLe<uint32_t>(bytes.data() + 2);
  if (header != 0x8004 || level != static_cast<uint32_t>(manifest.compression_level)) {
    log.Add({}, kSuperblockLength,
            "compressor options: level " + std::to_string(level) + ", the manifest says " +
                std::to_string(manifest.compression_level));
  }
}

// Does every entry lead to a block of data, and can that be decoded?
void CheckFragment(const DeepTables& tables, uint64_t index) {
  std::array<std::byte, 16> entry;
  tables.fragments.ReadEntry(index, entry);
  const uint64_t offset = LoadLe<uint64_t>(entry.data());
  const uint32_t word = LoadLe<uint32_t>(entry.data() + 8);
  const uint32_t length = word & kStoredLengthMask;
  if (length == 0 || length > tables.super.block_size ||
      word > (kStoredLengthMask | kStoredUncompressed) || offset < kFirstDataOffset ||
      !FitsIn(offset, length, tables.super.inode_table)) {
    throw DamagedError("leads to " + std::to_string(length) + " bytes at " +
                           std::to_string(offset) + ", outside the data",
                       tables.super.fragment_table);
  }
  if ((word & kStoredUncompressed) != 0) return;
  std::vector<std::byte> stored(length);
  std::vector<std::byte> decoded(tables.super.block_size);
  tables.source.Read(ImageOffset{offset}, stored);
  try {
    tables.decompressor->Decode(stored, decoded);
  } catch (const Error& error) {
    throw error.WithOffset(offset);
  }
}

uint32_t StoredLengthOf(const DeepTables& tables, uint64_t index) {
  std::array<std::byte, 16> entry;
  tables.fragments.ReadEntry(index, entry);
  return LoadLe<uint32_t>(entry.data() + 8) & kStoredLengthMask;
}

// Have all of them together no more bytes than there are? Decoding one block a thousand million
// times would take for ever.
bool FragmentsAreApart(const DeepTables& tables, VerifyLog& log) {
  ReadBudget bytes(tables.super.bytes_used);
  for (uint64_t i = 0; i < tables.fragments.count(); ++i) {
    try {
      if (bytes.Take(StoredLengthOf(tables, i))) continue;
      log.Add({}, tables.super.fragment_table,
              "fragments have more bytes than the file: some are the same block");
      return false;
    } catch (const Error&) {  // told when it is checked
    }
  }
  return true;
}

void CheckFragments(const DeepTables& tables, VerifyLog& log) {
  if (!FragmentsAreApart(tables, log)) return;
  ParallelFor(log.jobs(), tables.fragments.count(), [&](uint64_t i) {
    try {
      CheckFragment(tables, i);
    } catch (const Error& error) {
      // A damaged extent is in the log by the files that it holds.
      if (!log.IsDamaged(error.offset().value_or(0))) {
        log.Add({}, Error(error.kind(), "fragment " + std::to_string(i) + ": " + error.message())
                        .WithOffset(error.offset().value_or(0)));
      }
    }
  });
}

// The pairs of an entry, as the kernel would read them.
class XattrVerifier {
 public:
  explicit XattrVerifier(const DeepTables& tables)
      : tables_(tables), start_(tables.super.xattr_table) {
    std::array<std::byte, kXattrHeaderLength> header;
    tables.source.Read(ImageOffset{start_}, header);
    pairs_start_ = LoadLe<uint64_t>(header.data());
    count_ = LoadLe<uint32_t>(header.data() + 8);
    if (pairs_start_ < tables.super.directory_table || pairs_start_ >= start_) {
      throw DamagedError("xattr table: its pairs start at " + std::to_string(pairs_start_) +
                             ", outside the tables",
                         start_);
    }
  }

  uint32_t count() const { return count_; }

  // Throws kDamaged for the first that is not as it must be.
  void CheckAll() const {
    uint64_t pairs_left = kMaxXattrPairs;
    const MetadataTable pairs(tables_.context, pairs_start_, start_);
    for (uint64_t i = 0; i < count_; i += kEntriesInBlock) {
      std::array<std::byte, 8> place;
      tables_.source.Read(ImageOffset{start_ + kXattrHeaderLength + i / kEntriesInBlock * 8},
                          place);
      const MetadataTable entries(tables_.context, 0, start_);
      MetadataCursor cursor(entries, {LoadLe<uint64_t>(place.data()), 0});
      for (uint64_t k = i; k < std::min<uint64_t>(count_, i + kEntriesInBlock); ++k) {
        const uint64_t position = cursor.ReadNumber<uint64_t>();
        const uint32_t pair_count = cursor.ReadNumber<uint32_t>();
        cursor.Skip(4);
        MetadataCursor pair(pairs, {position >> 16, static_cast<uint32_t>(position & 0xffff)});
        if (pair_count > pairs_left) throw DamagedError("xattr table: too many pairs", start_);
        pairs_left -= pair_count;
        for (uint32_t n = 0; n < pair_count; ++n) CheckPair(pairs, pair);
      }
    }
  }

 private:
  void CheckPair(const MetadataTable& pairs, MetadataCursor& cursor) const {
    const uint16_t type = cursor.ReadNumber<uint16_t>();
    if ((type & ~kValueElsewhere) >= kXattrPrefixes) {
      throw DamagedError("xattr table: a name has the prefix " + std::to_string(type),
                         pairs_start_ + cursor.position().block);
    }
    cursor.Skip(cursor.ReadNumber<uint16_t>());
    const uint32_t length = cursor.ReadNumber<uint32_t>();
    if ((type & kValueElsewhere) == 0) return SkipValue(cursor, length);
    if (length != 8) {
      throw DamagedError("xattr table: a value's place has " + std::to_string(length) + " bytes",
                         pairs_start_ + cursor.position().block);
    }
    const uint64_t position = cursor.ReadNumber<uint64_t>();
    MetadataCursor value(pairs, {position >> 16, static_cast<uint32_t>(position & 0xffff)});
    SkipValue(value, value.ReadNumber<uint32_t>());
  }

  void SkipValue(MetadataCursor& cursor, uint32_t length) const {
    if (length > kMaxXattrValue) {
      throw DamagedError("xattr table: a value of " + std::to_string(length) + " bytes",
                         pairs_start_ + cursor.position().block);
    }
    cursor.Skip(length);
  }

  const DeepTables& tables_;
  const uint64_t start_;
  uint64_t pairs_start_ = 0;
  uint32_t count_ = 0;
};

}  // namespace

void VerifyTables(const DeepTables& tables, const Manifest& manifest, VerifyLog& log) {
  CheckSuperblock(tables, manifest, log);
  CheckOptions(tables, manifest, log);
  CheckFragments(tables, log);
}

uint32_t VerifyXattrs(const DeepTables& tables, VerifyLog& log) {
  if (tables.super.xattr_table == kNoTable) return 0;
  uint32_t count = 0;
  try {
    const XattrVerifier xattrs(tables);
    count = xattrs.count();
    xattrs.CheckAll();
  } catch (const Error& error) {
    log.Add({}, error);
  }
  return count;
}

}  // namespace firn
