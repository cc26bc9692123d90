#include "builder/stored_contents.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "format/error.h"
#include "format/superblock.h"

namespace firn {
namespace {

constexpr size_t kDecodedFragments = 4;

}  // namespace

StoredContents::StoredContents(const Image& image, const ImageTree& tree,
                               std::span<const TreeNode* const> front)
    : image_(image),
      tree_(tree),
      buffer_(image.block_size()),
      decompressor_(Decompressor::Create(Compression::kZstd, image.block_size())) {
  for (const TreeNode* file : front) Register(*file, true);
  std::vector<std::pair<InodeNumber, const TreeNode*>> rest;
  for (const auto& [file, number] : tree.inodes) {
    if (!content_of_.contains(file)) rest.emplace_back(number, file);
  }
  std::sort(rest.begin(), rest.end());
  for (const auto& [number, file] : rest) Register(*file, false);

  order_ = {.files = {front.begin(), front.end()}, .front = front.size()};
  PlanFront();
  PlanRest();
  const auto is_loose = [&](const Content& content) {
    return content.fragment != kNone && !content.copy_fragment;
  };
  std::stable_sort(rest.begin(), rest.end(), [&](const auto& a, const auto& b) {
    const Content& one = contents_[content_of_.at(a.second)];
    const Content& other = contents_[content_of_.at(b.second)];
    return std::pair(!is_loose(one), one.position) < std::pair(!is_loose(other), other.position);
  });
  for (const auto& [number, file] : rest) order_.files.push_back(file);
  content_at_.clear();  // of use in planning only
}

void StoredContents::Register(const TreeNode& file, bool in_front) {
  const InodeNumber number = tree_.inodes.at(&file);
  const Inode inode = image_.GetInode(number);
  const Inode::File& stored = inode.file;
  const uint32_t fragment = stored.has_fragment ? ToInt(stored.fragment) : kNone;
  const Place place(image_.FileDigest(number), stored.blocks_start, inode.size, fragment,
                    stored.has_fragment ? stored.fragment_offset : 0);
  const auto [found, is_new] = content_at_.emplace(place, static_cast<uint32_t>(contents_.size()));
  content_of_.emplace(&file, found->second);
  if (!is_new) return;
  Content& content = contents_.emplace_back();
  content.position = stored.blocks_start;
  content.in_front = in_front;
  if (fragment == kNone) return;
  content.fragment = fragment;
  content.tail_length = static_cast<uint32_t>(inode.size % image_.block_size());
  if (stored.block_count == 0) content.position = image_.FragmentOf(inode).offset;
  fragments_[fragment].members.push_back(found->second);
}

void StoredContents::PlanFront() {
  std::vector<uint32_t> members;
  std::unordered_set<uint32_t> planned;
  uint64_t length = 0;
  for (const TreeNode* file : order_.files) {
    const uint32_t number = content_of_.at(file);
    const Content& content = contents_[number];
    if (content.fragment == kNone || !planned.insert(number).second) continue;
    if (length + content.tail_length > image_.block_size()) {
      EndFrontBlock(members);
      length = 0;
    }
    members.push_back(number);
    length += content.tail_length;
  }
  EndFrontBlock(members);
}

// Members are in order of registration, which in front is that of the plan.
void StoredContents::EndFrontBlock(std::vector<uint32_t>& members) {
  if (members.empty()) return;
  const bool same = fragments_.at(contents_[members.front()].fragment).members == members;
  for (const uint32_t member : members) contents_[member].copy_fragment = same;
  members.clear();
}

void StoredContents::PlanRest() {
  for (const auto& [index, fragment] : fragments_) {
    const bool whole = std::none_of(fragment.members.begin(), fragment.members.end(),
                                    [&](uint32_t member) { return contents_[member].in_front; });
    if (!whole) continue;
    for (const uint32_t member : fragment.members) contents_[member].copy_fragment = true;
  }
}

DataWriter::AddedFile StoredContents::Add(const TreeNode& file, DataWriter& data,
                                          const std::function<void(uint64_t)>& tick) {
  const InodeNumber number = tree_.inodes.at(&file);
  Content& content = contents_[content_of_.at(&file)];
  const Digest digest = image_.FileDigest(number);
  const Inode inode = image_.GetInode(number);
  if (content.layout) {
    tick(inode.size);
    return {*content.layout, digest, true};
  }
  const size_t layout = data.NewLayout(inode.size);
  content.layout = layout;
  CopyBlocks(inode, layout, data, tick);
  if (content.fragment != kNone) AddTail(inode, content, layout, data);
  tick(content.tail_length);
  return {layout, digest, false};
}

void StoredContents::CopyBlocks(const Inode& inode, size_t layout, DataWriter& data,
                                const std::function<void(uint64_t)>& tick) {
  const uint64_t block_size = image_.block_size();
  for (uint64_t i = 0; i < inode.file.block_count; ++i) {
    const uint64_t length = std::min(block_size, inode.size - i * block_size);
    const StoredBlock block = image_.BlockAt(inode, i);
    if (block.length == 0) {
      data.AddHole(layout, length);
    } else {
      data.CopyBlock(layout, ReadStored(block), block.compressed);
    }
    tick(length);
  }
}

void StoredContents::AddTail(const Inode& inode, const Content& content, size_t layout,
                             DataWriter& data) {
  if (content.copy_fragment) {
    Fragment& fragment = fragments_.at(content.fragment);
    if (!fragment.copied_as) {
      const StoredBlock block = image_.FragmentOf(inode);
      fragment.copied_as = data.CopyFragmentBlock(ReadStored(block), block.compressed);
    }
    data.PlaceInFragment(layout, *fragment.copied_as, inode.file.fragment_offset);
    return;
  }
  if (content.tail_length == 0) return;
  const ByteSpan block = DecodedFragment(inode);
  if (!FitsIn(inode.file.fragment_offset, content.tail_length, block.size())) {
    throw DamagedError("a file's tail lies outside its fragment block").WithPath(image_.path());
  }
  data.PackFragment(layout, block.subspan(inode.file.fragment_offset, content.tail_length));
}

ByteSpan StoredContents::DecodedFragment(const Inode& inode) {
  const uint32_t index = ToInt(inode.file.fragment);
  const auto found = std::find_if(decoded_.begin(), decoded_.end(),
                                  [&](const auto& held) { return held.first == index; });
  if (found != decoded_.end()) {
    std::rotate(decoded_.begin(), found, found + 1);
    return decoded_.front().second;
  }
  const StoredBlock block = image_.FragmentOf(inode);
  const ByteSpan stored = ReadStored(block);
  if (decoded_.size() == kDecodedFragments) decoded_.pop_back();
  std::vector<std::byte>& decoded =
      decoded_.emplace_front(index, std::vector<std::byte>(stored.begin(), stored.end())).second;
  if (block.compressed) {
    decoded.resize(image_.block_size());
    try {
      decoded.resize(decompressor_->Decode(stored, decoded));
    } catch (const Error& error) {
      throw error.WithOffset(block.offset).WithPath(image_.path());
    }
  }
  return decoded;
}

ByteSpan StoredContents::ReadStored(const StoredBlock& block) {
  const MutableByteSpan bytes = MutableByteSpan(buffer_).first(block.length);
  image_.ReadStored(block, bytes);
  return bytes;
}

}  // namespace firn
