#include "format/file_reader.h"

#include <algorithm>
#include <array>
#include <string>

#include "format/error.h"
#include "format/layout.h"
#include "format/little_endian.h"

namespace firn {
namespace {

// A file's list of block sizes is turned into offsets in segments of so many blocks, so that a huge
// file costs no more memory than a small one.
constexpr uint64_t kSegmentBlocks = 2048;

// What a segment's Block holds: where the list goes on behind it, then for each block its offset
// and size word.
struct SegmentHeader {
  MetadataPosition next_sizes;
  uint64_t next_offset = 0;
};
struct SegmentEntry {
  uint64_t offset = 0;
  uint32_t size = 0;
  uint32_t unused = 0;
};

const SegmentHeader& HeaderOf(const Block& segment) {
  return *reinterpret_cast<const SegmentHeader*>(segment.bytes().data());
}

const SegmentEntry& EntryOf(const Block& segment, uint64_t index) {
  // Two inodes that claim one number would share a map: one may be shorter than the other needs.
  if (index >= (segment.bytes().size() - sizeof(SegmentHeader)) / sizeof(SegmentEntry)) {
    throw DamagedError("two inodes have one number", 0);
  }
  return reinterpret_cast<const SegmentEntry*>(segment.bytes().data() +
                                               sizeof(SegmentHeader))[index];
}

}  // namespace

FileReader::FileReader(MetadataContext context, const Superblock& super,
                       const MetadataTable& inodes, bool drop_stored)
    : context_(context),
      block_size_(super.block_size),
      drop_stored_(drop_stored),
      inodes_(inodes),
      fragments_(context, super.fragment_table, super.fragment_count, 16) {}

std::vector<FilePiece> FileReader::Read(const Inode& file, uint64_t offset, uint64_t length) const {
  std::vector<FilePiece> pieces;
  if (offset >= file.size) return pieces;
  uint64_t left = std::min(length, file.size - offset);
  while (left > 0) {
    const uint64_t index = offset / block_size_;
    const uint64_t from = offset % block_size_;
    const uint64_t count = std::min(left, block_size_ - from);
    pieces.push_back(index < file.file.block_count ? BlockPiece(file, index, from, count)
                                                   : TailPiece(file, from, count));
    offset += count;
    left -= count;
  }
  return pieces;
}

FilePiece FileReader::BlockPiece(const Inode& file, uint64_t index, uint64_t from,
                                 uint64_t length) const {
  const StoredBlock stored = BlockAt(file, index);
  if (stored.length == 0) {
    static const std::vector<std::byte> zeros(size_t{1} << 20);
    return {nullptr, ByteSpan(zeros).first(length)};
  }
  std::shared_ptr<const Block> block = LoadBlock(stored, BlockKind::kData);
  const uint64_t expected = std::min<uint64_t>(block_size_, file.size - index * block_size_);
  if (block->bytes().size() != expected) {
    throw DamagedError("a data block has " + std::to_string(block->bytes().size()) +
                           " bytes, expected " + std::to_string(expected),
                       stored.offset);
  }
  if (drop_stored_ && from + length == expected) {
    context_.source->Drop(ImageOffset{stored.offset}, stored.length);
  }
  const ByteSpan bytes = block->bytes().subspan(from, length);
  return {std::move(block), bytes};
}

FilePiece FileReader::TailPiece(const Inode& file, uint64_t from, uint64_t length) const {
  const StoredBlock stored = FragmentOf(file);
  std::shared_ptr<const Block> block = LoadBlock(stored, BlockKind::kFragment);
  const uint64_t tail = file.size % block_size_;
  if (!FitsIn(file.file.fragment_offset, tail, block->bytes().size())) {
    throw DamagedError("a file's tail lies outside its fragment block", stored.offset);
  }
  const ByteSpan bytes = block->bytes().subspan(file.file.fragment_offset + from, length);
  return {std::move(block), bytes};
}

StoredBlock FileReader::FragmentOf(const Inode& file) const {
  std::array<std::byte, 16> entry;
  fragments_.ReadEntry(ToInt(file.file.fragment), entry);
  return ParseSize(LoadLe<uint64_t>(entry.data()), LoadLe<uint32_t>(entry.data() + 8));
}

StoredBlock FileReader::ParseSize(uint64_t offset, uint32_t size) const {
  StoredBlock stored;
  stored.offset = offset;
  stored.length = size & kStoredLengthMask;
  stored.compressed = (size & kStoredUncompressed) == 0;
  if (stored.length > block_size_ || size > (kStoredLengthMask | kStoredUncompressed)) {
    throw DamagedError("a block has an impossible length of " + std::to_string(stored.length),
                       offset);
  }
  return stored;
}

std::shared_ptr<const Block> FileReader::LoadBlock(const StoredBlock& stored,
                                                   BlockKind kind) const {
  return context_.cache->Get({context_.image_number, kind, stored.offset},
                             [&] { return DecodeBlock(stored); });
}

std::shared_ptr<const Block> FileReader::DecodeBlock(const StoredBlock& stored) const {
  if (stored.length == 0) throw DamagedError("a fragment block is empty", stored.offset);
  if (!stored.compressed) {
    auto block = std::make_shared<Block>(stored.length);
    context_.source->Read(ImageOffset{stored.offset}, block->writable());
    return block;
  }
  thread_local std::vector<std::byte> scratch(size_t{1} << 20);
  const MutableByteSpan bytes = MutableByteSpan(scratch).first(stored.length);
  context_.source->Read(ImageOffset{stored.offset}, bytes);
  auto block = std::make_shared<Block>(block_size_);
  try {
    block->Shrink(context_.decompressor->Decode(bytes, block->writable()));
  } catch (const Error& error) {
    throw error.WithOffset(stored.offset);
  }
  return block;
}

StoredBlock FileReader::BlockAt(const Inode& file, uint64_t index) const {
  std::shared_ptr<const Block> segment;
  for (uint64_t i = 0; i <= index / kSegmentBlocks; ++i) {
    const BlockKey key{context_.image_number, BlockKind::kBlockMap,
                       uint64_t{ToInt(file.number)} << 32 | i};
    segment = context_.cache->Get(
        key, [&, previous = segment] { return BlockMap(file, i, previous.get()); });
  }
  const SegmentEntry& entry = EntryOf(*segment, index % kSegmentBlocks);
  return ParseSize(entry.offset, entry.size);
}

std::shared_ptr<const Block> FileReader::BlockMap(const Inode& file, uint64_t segment,
                                                  const Block* previous) const {
  SegmentHeader header{file.file.block_sizes, file.file.blocks_start};
  if (previous != nullptr) header = HeaderOf(*previous);
  const uint64_t count = std::min(kSegmentBlocks, file.file.block_count - segment * kSegmentBlocks);
  auto block = std::make_shared<Block>(sizeof(SegmentHeader) + count * sizeof(SegmentEntry));
  MetadataCursor sizes(inodes_, header.next_sizes);
  auto* entries = reinterpret_cast<SegmentEntry*>(block->writable().data() + sizeof(SegmentHeader));
  for (uint64_t i = 0; i < count; ++i) {
    const uint32_t size = sizes.ReadNumber<uint32_t>();
    entries[i] = {header.next_offset, size, 0};
    header.next_offset += size & kStoredLengthMask;
  }
  header.next_sizes = sizes.position();
  *reinterpret_cast<SegmentHeader*>(block->writable().data()) = header;
  return block;
}

}  // namespace firn
