#include "format/data_writer.h"

#include <sqfs/block.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "format/error.h"
#include "format/layout.h"

namespace firn {
namespace {

bool IsZero(ByteSpan bytes) {
  return bytes.empty() || (bytes[0] == std::byte{0} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace

DataWriter::DataWriter(SquashfsOutput& output, GuardedCompressor& compressor, uint32_t block_size,
                       unsigned jobs)
    : output_(output),
      compressor_(compressor),
      block_size_(block_size),
      fragment_table_(AdoptSqfs(sqfs_frag_table_create(0))),
      buffer_(block_size) {
  sink_.owner = this;
  sink_.base.destroy = [](sqfs_object_t*) {};
  sink_.write_data_block = [](sqfs_block_writer_t* sink, void*, sqfs_u32 size, sqfs_u32,
                              sqfs_u32 flags, const sqfs_u8* data, sqfs_u64* location) {
    DataWriter& self = *static_cast<Sink*>(sink)->owner;
    try {
      const ByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);
      uint64_t at = 0;
      self.Store(flags, bytes, at);
      *location = at;
      return 0;
    } catch (...) {
      return self.output_.KeepException();
    }
  };
  sink_.get_block_count = [](const sqfs_block_writer_t* sink) -> sqfs_u64 {
    return static_cast<const Sink*>(sink)->owner->stored_blocks_.size();
  };

  sqfs_block_processor_desc_t description{};
  description.size = sizeof description;
  description.max_block_size = block_size;
  description.num_workers = jobs;
  // Enough that no worker waits while the oldest block is a slow one; each costs a block of memory.
  description.max_backlog = 2 * jobs + 4;
  description.cmp = &compressor;
  description.wr = &sink_;
  sqfs_block_processor_t* made = nullptr;
  output_.Check(sqfs_block_processor_create_ex(&description, &made), "file contents");
  processor_.reset(made);
}

DataWriter::~DataWriter() {
  dropping_ = true;
  sqfs_block_processor_sync(processor_.get());
}

DataWriter::AddedFile DataWriter::AddFile(SourceFile& source,
                                          const std::function<void(uint64_t)>& tick) {
  AddedFile added =
      source.size() <= block_size_ ? AddSmallFile(source, tick) : AddLargeFile(source, tick);
  source.CheckUnchanged();
  return added;
}

DataWriter::AddedFile DataWriter::AddSmallFile(SourceFile& source,
                                               const std::function<void(uint64_t)>& tick) {
  const ByteSpan content = source.Read(buffer_);
  tick(content.size());
  const Digest digest = Sha256Of(content);
  if (const std::optional<size_t> equal = FindEqual(digest)) return {*equal, digest, true};
  const size_t layout = NewLayout(content.size());
  layout_of_.emplace(digest, layout);
  StorePart(layout, content);
  return {layout, digest, false};
}

DataWriter::AddedFile DataWriter::AddLargeFile(SourceFile& source,
                                               const std::function<void(uint64_t)>& tick) {
  if (source.size() > kMaxFileBlocks * block_size_) {
    throw Error(ErrorKind::kInput,
                "expected a file of at most " + std::to_string(kMaxFileBlocks) + " blocks of " +
                    std::to_string(block_size_) + " bytes, found one of " +
                    std::to_string(source.size()) + " bytes",
                "Leave it out, or use larger blocks.")
        .WithPath(source.path());
  }
  // Only a file of the same size can be equal: then the content is read once more, which is
  // cheaper than compressing it for nothing.
  if (!large_sizes_.insert(source.size()).second) {
    const Digest digest = HashContent(source, [](uint64_t) {});
    if (const std::optional<size_t> equal = FindEqual(digest)) {
      tick(source.size());
      return {*equal, digest, true};
    }
    source.Rewind();
  }
  const size_t layout = NewLayout(source.size());
  layouts_[layout].block_sizes.reserve((source.size() + block_size_ - 1) / block_size_);
  Sha256 sha256;
  while (true) {
    const ByteSpan block = source.Read(buffer_);
    if (block.empty()) break;
    tick(block.size());
    sha256.Update(block);
    StorePart(layout, block);
  }
  const Digest digest = sha256.Finish();
  layout_of_.emplace(digest, layout);
  return {layout, digest, false};
}

Digest DataWriter::HashContent(SourceFile& source, const std::function<void(uint64_t)>& tick) {
  Sha256 sha256;
  while (true) {
    const ByteSpan block = source.Read(buffer_);
    if (block.empty()) break;
    tick(0);
    sha256.Update(block);
  }
  return sha256.Finish();
}

std::optional<size_t> DataWriter::FindEqual(const Digest& digest) const {
  const auto found = layout_of_.find(digest);
  if (found == layout_of_.end()) return std::nullopt;
  return found->second;
}

size_t DataWriter::NewLayout(uint64_t size) {
  layouts_.emplace_back().size = size;
  return layouts_.size() - 1;
}

void DataWriter::StorePart(size_t layout, ByteSpan bytes) {
  if (bytes.empty()) return;
  // Zeros become a hole, which only a block can be. In with the small files, the tail of a large
  // one would end their block early, and cost more than it gains.
  const bool is_tail = !layouts_[layout].block_sizes.empty();
  if (bytes.size() == block_size_ || is_tail || IsZero(bytes)) {
    SubmitBlock(layout, bytes);
  } else {
    PackFragment(layout, bytes);
  }
}

void DataWriter::SubmitBlock(size_t layout, ByteSpan bytes) {
  std::vector<uint32_t>& sizes = layouts_[layout].block_sizes;
  sizes.push_back(0);
  Submit({.is_fragment_block = false, .owner = layout, .block = sizes.size() - 1}, 0, bytes);
}

void DataWriter::PackFragment(size_t layout, ByteSpan bytes) {
  FragmentBlock& block = fragment_block_;
  if (block.bytes.size() + bytes.size() > block_size_) FlushFragmentBlock();
  if (block.bytes.empty()) {
    block.bytes.reserve(block_size_);
    block.index = NewFragment();
  }
  PlaceInFragment(layout, block.index, static_cast<uint32_t>(block.bytes.size()));
  block.bytes.insert(block.bytes.end(), bytes.begin(), bytes.end());
}

void DataWriter::FlushFragmentBlock() {
  if (fragment_block_.bytes.empty()) return;
  // Never a hole: those are in inodes' lists only.
  Submit({.is_fragment_block = true, .owner = fragment_block_.index}, SQFS_BLK_IGNORE_SPARSE,
         fragment_block_.bytes);
  fragment_block_.bytes.clear();
}

uint32_t DataWriter::NewFragment() {
  uint32_t index = 0;
  output_.Check(sqfs_frag_table_append(fragment_table_.get(), 0, 0, &index), "the fragment table");
  return index;
}

void DataWriter::PlaceInFragment(size_t layout, uint32_t fragment, uint32_t offset) {
  layouts_[layout].fragment_index = fragment;
  layouts_[layout].fragment_offset = offset;
}

void DataWriter::AddHole(size_t layout, uint64_t length) {
  layouts_[layout].block_sizes.push_back(0);
  layouts_[layout].sparse_bytes += length;
}

void DataWriter::CopyBlock(size_t layout, ByteSpan stored, bool compressed) {
  std::vector<uint32_t>& sizes = layouts_[layout].block_sizes;
  sizes.push_back(0);
  Submit({.is_fragment_block = false,
          .owner = layout,
          .block = sizes.size() - 1,
          .form = compressed ? Form::kCopiedCompressed : Form::kCopiedPlain},
         SQFS_BLK_DONT_COMPRESS | SQFS_BLK_IGNORE_SPARSE, stored);
}

uint32_t DataWriter::CopyFragmentBlock(ByteSpan stored, bool compressed) {
  FlushFragmentBlock();
  const uint32_t index = NewFragment();
  Submit({.is_fragment_block = true,
          .owner = index,
          .form = compressed ? Form::kCopiedCompressed : Form::kCopiedPlain},
         SQFS_BLK_DONT_COMPRESS | SQFS_BLK_IGNORE_SPARSE, stored);
  return index;
}

void DataWriter::Submit(const Pending& pending, uint32_t flags, ByteSpan bytes) {
  pending_.push_back(pending);
  output_.Check(
      sqfs_block_processor_submit_block(processor_.get(), nullptr, flags | SQFS_BLK_DONT_HASH,
                                        bytes.data(), bytes.size()),
      "file contents");
  CheckCompressor(compressor_);
}

void DataWriter::Store(uint32_t flags, ByteSpan bytes, uint64_t& location) {
  if (dropping_) return;
  const Pending pending = pending_.front();
  pending_.pop_front();
  if ((flags & SQFS_BLK_IS_SPARSE) != 0) {
    layouts_[pending.owner].sparse_bytes += bytes.size();
    return;
  }
  location = output_.size();
  output_.WriteAt(location, bytes);
  stored_blocks_.push_back({location, bytes.size()});
  if (pending.form != Form::kNew) ++copied_blocks_;
  const bool compressed = pending.form == Form::kNew ? (flags & SQFS_BLK_IS_COMPRESSED) != 0
                                                     : pending.form == Form::kCopiedCompressed;
  const uint32_t size_word =
      static_cast<uint32_t>(bytes.size()) | (compressed ? 0 : kStoredUncompressed);
  if (pending.is_fragment_block) {
    const auto index = static_cast<uint32_t>(pending.owner);
    output_.Check(sqfs_frag_table_set(fragment_table_.get(), index, location, size_word),
                  "the fragment table");
    return;
  }
  FileLayout& layout = layouts_[pending.owner];
  layout.block_sizes[pending.block] = size_word;
  if (layout.blocks_start == 0) layout.blocks_start = location;
}

void DataWriter::Finish() {
  FlushFragmentBlock();
  output_.Check(sqfs_block_processor_finish(processor_.get()), "file contents");
  CheckCompressor(compressor_);
}

}  // namespace firn
