#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "format/layout.h"
#include "format/little_endian.h"
#include "format/page_tree.h"
#include "format/superblock.h"
#include "tests/fuzz/image_parts.h"

namespace firn::fuzz {
namespace {

constexpr uint16_t kStoredAsIs = 0x8000;

void Append(Bytes& to, ByteSpan bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

std::vector<Edit> EditsIn(const Bytes& part) {
  std::vector<Edit> edits;
  for (size_t at = 0; at + Edit::kLength <= part.size(); at += Edit::kLength) {
    edits.push_back({static_cast<uint8_t>(part[at]), static_cast<uint8_t>(part[at + 1]),
                     LoadLe<uint64_t>(part.data() + at + 2)});
  }
  return edits;
}

void AppendBlock(Bytes& to, ByteSpan decoded, bool compress) {
  if (compress) {
    Bytes stored(ZSTD_compressBound(decoded.size()));
    const size_t length =
        ZSTD_compress(stored.data(), stored.size(), decoded.data(), decoded.size(), 1);
    if (ZSTD_isError(length) == 0 && length <= kMetadataBlockSize) {
      AppendLe(to, static_cast<uint16_t>(length));
      return Append(to, ByteSpan(stored).first(length));
    }
  }
  AppendLe(to, static_cast<uint16_t>(decoded.size() | kStoredAsIs));
  Append(to, decoded);
}

// Returns where each block stands.
std::vector<uint64_t> AppendBlocks(Bytes& to, ByteSpan decoded, bool compress) {
  std::vector<uint64_t> places;
  for (size_t at = 0; at < decoded.size(); at += kMetadataBlockSize) {
    places.push_back(to.size());
    AppendBlock(to, decoded.subspan(at, std::min(kMetadataBlockSize, decoded.size() - at)),
                compress);
  }
  return places;
}

// The bytes of the SquashFS part while it is made.
class SquashfsAssembly {
 public:
  explicit SquashfsAssembly(const ImageParts& parts) : parts_(parts), head_(kFirstDataOffset) {
    const Bytes& options = parts[Part::kOptions];
    if (options.size() >= 4) options_ = LoadLe<uint32_t>(options.data());
    const Bytes& superblock = parts[Part::kSuperblock];
    std::copy_n(superblock.begin(), std::min<size_t>(superblock.size(), kMarkOffset),
                head_.begin());
    const auto mark = EncodeMark();
    std::ranges::copy(mark, head_.begin() + kMarkOffset);
  }

  Bytes Make() {
    bytes_ = head_;
    Append(bytes_, parts_[Part::kData]);
    Place(64, kRawInodeTable, bytes_.size());
    AppendTable(Part::kInodes, kStoredInodes, kCompressInodes);
    Place(72, kRawDirectoryTable, bytes_.size());
    AppendTable(Part::kListings, kStoredListings, kCompressListings);
    AppendIndexed(Part::kFragments, 80, kRawFragmentTable, 0);
    AppendIndexed(Part::kExports, 88, kRawExportTable, 1);
    AppendIndexed(Part::kIds, 48, kRawIdTable, 2);
    AppendXattrs();
    Place(40, kRawBytesUsed, bytes_.size());
    std::copy_n(head_.begin(), kSuperblockLength, bytes_.begin());
    return std::move(bytes_);
  }

 private:
  bool Has(uint32_t option) const { return (options_ & option) != 0; }

  void Place(size_t field, uint32_t raw, uint64_t offset) {
    if (!Has(raw)) StoreLe<uint64_t>(head_.data() + field, offset);
  }

  void AppendTable(Part part, uint32_t stored, uint32_t compress) {
    if (Has(stored)) return Append(bytes_, parts_[part]);
    AppendBlocks(bytes_, parts_[part], Has(compress));
  }

  void AppendIndexed(Part part, size_t field, uint32_t raw, uint8_t table) {
    if (parts_[part].empty()) return Place(field, raw, kNoTable);
    std::vector<uint64_t> places = AppendBlocks(bytes_, parts_[part], Has(kCompressIndexed));
    for (const Edit& edit : EditsIn(parts_[Part::kLists])) {
      if (edit.where % 3 == table) places[edit.index % places.size()] = edit.value;
    }
    Place(field, raw, bytes_.size());
    for (const uint64_t place : places) AppendLe(bytes_, place);
  }

  void AppendXattrs() {
    const ByteSpan part = parts_[Part::kXattrs];
    if (part.size() < 2) return Place(56, kRawXattrTable, kNoTable);
    const size_t length = std::min<size_t>(LoadLe<uint16_t>(part.data()), part.size() - 2);
    const ByteSpan entries = part.subspan(2 + length);
    const uint64_t pairs = bytes_.size();
    AppendBlocks(bytes_, part.subspan(2, length), false);
    const std::vector<uint64_t> places = AppendBlocks(bytes_, entries, false);
    Place(56, kRawXattrTable, bytes_.size());
    AppendLe(bytes_, pairs);
    AppendLe(bytes_, static_cast<uint32_t>(entries.size() / 16));
    AppendLe(bytes_, uint32_t{0});
    for (const uint64_t place : places) AppendLe(bytes_, place);
  }

  const ImageParts& parts_;
  uint32_t options_ = 0;
  Bytes head_;
  Bytes bytes_;
};

// What stands behind the SquashFS part.
class AppendixAssembly {
 public:
  AppendixAssembly(const ImageParts& parts, Bytes squashfs)
      : parts_(parts), bytes_(std::move(squashfs)), squashfs_length_(bytes_.size()) {
    const Bytes& options = parts[Part::kOptions];
    if (options.size() >= 4) options_ = LoadLe<uint32_t>(options.data());
  }

  Bytes Make() {
    AddExtents();
    bytes_.resize(AlignUp(bytes_.size(), kSectionsAlignment));
    AddSection(kManifestSection, parts_[Part::kManifest]);
    AddSection(kExtentsSection, extents_);
    AddSection(kDigestsSection, parts_[Part::kDigests]);
    if (!parts_[Part::kProfile].empty()) AddSection(kProfileSection, parts_[Part::kProfile]);
    if (!parts_[Part::kOther].empty()) AddSection("other", parts_[Part::kOther]);
    AddCore();
    AddSignatures();
    AddFooter();
    return std::move(bytes_);
  }

 private:
  bool Has(uint32_t option) const { return (options_ & option) != 0; }

  void AddExtent(uint64_t offset, uint64_t length) {
    Extent extent{.offset = ImageOffset{offset}, .length = length, .sha256 = {}};
    if (FitsIn(offset, length, squashfs_length_)) {
      const ByteSpan bytes = ByteSpan(bytes_).subspan(offset, length);
      extent.xxh3 = Xxh3Of(bytes);
      extent.sha256 = Sha256Of(bytes);
    }
    extent.AppendTo(extents_);
  }

  void AddExtents() {
    const Bytes& given = parts_[Part::kExtents];
    if (Has(kExtentsAsGiven)) {
      for (size_t at = 0; at + 12 <= given.size(); at += 12) {
        AddExtent(LoadLe<uint64_t>(given.data() + at), LoadLe<uint32_t>(given.data() + at + 8));
      }
      return;
    }
    const uint64_t piece = Has(kTinyExtents) ? 7 : 4096;
    for (uint64_t at = 0; at < squashfs_length_; at += piece) {
      AddExtent(at, std::min(piece, squashfs_length_ - at));
    }
  }

  void AddSection(std::string_view name, const Bytes& content) {
    bytes_.resize(AlignUp(bytes_.size(), kSectionAlignment));
    const PageTree tree = MakePageTree(content);
    core_.sections.push_back({std::string(name), bytes_.size(), content.size(), tree.root});
    Append(bytes_, content);
    Append(bytes_, tree.upper_levels);
  }

  void EditSection(const Edit& edit) {
    Section& section = core_.sections[edit.index % core_.sections.size()];
    switch (edit.where % 8) {
      case 0:
        section.offset = edit.value;
        break;
      case 1:
        section.length = edit.value;
        break;
      case 2:
        std::memcpy(section.digest.bytes.data(), &edit.value, sizeof edit.value);
        break;
      case 3:
        section.name.assign(reinterpret_cast<const char*>(&edit.value), sizeof edit.value);
        break;
      case 4:
        core_.squashfs_length = edit.value;
        break;
      case 5:
        if (core_.sections.size() > 1) core_.sections.erase(core_.sections.begin());
        break;
      default:
        break;
    }
  }

  void AddCore() {
    bytes_.resize(AlignUp(bytes_.size(), kSectionAlignment));
    core_.squashfs_length = squashfs_length_;
    const std::vector<Edit> edits = EditsIn(parts_[Part::kCore]);
    for (const Edit& edit : edits) EditSection(edit);
    Bytes core = core_.Encode();
    for (const Edit& edit : edits) {
      if (edit.where % 8 == 6) StoreLe(core.data() + 8, static_cast<uint32_t>(edit.value));
      if (edit.where % 8 == 7) StoreLe(core.data() + 12, static_cast<uint32_t>(edit.value));
    }
    footer_.core_offset = bytes_.size();
    footer_.core_length = core.size();
    footer_.image_id = Sha256Of(core);
    Append(bytes_, core);
  }

  void AddSignatures() {
    Bytes area = parts_[Part::kSignatures];
    if (area.empty()) return;
    if (!Has(kRawSignatureId) && area.size() >= 48) {
      std::ranges::copy(footer_.image_id.bytes, area.begin() + 16);
    }
    AppendLe(area, Xxh3Of(area));
    footer_.signatures_offset = bytes_.size();
    footer_.signatures_length = area.size();
    Append(bytes_, area);
  }

  void EditFooter(const Edit& edit) {
    uint64_t* const fields[] = {&footer_.core_offset, &footer_.core_length,
                                &footer_.signatures_offset, &footer_.signatures_length,
                                &footer_.file_length};
    const size_t where = edit.where % 9;
    if (where < std::size(fields)) {
      *fields[where] = edit.value;
    } else if (where == 5) {
      std::memcpy(footer_.image_id.bytes.data(), &edit.value, sizeof edit.value);
    }
  }

  void AddFooter() {
    footer_.file_length = bytes_.size() + kFooterLength;
    const std::vector<Edit> edits = EditsIn(parts_[Part::kFooter]);
    for (const Edit& edit : edits) EditFooter(edit);
    Append(bytes_, footer_.Encode());
    for (const Edit& edit : edits) {
      constexpr uint64_t kMost = 256;
      const uint64_t count = edit.value % kMost;
      if (edit.where % 9 == 6) bytes_.resize(bytes_.size() - count);
      if (edit.where % 9 == 7) bytes_.resize(bytes_.size() + count);
      if (edit.where % 9 == 8) bytes_[kMarkOffset + edit.index % kMarkLength] ^= std::byte{1};
    }
  }

  const ImageParts& parts_;
  uint32_t options_ = 0;
  Bytes bytes_;
  const uint64_t squashfs_length_;
  Bytes extents_;
  CoreTable core_;
  Footer footer_;
};

}  // namespace

Bytes Assemble(const ImageParts& parts) {
  return AppendixAssembly(parts, SquashfsAssembly(parts).Make()).Make();
}

}  // namespace firn::fuzz
