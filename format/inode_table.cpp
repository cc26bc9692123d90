#include "format/inode_table.h"

#include <algorithm>
#include <array>
#include <span>

#include "format/error.h"
#include "format/layout.h"
#include "format/little_endian.h"

namespace firn {
namespace {

// Type numbers of SquashFS; the extended form of each is 7 higher.
constexpr uint16_t kDirectory = 1;
constexpr uint16_t kFile = 2;
constexpr uint16_t kSymlink = 3;
constexpr uint16_t kBlockDevice = 4;
constexpr uint16_t kCharacterDevice = 5;
constexpr uint16_t kFifo = 6;
constexpr uint16_t kSocket = 7;
constexpr uint16_t kExtended = 7;

constexpr uint32_t kNoFragment = 0xffffffff;
// Of a file without an export table, where each takes memory. A few bytes decode to thousands.
constexpr size_t kMostScanned = size_t{1} << 24;
// A listing's length counts 3 bytes for . and .. that are not stored.
constexpr uint32_t kListingSurplus = 3;
// PATH_MAX with its NUL: nobody can make a longer one, and FUSE passes none on.
constexpr uint32_t kMaxSymlinkLength = 4095;

Error DamagedInodeTable(const std::string& message, uint64_t offset) {
  return DamagedError("inode table: " + message, offset);
}

void DecodeDirectory(MetadataCursor& cursor, InodeTable::Record& record) {
  Inode& inode = record.inode;
  Inode::Directory& directory = inode.directory;
  if (record.extended) {
    inode.link_count = cursor.ReadNumber<uint32_t>();
    inode.size = cursor.ReadNumber<uint32_t>();
    directory.listing.block = cursor.ReadNumber<uint32_t>();
    directory.parent = InodeNumber{cursor.ReadNumber<uint32_t>()};
    directory.index_count = cursor.ReadNumber<uint16_t>();
    directory.listing.offset = cursor.ReadNumber<uint16_t>();
    record.xattr = cursor.ReadNumber<uint32_t>();
    directory.index = cursor.position();
  } else {
    directory.listing.block = cursor.ReadNumber<uint32_t>();
    inode.link_count = cursor.ReadNumber<uint32_t>();
    inode.size = cursor.ReadNumber<uint16_t>();
    directory.listing.offset = cursor.ReadNumber<uint16_t>();
    directory.parent = InodeNumber{cursor.ReadNumber<uint32_t>()};
  }
  directory.listing_length =
      inode.size < kListingSurplus ? 0 : static_cast<uint32_t>(inode.size) - kListingSurplus;
}

void DecodeFile(MetadataCursor& cursor, InodeTable::Record& record) {
  Inode& inode = record.inode;
  Inode::File& file = inode.file;
  uint32_t fragment = kNoFragment;
  if (record.extended) {
    file.blocks_start = cursor.ReadNumber<uint64_t>();
    inode.size = cursor.ReadNumber<uint64_t>();
    file.sparse_bytes = cursor.ReadNumber<uint64_t>();
    inode.link_count = cursor.ReadNumber<uint32_t>();
    fragment = cursor.ReadNumber<uint32_t>();
    file.fragment_offset = cursor.ReadNumber<uint32_t>();
    record.xattr = cursor.ReadNumber<uint32_t>();
  } else {
    file.blocks_start = cursor.ReadNumber<uint32_t>();
    fragment = cursor.ReadNumber<uint32_t>();
    file.fragment_offset = cursor.ReadNumber<uint32_t>();
    inode.size = cursor.ReadNumber<uint32_t>();
    inode.link_count = 1;
  }
  file.has_fragment = fragment != kNoFragment;
  file.fragment = FragmentIndex{fragment};
  file.block_sizes = cursor.position();
}

void DecodeSymlink(MetadataCursor& cursor, uint64_t table_start, Inode& inode) {
  inode.link_count = cursor.ReadNumber<uint32_t>();
  inode.size = cursor.ReadNumber<uint32_t>();
  if (inode.size == 0 || inode.size > kMaxSymlinkLength) {
    throw DamagedInodeTable("a symlink has an impossible length of " + std::to_string(inode.size),
                            table_start + cursor.position().block);
  }
  inode.symlink_target = cursor.position();
}

void DecodeDevice(MetadataCursor& cursor, Inode& inode) {
  inode.link_count = cursor.ReadNumber<uint32_t>();
  inode.device = cursor.ReadNumber<uint32_t>();
}

}  // namespace

InodeTable::InodeTable(MetadataContext context, const Superblock& super)
    : inode_count_(super.inode_count),
      block_size_(super.block_size),
      metadata_(context, super.inode_table, super.directory_table),
      exports_(context, super.export_table, super.inode_count, 8) {
  const IndexedTable ids(context, super.id_table, super.id_count, 4);
  ids_.reserve(super.id_count);
  for (uint32_t i = 0; i < super.id_count; ++i) {
    std::array<std::byte, 4> bytes;
    ids.ReadEntry(i, bytes);
    ids_.push_back(LoadLe<uint32_t>(bytes.data()));
  }
}

uint32_t InodeTable::Id(uint16_t index) const {
  if (index >= ids_.size()) {
    throw DamagedInodeTable("an owner has number " + std::to_string(index) + " of " +
                                std::to_string(ids_.size()) + " ids",
                            metadata_.start());
  }
  return ids_[index];
}

Inode InodeTable::ByReference(InodeReference reference) const {
  MetadataCursor cursor(metadata_,
                        {ToInt(reference) >> 16, static_cast<uint32_t>(ToInt(reference) & 0xffff)});
  return Decode(cursor).inode;
}

Inode InodeTable::ByNumber(InodeNumber number) const {
  const Inode inode = ByReference(ReferenceOf(number));
  if (inode.number != number) {
    throw DamagedInodeTable("inode " + std::to_string(ToInt(number)) + " asked for, " +
                                std::to_string(ToInt(inode.number)) + " found",
                            metadata_.start());
  }
  return inode;
}

InodeReference InodeTable::ReferenceOf(InodeNumber number) const {
  const uint32_t value = ToInt(number);
  if (value == 0 || value > inode_count_) {
    throw DamagedInodeTable(
        "inode " + std::to_string(value) + " of " + std::to_string(inode_count_),
        metadata_.start());
  }
  if (exports_.count() != 0) {
    std::array<std::byte, 8> bytes;
    exports_.ReadEntry(value - 1, bytes);
    return InodeReference{LoadLe<uint64_t>(bytes.data())};
  }
  std::call_once(scanned_, [this] { Scan(); });
  const auto found = std::ranges::lower_bound(located_, number, {}, &Located::number);
  if (found == located_.end() || found->number != number) {
    throw DamagedInodeTable("inode " + std::to_string(value) + " is missing", metadata_.start());
  }
  return found->reference;
}

InodeTable::Record InodeTable::Decode(MetadataCursor& cursor) const {
  const uint64_t offset = metadata_.start() + cursor.position().block;
  const uint16_t type = cursor.ReadNumber<uint16_t>();
  if (type == 0 || type > kSocket + kExtended) {
    throw DamagedInodeTable("type " + std::to_string(type) + " is none", offset);
  }
  Record record;
  record.extended = type > kSocket;
  const uint16_t basic_type = record.extended ? type - kExtended : type;
  Inode& inode = record.inode;
  inode.type = FileType{static_cast<uint8_t>(basic_type)};
  inode.mode = (cursor.ReadNumber<uint16_t>() & 07777u) | TypeBits(inode.type);
  inode.uid = Id(cursor.ReadNumber<uint16_t>());
  inode.gid = Id(cursor.ReadNumber<uint16_t>());
  inode.mtime = cursor.ReadNumber<uint32_t>();
  inode.number = InodeNumber{cursor.ReadNumber<uint32_t>()};
  DecodeBody(cursor, record);
  return record;
}

void InodeTable::DecodeBody(MetadataCursor& cursor, Record& record) const {
  Inode& inode = record.inode;
  switch (inode.type) {
    case FileType::kDirectory:
      DecodeDirectory(cursor, record);
      break;
    case FileType::kRegular:
      DecodeFile(cursor, record);
      CountBlocks(inode, cursor.position());
      break;
    case FileType::kSymlink:
      DecodeSymlink(cursor, metadata_.start(), inode);
      break;
    case FileType::kBlockDevice:
    case FileType::kCharacterDevice:
      DecodeDevice(cursor, inode);
      break;
    case FileType::kFifo:
    case FileType::kSocket:
      inode.link_count = cursor.ReadNumber<uint32_t>();
      break;
  }
}

void InodeTable::CountBlocks(Inode& inode, const MetadataPosition& list) const {
  const uint64_t size = inode.size;
  // What the kernel's page cache can address (MAX_LFS_FILESIZE).
  if (size > static_cast<uint64_t>(INT64_MAX)) {
    throw DamagedInodeTable("a file has an impossible size of " + std::to_string(size),
                            metadata_.start());
  }
  const uint64_t whole = size / block_size_;
  const bool tail = size % block_size_ != 0;
  inode.file.block_count = whole + (tail && !inode.file.has_fragment ? 1 : 0);
  // A size is a claim until its list could be there: each block has 4 bytes in it, a hole too.
  const uint64_t stored = metadata_.limit() - metadata_.start() - list.block;
  const uint64_t most = MostDecodedMetadata(stored) / 4;
  if (inode.file.block_count > std::min(most, kMaxFileBlocks)) {
    throw DamagedInodeTable("a file of " + std::to_string(size) +
                                " bytes has more blocks than a file, or the inode table, can have",
                            metadata_.start() + list.block);
  }
}

// A foreign file without an export table: every inode once, in the order in which they stand. What
// is kept grows with what was found, not with what the superblock claims.
void InodeTable::Scan() const {
  std::vector<Located> located;
  MetadataCursor cursor(metadata_, {});
  for (uint32_t i = 0; i < inode_count_; ++i) {
    const MetadataPosition start = cursor.position();
    const Record record = ReadNext(cursor);
    if (located.size() == kMostScanned) {
      throw DamagedInodeTable("more than " + std::to_string(kMostScanned) +
                                  " inodes and no export table",
                              metadata_.start() + start.block);
    }
    located.push_back({record.inode.number, InodeReference{start.block << 16 | start.offset}});
  }
  std::ranges::sort(located, {}, &Located::number);
  located_ = std::move(located);
}

InodeTable::Record InodeTable::ReadNext(MetadataCursor& cursor) const {
  Record record = Decode(cursor);
  SkipRest(cursor, record);
  return record;
}

std::string InodeTable::ReadTarget(const Inode& symlink) const {
  std::string target(symlink.size, '\0');
  MetadataCursor cursor(metadata_, symlink.symlink_target);
  cursor.Read(std::as_writable_bytes(std::span(target)));
  return target;
}

void InodeTable::SkipRest(MetadataCursor& cursor, Record& record) {
  const Inode& inode = record.inode;
  switch (inode.type) {
    case FileType::kRegular:
      cursor.Skip(inode.file.block_count * 4);
      return;
    case FileType::kDirectory:
      for (uint32_t i = 0; i < inode.directory.index_count; ++i) {
        cursor.Skip(8);
        cursor.Skip(uint64_t{cursor.ReadNumber<uint32_t>()} + 1);
      }
      return;
    case FileType::kSymlink:
      cursor.Skip(inode.size);
      break;
    default:
      break;
  }
  if (record.extended) record.xattr = cursor.ReadNumber<uint32_t>();  // behind the rest
}

}  // namespace firn
