#include "format/superblock.h"

#include <array>
#include <bit>
#include <cstring>
#include <string_view>

#include "format/byte_source.h"
#include "format/error.h"
#include "format/little_endian.h"

namespace firn {
namespace {

constexpr std::string_view kMagic = "hsqs";
constexpr uint32_t kMinBlockSize = 4096;
constexpr uint32_t kMaxBlockSize = uint32_t{1} << 20;

Error DamagedSuperblock(const std::string& message, uint64_t offset) {
  return DamagedError("superblock: " + message, offset);
}

bool HeadStartsWith(ByteSpan bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

std::string DescribeContent(ByteSpan head) {
  struct Known {
    std::string_view magic;
    std::string_view name;
  };
  static constexpr Known kKnown[] = {{"\x7f"
                                      "ELF",
                                      "an ELF file"},
                                     {"\x1f\x8b", "gzip data"},
                                     {"PK\x03\x04", "a zip archive"},
                                     {"DWARFS", "a DwarFS image"},
                                     {"sqsh", "a big-endian SquashFS file"},
                                     {"#!", "a script"}};
  for (const Known& known : kKnown) {
    if (HeadStartsWith(head, known.magic)) return std::string(known.name);
  }
  return "something else";
}

// A table starts behind the superblock and before the end of what is used.
void CheckTable(uint64_t start, uint64_t bytes_used, std::string_view name, uint64_t field) {
  if (start == kNoTable) return;
  if (start < kSuperblockLength || start >= bytes_used) {
    throw DamagedSuperblock("the " + std::string(name) + " table starts at " +
                                std::to_string(start) + ", outside the file system",
                            field);
  }
}

// A table's entries are found through a list of the offsets of its metadata blocks, which must be
// in the file, whatever the number of entries is said to be.
void CheckList(uint64_t start, uint64_t entries, uint64_t entries_in_block, const Superblock& super,
               std::string_view name, uint64_t field) {
  if (start == kNoTable) return;
  const uint64_t blocks = (entries + entries_in_block - 1) / entries_in_block;
  if (!FitsIn(start, blocks * 8, super.bytes_used)) {
    throw DamagedSuperblock(
        "more " + std::string(name) + " than its table can hold: " + std::to_string(entries),
        field);
  }
}

void CheckCounts(const Superblock& super) {
  CheckList(super.fragment_table, super.fragment_count, 512, super, "fragments", 16);
  CheckList(super.export_table, super.inode_count, 1024, super, "inodes", 4);
  CheckList(super.id_table, super.id_count, 2048, super, "ids", 26);
  // The shortest inode.
  constexpr uint64_t kShortest = 20;
  if (super.inode_count >
      MostDecodedMetadata(super.directory_table - super.inode_table) / kShortest) {
    throw DamagedSuperblock(
        "more inodes than the inode table can hold: " + std::to_string(super.inode_count), 4);
  }
}

void CheckTables(const Superblock& super) {
  CheckTable(super.id_table, super.bytes_used, "id", 48);
  CheckTable(super.inode_table, super.bytes_used, "inode", 64);
  CheckTable(super.directory_table, super.bytes_used, "directory", 72);
  CheckTable(super.fragment_table, super.bytes_used, "fragment", 80);
  CheckTable(super.export_table, super.bytes_used, "export", 88);
  if (super.inode_table == kNoTable || super.directory_table == kNoTable ||
      super.id_table == kNoTable) {
    throw DamagedSuperblock("a table that must be there is missing", 48);
  }
  if (super.inode_table >= super.directory_table) {
    throw DamagedSuperblock("the directory table does not follow the inode table", 72);
  }
}

}  // namespace

uint64_t MostDecodedMetadata(uint64_t stored) {
  // Its header, and the frame, the block and the byte to repeat, by which zstd says 8,192 equal
  // bytes. The other compressions take more.
  constexpr uint64_t kShortestBlock = 12;
  return (stored / kShortestBlock + 1) * kMetadataBlockSize;
}

std::string CompressionName(Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return "gzip";
    case Compression::kLzma:
      return "lzma";
    case Compression::kLzo:
      return "lzo";
    case Compression::kXz:
      return "xz";
    case Compression::kLz4:
      return "lz4";
    case Compression::kZstd:
      return "zstd";
  }
  return "compression " + std::to_string(ToInt(compression));
}

void CheckSquashfsHead(ByteSpan head, uint64_t file_length) {
  if (file_length == 0) {
    throw Error(ErrorKind::kDamaged, "is empty, expected an image",
                "Check how it was copied; build it anew with: firn build DIR -o IMAGE");
  }
  if (!HeadStartsWith(head, kMagic)) {
    throw Error(
        ErrorKind::kDamaged,
        "is not an image: expected SquashFS' magic \"hsqs\", found " + DescribeContent(head),
        "Check the name; an image is made with: firn build DIR -o IMAGE")
        .WithOffset(0);
  }
  if (file_length < kSuperblockLength) {
    throw DamagedSuperblock("cut short after " + std::to_string(file_length) + " bytes",
                            file_length);
  }
}

Superblock Superblock::Decode(ByteSpan bytes, uint64_t file_length) {
  CheckSquashfsHead(bytes, file_length);
  const std::byte* at = bytes.data();
  Superblock super;
  super.inode_count = LoadLe<uint32_t>(at + 4);
  super.mtime = LoadLe<uint32_t>(at + 8);
  super.block_size = LoadLe<uint32_t>(at + 12);
  super.fragment_count = LoadLe<uint32_t>(at + 16);
  super.compression = Compression{LoadLe<uint16_t>(at + 20)};
  const uint16_t block_log = LoadLe<uint16_t>(at + 22);
  super.flags = LoadLe<uint16_t>(at + 24);
  super.id_count = LoadLe<uint16_t>(at + 26);
  const uint16_t major = LoadLe<uint16_t>(at + 28);
  const uint16_t minor = LoadLe<uint16_t>(at + 30);
  super.root = InodeReference{LoadLe<uint64_t>(at + 32)};
  super.bytes_used = LoadLe<uint64_t>(at + 40);
  super.id_table = LoadLe<uint64_t>(at + 48);
  super.xattr_table = LoadLe<uint64_t>(at + 56);
  super.inode_table = LoadLe<uint64_t>(at + 64);
  super.directory_table = LoadLe<uint64_t>(at + 72);
  super.fragment_table = LoadLe<uint64_t>(at + 80);
  super.export_table = LoadLe<uint64_t>(at + 88);

  if (major != 4 || minor != 0) {
    throw Error(
        ErrorKind::kUnsupported,
        "is SquashFS " + std::to_string(major) + "." + std::to_string(minor) + ", expected 4.0",
        "Unpack it with an old unsquashfs and build an image of the tree.")
        .WithOffset(28);
  }
  if (!std::has_single_bit(super.block_size) || super.block_size < kMinBlockSize ||
      super.block_size > kMaxBlockSize || uint32_t{1} << (block_log & 31) != super.block_size) {
    throw DamagedSuperblock(
        "block size " + std::to_string(super.block_size) +
            " is no power of two from 4096 to 1048576, or contradicts its logarithm",
        12);
  }
  if (super.bytes_used > file_length) {
    throw DamagedSuperblock("cut short: the file system takes " + std::to_string(super.bytes_used) +
                                " bytes, the file has " + std::to_string(file_length),
                            40);
  }
  if (super.id_count == 0) throw DamagedSuperblock("no ids", 26);
  CheckTables(super);
  CheckCounts(super);
  return super;
}

Superblock Superblock::Read(const ByteSource& source, uint64_t file_length) {
  std::array<std::byte, kSuperblockLength> bytes;
  source.Read(ImageOffset{0}, bytes);
  return Decode(bytes, file_length);
}

}  // namespace firn
