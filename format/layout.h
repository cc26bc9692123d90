#ifndef FIRN_FORMAT_LAYOUT_H_
#define FIRN_FORMAT_LAYOUT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/digest.h"
#include "format/types.h"

// The fixed structures of an image, encoded and decoded; FORMAT.md has the tables.
// Decoders take hostile bytes: they throw kDamaged, or kUnsupported for a newer version.
namespace firn {

inline constexpr uint32_t kFormatVersion = 1;
inline constexpr uint64_t kMarkOffset = 128;
inline constexpr size_t kMarkLength = 32;
inline constexpr uint64_t kFirstDataOffset = kMarkOffset + kMarkLength;
inline constexpr size_t kFooterLength = 128;
inline constexpr uint64_t kSectionsAlignment = 4096;  // of the first section
inline constexpr uint64_t kSectionAlignment = 8;
inline constexpr size_t kMaxSections = 64;
inline constexpr uint64_t kMaxExtentLength = uint64_t{1} << 20;
inline constexpr uint64_t kMetadataExtentLength = 16 * 1024;

// SquashFS: what an inode's block list and the fragment table say of a block's stored length.
inline constexpr uint32_t kStoredUncompressed = 1u << 24;
inline constexpr uint32_t kStoredLengthMask = kStoredUncompressed - 1;

// Blocks of a file. Where the last one is stored is found by adding up the lengths of all others.
inline constexpr uint64_t kMaxFileBlocks = uint64_t{1} << 24;

inline constexpr std::string_view kManifestSection = "manifest";
inline constexpr std::string_view kExtentsSection = "extents";
inline constexpr std::string_view kDigestsSection = "digests";
inline constexpr std::string_view kProfileSection = "profile";
// What the builder knows of an environment. Readers may do without; FORMAT.md has their contents.
inline constexpr std::string_view kRecipeSection = "recipe";      // YAML, firn-recipe(5)
inline constexpr std::string_view kLocksSection = "locks";        // a tar archive of lock files
inline constexpr std::string_view kPackagesSection = "packages";  // JSON
inline constexpr std::string_view kNeedsSection = "needs";        // JSON
inline constexpr std::string_view kSbomSection = "sbom";          // CycloneDX JSON

constexpr uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

std::array<std::byte, kMarkLength> EncodeMark();
// Do these bytes start with the mark's magic? Then check them with DecodeMark.
bool HasMark(ByteSpan bytes);
// Throws unless the mark is whole and of a version that this Firn reads.
void CheckMark(ByteSpan bytes);

struct Footer {
  uint64_t core_offset = 0;
  uint64_t core_length = 0;
  uint64_t signatures_offset = 0;
  uint64_t signatures_length = 0;
  Digest image_id;
  uint64_t file_length = 0;

  std::array<std::byte, kFooterLength> Encode() const;
  // `bytes`: the last kFooterLength bytes of the file. nullopt where there is no footer's magic.
  static std::optional<Footer> Decode(ByteSpan bytes);
};

struct Section {
  std::string name;
  uint64_t offset = 0;
  uint64_t length = 0;  // of its content, without the upper levels of its page tree
  Digest digest;
};

struct CoreTable {
  uint64_t squashfs_length = 0;
  std::vector<Section> sections;

  std::vector<std::byte> Encode() const;
  // Checks the structure; that sections lie inside the file is the caller's to check.
  static CoreTable Decode(ByteSpan bytes);

  const Section* Find(std::string_view name) const;
};

struct Extent {
  static constexpr size_t kEncodedLength = 56;

  ImageOffset offset{};
  uint64_t length = 0;
  uint64_t xxh3 = 0;
  Digest sha256;

  ImageOffset end() const { return offset + length; }
  void AppendTo(std::vector<std::byte>& to) const;
  // `bytes` has kEncodedLength bytes. Checks nothing.
  static Extent Decode(ByteSpan bytes);
};

}  // namespace firn

#endif  // FIRN_FORMAT_LAYOUT_H_
