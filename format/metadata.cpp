#include "format/metadata.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "format/error.h"

namespace firn {
namespace {

// Header of a metadata block: its stored length, this bit set where it is not compressed.
constexpr uint16_t kStoredAsIsBit = 0x8000;
// Offsets of table blocks are cached in chunks of so many.
constexpr uint64_t kOffsetsPerChunk = 512;

Error DamagedMetadata(const std::string& message, uint64_t offset) {
  return DamagedError("metadata: " + message, offset);
}

}  // namespace

std::shared_ptr<const Block> MetadataTable::ReadBlock(uint64_t block) const {
  if (block >= limit_ - start_) {
    throw DamagedMetadata("a reference leads " + std::to_string(block) + " bytes into a table of " +
                              std::to_string(limit_ - start_),
                          start_);
  }
  const uint64_t offset = start_ + block;
  return context_.cache->Get({context_.image_number, BlockKind::kMetadata, offset},
                             [&] { return DecodeBlock(offset); });
}

std::shared_ptr<const Block> MetadataTable::DecodeBlock(uint64_t offset) const {
  if (limit_ - offset < 2) throw DamagedMetadata("a block stands behind its table", offset);
  std::array<std::byte, 2 + kMetadataBlockSize> stored;
  const size_t readable = std::min<uint64_t>(stored.size(), limit_ - offset);
  size_t got =
      context_.source->ReadAtLeast(ImageOffset{offset}, 2, MutableByteSpan(stored).first(readable));
  const uint16_t header = LoadLe<uint16_t>(stored.data());
  const size_t length = header & ~kStoredAsIsBit;
  if (length == 0 || length > kMetadataBlockSize || 2 + length > readable) {
    throw DamagedMetadata("a block has an impossible length of " + std::to_string(length), offset);
  }
  if (got < 2 + length) {
    context_.source->Read(ImageOffset{offset + got},
                          MutableByteSpan(stored).subspan(got, 2 + length - got));
  }
  const ByteSpan content = ByteSpan(stored).subspan(2, length);
  auto block = std::make_shared<Block>((header & kStoredAsIsBit) ? length : kMetadataBlockSize);
  block->stored_length = static_cast<uint32_t>(2 + length);
  if (header & kStoredAsIsBit) {
    std::memcpy(block->writable().data(), content.data(), length);
    return block;
  }
  try {
    block->Shrink(context_.decompressor->Decode(content, block->writable()));
  } catch (const Error& error) {
    throw error.WithOffset(offset);
  }
  return block;
}

MetadataCursor::MetadataCursor(const MetadataTable& table, MetadataPosition position)
    : table_(table),
      block_start_(position.block),
      offset_(position.offset),
      block_(table.ReadBlock(position.block)) {
  if (offset_ > block_->bytes().size()) {
    throw DamagedMetadata("a reference leads behind the end of a block",
                          table.start() + position.block);
  }
}

void MetadataCursor::Advance() {
  if (offset_ < block_->bytes().size()) return;
  block_start_ += block_->stored_length;
  block_ = table_.ReadBlock(block_start_);
  offset_ = 0;
  if (block_->bytes().empty())
    throw DamagedMetadata("an empty block", table_.start() + block_start_);
}

bool MetadataCursor::HasMore() {
  const bool at_end = offset_ == block_->bytes().size() &&
                      block_start_ + block_->stored_length == table_.limit() - table_.start();
  if (!at_end) Advance();
  return !at_end;
}

void MetadataCursor::Read(MutableByteSpan out) {
  size_t done = 0;
  while (done < out.size()) {
    Advance();
    const size_t count = std::min(out.size() - done, block_->bytes().size() - offset_);
    std::memcpy(out.data() + done, block_->bytes().data() + offset_, count);
    offset_ += static_cast<uint32_t>(count);
    done += count;
  }
}

void MetadataCursor::Skip(uint64_t bytes) {
  while (bytes > 0) {
    Advance();
    const uint64_t count = std::min<uint64_t>(bytes, block_->bytes().size() - offset_);
    offset_ += static_cast<uint32_t>(count);
    bytes -= count;
  }
}

IndexedTable::IndexedTable(MetadataContext context, uint64_t start, uint64_t count,
                           uint32_t entry_length)
    : context_(context),
      blocks_(context, 0, start == kNoTable ? 0 : start),
      start_(start),
      count_(start == kNoTable ? 0 : count),
      entry_length_(entry_length) {}

uint64_t IndexedTable::BlockOffset(uint64_t block) const {
  const uint64_t per_block = kMetadataBlockSize / entry_length_;
  const uint64_t block_count = (count_ + per_block - 1) / per_block;
  const uint64_t chunk = block / kOffsetsPerChunk;
  const uint64_t first = chunk * kOffsetsPerChunk;
  const uint64_t position = start_ + first * 8;
  const auto offsets =
      context_.cache->Get({context_.image_number, BlockKind::kPage, position}, [&] {
        auto loaded = std::make_shared<Block>(std::min(kOffsetsPerChunk, block_count - first) * 8);
        context_.source->Read(ImageOffset{position}, loaded->writable());
        return loaded;
      });
  const size_t at = (block - first) * 8;
  if (!FitsIn(at, 8, offsets->bytes().size()))
    throw DamagedMetadata("a table is too short", position);
  return LoadLe<uint64_t>(offsets->bytes().data() + at);
}

void IndexedTable::ReadEntry(uint64_t index, MutableByteSpan out) const {
  if (index >= count_) {
    throw DamagedMetadata(
        "entry " + std::to_string(index) + " asked of a table of " + std::to_string(count_),
        start_ == kNoTable ? 0 : start_);
  }
  const uint64_t per_block = kMetadataBlockSize / entry_length_;
  const std::shared_ptr<const Block> block = blocks_.ReadBlock(BlockOffset(index / per_block));
  const size_t at = index % per_block * entry_length_;
  if (!FitsIn(at, entry_length_, block->bytes().size())) {
    throw DamagedMetadata("a table's block is too short for entry " + std::to_string(index),
                          start_);
  }
  std::memcpy(out.data(), block->bytes().data() + at, entry_length_);
}

}  // namespace firn
