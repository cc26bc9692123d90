#ifndef FIRN_FORMAT_DATA_WRITER_H_
#define FIRN_FORMAT_DATA_WRITER_H_

#include <sqfs/block_processor.h>
#include <sqfs/block_writer.h>
#include <sqfs/frag_table.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <unordered_set>
#include <vector>

#include "format/digest.h"
#include "format/guarded_compressor.h"
#include "format/source_file.h"
#include "format/squashfs_output.h"
#include "format/types.h"

namespace firn {

// Where the content of a file was stored, as its inode will say.
struct FileLayout {
  static constexpr uint32_t kNoFragment = 0xFFFFFFFF;

  uint64_t size = 0;
  uint64_t blocks_start = 0;
  uint64_t sparse_bytes = 0;
  uint32_t fragment_index = kNoFragment;
  uint32_t fragment_offset = 0;
  std::vector<uint32_t> block_sizes;  // as an inode lists them; 0: a hole
};

// A data or fragment block in the image.
struct WrittenBlock {
  uint64_t offset = 0;
  uint64_t length = 0;
};

// Writes the contents of files: cuts them into blocks, packs those of less than
// a block together, stores equal files once, and has libsquashfs' block processor compress on
// all cores. What is written depends on the files and their order only. Not thread-safe.
//
// Blocks are submitted to the block processor one by one, not through its file interface. Packing
// small files itself, it counts each of them as a block in flight, so that with a bounded number
// of those one fragment block at a time is compressed and the other cores wait.
class DataWriter {
 public:
  // `compressor` and `output` must outlive it.
  DataWriter(SquashfsOutput& output, GuardedCompressor& compressor, uint32_t block_size,
             unsigned jobs);
  // Waits for blocks in flight, which are dropped.
  ~DataWriter();
  DataWriter(const DataWriter&) = delete;
  DataWriter& operator=(const DataWriter&) = delete;

  struct AddedFile {
    size_t layout = 0;  // for layout(); files of equal content share one
    Digest digest;
    bool duplicate = false;
  };
  // `tick` is called with the number of bytes that were read since the last call.
  AddedFile AddFile(SourceFile& source, const std::function<void(uint64_t)>& tick);

  // Ends the fragment block that is being filled.
  void FlushFragmentBlock();
  // Writes what is still open; no file may be added after it.
  void Finish();

  // A content that another image holds is put together from its parts: a layout, its blocks in
  // their order, at last its place in a fragment block.
  size_t NewLayout(uint64_t size);
  // `stored`: the bytes as the other image has them.
  void CopyBlock(size_t layout, ByteSpan stored, bool compressed);
  void AddHole(size_t layout, uint64_t length);
  // Returns the index for PlaceInFragment().
  uint32_t CopyFragmentBlock(ByteSpan stored, bool compressed);
  void PlaceInFragment(size_t layout, uint32_t fragment, uint32_t offset);
  // Puts the bytes, at most a block, into the fragment block that is being filled, or the next.
  void PackFragment(size_t layout, ByteSpan bytes);

  // True only after Finish().
  const FileLayout& layout(size_t index) const { return layouts_[index]; }
  // In the order of their offsets, without gaps.
  const std::vector<WrittenBlock>& stored_blocks() const { return stored_blocks_; }
  // How many of them were copied.
  uint64_t copied_blocks() const { return copied_blocks_; }
  sqfs_frag_table_t* fragment_table() { return fragment_table_.get(); }

 private:
  struct Sink : sqfs_block_writer_t {
    DataWriter* owner;
  };
  // A block given to the block processor; blocks come back in the order in which they went.
  enum class Form { kNew, kCopiedCompressed, kCopiedPlain };
  struct Pending {
    bool is_fragment_block;
    size_t owner;      // layout, or index in the fragment table
    size_t block = 0;  // place in the layout's list
    Form form = Form::kNew;
  };
  // The one that is being filled.
  struct FragmentBlock {
    uint32_t index = 0;
    std::vector<std::byte> bytes;  // empty: none begun
  };

  AddedFile AddSmallFile(SourceFile& source, const std::function<void(uint64_t)>& tick);
  AddedFile AddLargeFile(SourceFile& source, const std::function<void(uint64_t)>& tick);
  Digest HashContent(SourceFile& source, const std::function<void(uint64_t)>& tick);
  std::optional<size_t> FindEqual(const Digest& digest) const;
  // A whole block, or the last, shorter part of a file.
  void StorePart(size_t layout, ByteSpan bytes);
  void SubmitBlock(size_t layout, ByteSpan bytes);
  uint32_t NewFragment();
  void Submit(const Pending& pending, uint32_t flags, ByteSpan bytes);
  // The block processor's call for the next finished block.
  void Store(uint32_t flags, ByteSpan bytes, uint64_t& location);

  SquashfsOutput& output_;
  GuardedCompressor& compressor_;
  const uint32_t block_size_;
  Sink sink_{};
  SqfsHandle<sqfs_frag_table_t> fragment_table_;
  SqfsHandle<sqfs_block_processor_t> processor_;
  bool dropping_ = false;

  std::vector<std::byte> buffer_;
  FragmentBlock fragment_block_;
  std::deque<Pending> pending_;
  std::deque<FileLayout> layouts_;
  std::map<Digest, size_t> layout_of_;
  std::unordered_set<uint64_t> large_sizes_;
  std::vector<WrittenBlock> stored_blocks_;
  uint64_t copied_blocks_ = 0;
};

}  // namespace firn

#endif  // FIRN_FORMAT_DATA_WRITER_H_
