#include "format/layout.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "format/error.h"
#include "format/little_endian.h"

namespace firn {
namespace {

constexpr std::string_view kMarkMagic = "FIRNMARK";
constexpr std::string_view kFooterMagic = "FIRNFOOT";
constexpr std::string_view kCoreMagic = "FIRNCORE";
constexpr size_t kCoreHeaderLength = 24;
constexpr size_t kSectionLength = 64;
constexpr size_t kSectionNameLength = 16;

void StoreText(std::byte* to, std::string_view text) { std::memcpy(to, text.data(), text.size()); }

bool StartsWith(ByteSpan bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

void CheckVersion(uint32_t version) {
  if (version > kFormatVersion) {
    throw Error(ErrorKind::kUnsupported,
                "image has format version " + std::to_string(version) + ", this firn reads up to " +
                    std::to_string(kFormatVersion),
                "Use a newer firn, or read the image with any SquashFS tool.");
  }
  if (version == 0) throw DamagedError("format version 0 is none");
}

Digest LoadDigest(const std::byte* from) {
  Digest digest;
  std::memcpy(digest.bytes.data(), from, digest.bytes.size());
  return digest;
}

std::string DecodeSectionName(const std::byte* from) {
  std::string name(reinterpret_cast<const char*>(from), kSectionNameLength);
  const size_t end = std::min(name.find('\0'), name.size());
  if (end == 0 || name.find_first_not_of('\0', end) != std::string::npos) {
    throw DamagedError("the core table has a section without a proper name");
  }
  name.resize(end);
  return name;
}

}  // namespace

std::array<std::byte, kMarkLength> EncodeMark() {
  std::array<std::byte, kMarkLength> bytes{};
  StoreText(bytes.data(), kMarkMagic);
  StoreLe<uint32_t>(bytes.data() + 8, kFormatVersion);
  StoreLe<uint64_t>(bytes.data() + 24, Xxh3Of(ByteSpan(bytes).first(24)));
  return bytes;
}

bool HasMark(ByteSpan bytes) { return StartsWith(bytes, kMarkMagic); }

void CheckMark(ByteSpan bytes) {
  if (!HasMark(bytes)) throw DamagedError("the mark is missing");
  if (bytes.size() < kMarkLength) throw DamagedError("the image was cut short inside its mark");
  CheckVersion(LoadLe<uint32_t>(bytes.data() + 8));
  if (LoadLe<uint64_t>(bytes.data() + 24) != Xxh3Of(bytes.first(24))) {
    throw DamagedError("the mark's checksum is wrong");
  }
}

std::array<std::byte, kFooterLength> Footer::Encode() const {
  std::array<std::byte, kFooterLength> bytes{};
  StoreText(bytes.data(), kFooterMagic);
  StoreLe<uint32_t>(bytes.data() + 8, kFormatVersion);
  StoreLe<uint32_t>(bytes.data() + 12, kFooterLength);
  StoreLe<uint64_t>(bytes.data() + 16, core_offset);
  StoreLe<uint64_t>(bytes.data() + 24, core_length);
  StoreLe<uint64_t>(bytes.data() + 32, signatures_offset);
  StoreLe<uint64_t>(bytes.data() + 40, signatures_length);
  std::memcpy(bytes.data() + 48, image_id.bytes.data(), image_id.bytes.size());
  StoreLe<uint64_t>(bytes.data() + 80, file_length);
  StoreLe<uint64_t>(bytes.data() + 120, Xxh3Of(ByteSpan(bytes).first(120)));
  return bytes;
}

std::optional<Footer> Footer::Decode(ByteSpan bytes) {
  if (bytes.size() != kFooterLength || !StartsWith(bytes, kFooterMagic)) return std::nullopt;
  CheckVersion(LoadLe<uint32_t>(bytes.data() + 8));
  if (LoadLe<uint64_t>(bytes.data() + 120) != Xxh3Of(bytes.first(120))) {
    throw DamagedError("the footer's checksum is wrong");
  }
  Footer footer;
  footer.core_offset = LoadLe<uint64_t>(bytes.data() + 16);
  footer.core_length = LoadLe<uint64_t>(bytes.data() + 24);
  footer.signatures_offset = LoadLe<uint64_t>(bytes.data() + 32);
  footer.signatures_length = LoadLe<uint64_t>(bytes.data() + 40);
  footer.image_id = LoadDigest(bytes.data() + 48);
  footer.file_length = LoadLe<uint64_t>(bytes.data() + 80);
  return footer;
}

std::vector<std::byte> CoreTable::Encode() const {
  std::vector<std::byte> bytes(kCoreHeaderLength + sections.size() * kSectionLength);
  StoreText(bytes.data(), kCoreMagic);
  StoreLe<uint32_t>(bytes.data() + 8, kFormatVersion);
  StoreLe<uint32_t>(bytes.data() + 12, static_cast<uint32_t>(sections.size()));
  StoreLe<uint64_t>(bytes.data() + 16, squashfs_length);
  std::byte* at = bytes.data() + kCoreHeaderLength;
  for (const Section& section : sections) {
    if (section.name.size() > kSectionNameLength) {
      throw Error(ErrorKind::kInternal, "section name too long: " + section.name);
    }
    StoreText(at, section.name);
    StoreLe<uint64_t>(at + 16, section.offset);
    StoreLe<uint64_t>(at + 24, section.length);
    std::memcpy(at + 32, section.digest.bytes.data(), section.digest.bytes.size());
    at += kSectionLength;
  }
  return bytes;
}

CoreTable CoreTable::Decode(ByteSpan bytes) {
  if (bytes.size() < kCoreHeaderLength || !StartsWith(bytes, kCoreMagic)) {
    throw DamagedError("the core table is missing");
  }
  CheckVersion(LoadLe<uint32_t>(bytes.data() + 8));
  const uint32_t count = LoadLe<uint32_t>(bytes.data() + 12);
  if (count > kMaxSections || bytes.size() != kCoreHeaderLength + count * kSectionLength) {
    throw DamagedError("the core table's length is wrong");
  }
  CoreTable table;
  table.squashfs_length = LoadLe<uint64_t>(bytes.data() + 16);
  std::set<std::string> names;
  for (uint32_t i = 0; i < count; ++i) {
    const std::byte* at = bytes.data() + kCoreHeaderLength + i * kSectionLength;
    Section section;
    section.name = DecodeSectionName(at);
    section.offset = LoadLe<uint64_t>(at + 16);
    section.length = LoadLe<uint64_t>(at + 24);
    section.digest = LoadDigest(at + 32);
    if (!names.insert(section.name).second) {
      throw DamagedError("the core table names section " + section.name + " twice");
    }
    table.sections.push_back(std::move(section));
  }
  return table;
}

const Section* CoreTable::Find(std::string_view name) const {
  const auto found = std::find_if(sections.begin(), sections.end(),
                                  [&](const Section& section) { return section.name == name; });
  return found == sections.end() ? nullptr : &*found;
}

void Extent::AppendTo(std::vector<std::byte>& to) const {
  AppendLe<uint64_t>(to, ToInt(offset));
  AppendLe<uint64_t>(to, length);
  AppendLe<uint64_t>(to, xxh3);
  to.insert(to.end(), sha256.bytes.begin(), sha256.bytes.end());
}

Extent Extent::Decode(ByteSpan bytes) {
  Extent extent;
  extent.offset = ImageOffset{LoadLe<uint64_t>(bytes.data())};
  extent.length = LoadLe<uint64_t>(bytes.data() + 8);
  extent.xxh3 = LoadLe<uint64_t>(bytes.data() + 16);
  extent.sha256 = LoadDigest(bytes.data() + 24);
  return extent;
}

}  // namespace firn
