#ifndef FIRN_BUILDER_STORED_CONTENTS_H_
#define FIRN_BUILDER_STORED_CONTENTS_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "builder/image_tree.h"
#include "format/decompressor.h"
#include "format/image.h"
#include "format/squashfs_writer.h"

namespace firn {

// Gives the contents of an image's files to the writer of another one, in another order, without
// compressing what is stored already: data blocks are copied as they are, and so is a fragment
// block whose files stay together. Not thread-safe.
//
// The writer fills fragment blocks in front one by one as a build does. Where such a block would
// hold exactly the files of one that is there, that one is copied. Of the rest, the files whose
// block lost members stand first and are packed anew; everything else keeps its order.
class StoredContents final : public ContentSource {
 public:
  // Both must outlive it. `front`: files of the tree that are to stand first.
  StoredContents(const Image& image, const ImageTree& tree, std::span<const TreeNode* const> front);

  // For ImageWriterOptions.
  const ContentOrder& order() const { return order_; }

  DataWriter::AddedFile Add(const TreeNode& file, DataWriter& data,
                            const std::function<void(uint64_t)>& tick) override;

 private:
  static constexpr uint32_t kNone = 0xFFFFFFFF;

  // Where a content is stored; files that say the same share it.
  using Place = std::tuple<Digest, uint64_t, uint64_t, uint32_t, uint32_t>;
  struct Content {
    uint64_t position = 0;      // in the image, of its first byte that is stored
    uint32_t fragment = kNone;  // with its tail
    uint32_t tail_length = 0;
    bool in_front = false;
    bool copy_fragment = false;  // else its tail is packed anew
    std::optional<size_t> layout;
  };
  struct Fragment {
    std::vector<uint32_t> members;  // contents
    std::optional<uint32_t> copied_as;
  };

  void Register(const TreeNode& file, bool in_front);
  void PlanFront();
  void EndFrontBlock(std::vector<uint32_t>& members);
  void PlanRest();
  void CopyBlocks(const Inode& inode, size_t layout, DataWriter& data,
                  const std::function<void(uint64_t)>& tick);
  void AddTail(const Inode& inode, const Content& content, size_t layout, DataWriter& data);
  ByteSpan ReadStored(const StoredBlock& block);
  ByteSpan DecodedFragment(const Inode& inode);

  const Image& image_;
  const ImageTree& tree_;
  ContentOrder order_;
  std::vector<Content> contents_;
  std::map<Place, uint32_t> content_at_;
  std::unordered_map<const TreeNode*, uint32_t> content_of_;
  std::unordered_map<uint32_t, Fragment> fragments_;
  std::vector<std::byte> buffer_;
  // Decoded fragment blocks, the last one used first: files that are packed anew come from a few
  // of them by turns. The image's own cache, in shards, would have to be much larger.
  const std::unique_ptr<const Decompressor> decompressor_;
  std::deque<std::pair<uint32_t, std::vector<std::byte>>> decoded_;
};

}  // namespace firn

#endif  // FIRN_BUILDER_STORED_CONTENTS_H_
