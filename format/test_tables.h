#ifndef FIRN_FORMAT_TEST_TABLES_H_
#define FIRN_FORMAT_TEST_TABLES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "format/appendix.h"
#include "format/appendix_writer.h"
#include "format/block_cache.h"
#include "format/byte_source.h"
#include "format/decompressor.h"
#include "format/layout.h"
#include "format/little_endian.h"
#include "format/metadata.h"
#include "format/superblock.h"
#include "format/test_image.h"

namespace firn {

using TableBytes = std::vector<std::byte>;

template <typename Number>
Number Get(const TableBytes& table, uint64_t at) {
  return LoadLe<Number>(table.data() + at);
}
template <typename Number>
void Put(TableBytes& table, uint64_t at, Number value) {
  StoreLe<Number>(table.data() + at, value);
}

// A small image taken apart: its tables, each one metadata block, decoded, to be changed and put
// together again with right checksums.
struct PlainImage {
  explicit PlainImage(const TableBytes& image) {
    const FileDescriptor file = MemoryFileOf(image);
    const Appendix appendix = Appendix::ReadImage(file.get(), "image");
    manifest = appendix.ReadManifest(file.get());
    super = Superblock::Decode(ByteSpan(image).first(kSuperblockLength), image.size());
    head.assign(image.begin(), image.begin() + static_cast<ptrdiff_t>(super.inode_table));
    const auto extents = appendix.ReadSection(file.get(), kExtentsSection, 1 << 20);
    for (size_t at = 0; at < extents.size(); at += Extent::kEncodedLength) {
      const Extent extent = Extent::Decode(ByteSpan(extents).subspan(at, Extent::kEncodedLength));
      const uint64_t offset = ToInt(extent.offset);
      if (offset >= kFirstDataOffset && offset < super.inode_table) {
        part.blocks.push_back({offset, static_cast<uint32_t>(extent.length)});
      }
    }
    const auto stored_digests = appendix.ReadSection(file.get(), kDigestsSection, 1 << 20);
    for (uint32_t i = 0; i < LoadLe<uint32_t>(stored_digests.data()); ++i) {
      Digest& digest = part.digests.emplace_back();
      std::copy_n(stored_digests.begin() + 8 + 32 * i, 32, digest.bytes.begin());
    }
    const auto decoded = [&](uint64_t offset) {
      BlockCache cache(size_t{1} << 20);
      const PlainSource source(file.get(), super.bytes_used);
      const auto decompressor = Decompressor::Create(super.compression, super.block_size);
      const MetadataTable table({&source, decompressor.get(), &cache, 1}, 0, super.bytes_used);
      const auto block = table.ReadBlock(offset);
      return TableBytes(block->bytes().begin(), block->bytes().end());
    };
    const auto listed = [&](uint64_t list) { return decoded(Get<uint64_t>(image, list)); };
    inodes = decoded(super.inode_table);
    listings = decoded(super.directory_table);
    fragments = listed(super.fragment_table);
    exports = listed(super.export_table);
    ids = listed(super.id_table);
  }

  // Where an inode stands in `inodes`.
  uint64_t At(uint32_t number) const { return Get<uint64_t>(exports, (number - 1) * 8) & 0xffff; }

  TableBytes Build() const {
    TableBytes bytes = head;
    const auto put = [&](const TableBytes& table) {
      const uint64_t offset = bytes.size();
      AppendLe<uint16_t>(bytes, static_cast<uint16_t>(table.size() | 0x8000));
      bytes.insert(bytes.end(), table.begin(), table.end());
      return offset;
    };
    const auto put_listed = [&](const TableBytes& table) {
      const uint64_t block = put(table);
      const uint64_t list = bytes.size();
      AppendLe<uint64_t>(bytes, block);
      return list;
    };
    Put<uint64_t>(bytes, 64, put(inodes));
    Put<uint64_t>(bytes, 72, put(listings));
    Put<uint64_t>(bytes, 80, put_listed(fragments));
    Put<uint64_t>(bytes, 88, put_listed(exports));
    Put<uint64_t>(bytes, 48, put_listed(ids));
    if (!xattr_entries.empty()) {
      const uint64_t pairs = put(xattr_pairs);
      const uint64_t entries = put(xattr_entries);
      Put<uint64_t>(bytes, 56, bytes.size());
      AppendLe<uint64_t>(bytes, pairs_outside ? bytes.size() : pairs);
      AppendLe<uint64_t>(bytes, xattr_entries.size() / 16);
      AppendLe<uint64_t>(bytes, entries);
    }
    Put<uint64_t>(bytes, 40, bytes.size());
    if (change_superblock) change_superblock(bytes);
    const FileDescriptor file = MemoryFileOf(bytes);
    SquashfsPart written = part;
    written.length = bytes.size();
    const std::string yaml = manifest.ToYaml();
    WriteAppendix(file.get(), written, {.manifest_yaml = yaml, .profile = profile}, 1, [] {});
    return AllBytesOf(file.get());
  }

  TableBytes head;  // all before the inode table
  TableBytes inodes;
  TableBytes listings;
  TableBytes fragments;
  TableBytes exports;
  TableBytes ids;
  TableBytes xattr_pairs;
  TableBytes xattr_entries;
  bool pairs_outside = false;
  std::function<void(TableBytes&)> change_superblock;  // when all else is in its place
  Manifest manifest;
  std::string profile;
  Superblock super;
  SquashfsPart part;
};

}  // namespace firn

#endif  // FIRN_FORMAT_TEST_TABLES_H_
