#include "format/appendix.h"

#include <algorithm>
#include <utility>

#include "format/error.h"
#include "format/file.h"
#include "format/little_endian.h"
#include "format/page_tree.h"
#include "format/superblock.h"

namespace firn {
namespace {

constexpr uint64_t kMaxCoreLength = 24 + kMaxSections * 64;
// How far before the end a footer is looked for, to tell a cut file from one with bytes added.
constexpr uint64_t kTrailingSearchLength = uint64_t{1} << 20;

// Runs `work`; what it throws gets this offset.
template <typename Work>
auto At(uint64_t offset, Work&& work) {
  try {
    return work();
  } catch (const Error& error) {
    throw error.WithOffset(offset);
  }
}

std::vector<std::byte> ReadExactly(int fd, uint64_t offset, uint64_t length) {
  std::vector<std::byte> bytes(length);
  const size_t got = ReadAt(fd, offset, bytes);
  if (got != length) throw DamagedError("the file ends early", offset + got);
  return bytes;
}

// Offset behind a whole footer that stands before the end, 0 where there is none.
uint64_t FindEarlierFooter(int fd, uint64_t file_length) {
  const uint64_t length = std::min(file_length, kTrailingSearchLength);
  const std::vector<std::byte> tail = ReadExactly(fd, file_length - length, length);
  for (uint64_t at = length; at >= kFooterLength; --at) {
    const ByteSpan candidate = ByteSpan(tail).subspan(at - kFooterLength, kFooterLength);
    if (LoadLe<uint64_t>(candidate.data() + 80) != file_length - length + at) continue;
    if (Footer::Decode(candidate)) return file_length - length + at;
  }
  return 0;
}

Error MissingFooter(int fd, uint64_t file_length) {
  if (const uint64_t end = FindEarlierFooter(fd, file_length); end != 0) {
    return Error(ErrorKind::kDamaged,
                 std::to_string(file_length - end) + " bytes follow the image's footer",
                 "Something was appended to the file. Cut it back with: truncate -s " +
                     std::to_string(end) + " FILE; then run firn verify.")
        .WithOffset(end);
  }
  return DamagedError("the image was cut short: expected a footer in the last " +
                          std::to_string(kFooterLength) + " bytes, found none",
                      file_length < kFooterLength ? 0 : file_length - kFooterLength);
}

void CheckFooter(const Footer& footer, uint64_t file_length) {
  if (footer.file_length != file_length) {
    throw DamagedError("the footer speaks of a file of " + std::to_string(footer.file_length) +
                           " bytes, this one has " + std::to_string(file_length),
                       file_length - kFooterLength);
  }
  const uint64_t end = file_length - kFooterLength;
  if (footer.core_length > kMaxCoreLength || !FitsIn(footer.core_offset, footer.core_length, end)) {
    throw DamagedError("the footer places the core table outside the file", end);
  }
  if (!FitsIn(footer.signatures_offset, footer.signatures_length, end)) {
    throw DamagedError("the footer places the signature area outside the file", end);
  }
  if (footer.signatures_length != 0 &&
      footer.signatures_offset < footer.core_offset + footer.core_length) {
    throw DamagedError("the footer places the signature area before the core table's end", end);
  }
}

void CheckSections(const CoreTable& core, const Footer& footer) {
  if (core.squashfs_length < kFirstDataOffset || core.squashfs_length > footer.core_offset) {
    throw DamagedError("the core table gives the SquashFS part an impossible length",
                       footer.core_offset);
  }
  uint64_t end = core.squashfs_length;
  for (const Section& section : core.sections) {
    const bool fits =
        section.offset >= end && section.offset % kSectionAlignment == 0 &&
        FitsIn(section.offset, section.length, footer.core_offset) &&
        FitsIn(section.offset, StoredSectionLength(section.length), footer.core_offset);
    if (!fits) {
      throw DamagedError("the core table misplaces section " + section.name, footer.core_offset);
    }
    end = section.offset + StoredSectionLength(section.length);
  }
}

CoreTable ReadCore(int fd, const Footer& footer) {
  const std::vector<std::byte> bytes = ReadExactly(fd, footer.core_offset, footer.core_length);
  if (Sha256Of(bytes) != footer.image_id) {
    throw DamagedError("the core table's SHA-256 is not the image id", footer.core_offset);
  }
  CoreTable core = CoreTable::Decode(bytes);
  CheckSections(core, footer);
  return core;
}

}  // namespace

Appendix::Appendix(std::string path, Footer footer, CoreTable core)
    : path_(std::move(path)), footer_(std::move(footer)), core_(std::move(core)) {}

std::optional<Appendix> Appendix::Read(int fd, const std::string& path) {
  try {
    const uint64_t file_length = FileSize(fd);
    const std::vector<std::byte> head =
        ReadExactly(fd, 0, std::min<uint64_t>(file_length, kFirstDataOffset));
    const ByteSpan mark = ByteSpan(head).subspan(std::min<uint64_t>(head.size(), kMarkOffset));
    std::optional<Footer> footer;
    if (file_length >= kFirstDataOffset + kFooterLength) {
      const uint64_t offset = file_length - kFooterLength;
      footer = At(offset, [&] { return Footer::Decode(ReadExactly(fd, offset, kFooterLength)); });
    }
    if (!HasMark(mark)) {
      Superblock::Decode(head, file_length);  // what is cut short is not foreign
      if (footer || FindEarlierFooter(fd, file_length) != 0) {
        throw DamagedError("the file ends in a footer, but the mark is missing", kMarkOffset);
      }
      return std::nullopt;
    }
    At(kMarkOffset, [&] { CheckMark(mark); });
    if (!footer) throw MissingFooter(fd, file_length);
    CheckFooter(*footer, file_length);
    CoreTable core = ReadCore(fd, *footer);
    return Appendix(path, *std::move(footer), std::move(core));
  } catch (const Error& error) {
    throw error.WithPath(path);
  }
}

Appendix Appendix::ReadImage(int fd, const std::string& path) {
  std::optional<Appendix> appendix = Read(fd, path);
  if (!appendix) {
    throw Error(ErrorKind::kUnsupported, "is a SquashFS file without Firn's appendix",
                "Only firn mount and firn run can use it, with --foreign; nothing in it can be "
                "verified.")
        .WithPath(path);
  }
  return *std::move(appendix);
}

std::vector<std::byte> Appendix::ReadSection(int fd, std::string_view name, uint64_t limit) const {
  const Section* section = core_.Find(name);
  if (section == nullptr) {
    throw DamagedError("section " + std::string(name) + " is missing", footer_.core_offset)
        .WithPath(path_);
  }
  if (section->length > limit) {
    throw DamagedError("section " + section->name + " has " + std::to_string(section->length) +
                           " bytes, more than the " + std::to_string(limit) + " that it may have",
                       section->offset)
        .WithPath(path_);
  }
  try {
    const std::vector<std::byte> stored =
        ReadExactly(fd, section->offset, StoredSectionLength(section->length));
    std::vector<std::byte> content(stored.begin(),
                                   stored.begin() + static_cast<ptrdiff_t>(section->length));
    const PageTree tree = MakePageTree(content);
    if (tree.root != section->digest ||
        !std::equal(tree.upper_levels.begin(), tree.upper_levels.end(),
                    stored.begin() + static_cast<ptrdiff_t>(section->length), stored.end())) {
      throw DamagedError(
          "section " + section->name + " does not have the SHA-256 of the core table",
          section->offset);
    }
    return content;
  } catch (const Error& error) {
    throw error.WithPath(path_);
  }
}

std::string Appendix::ReadManifestYaml(int fd) const {
  const std::vector<std::byte> bytes = ReadSection(fd, kManifestSection, kMaxManifestLength);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Manifest Appendix::ReadManifest(int fd) const {
  try {
    return Manifest::FromYaml(ReadManifestYaml(fd));
  } catch (const Error& error) {
    throw error.WithPath(path_);
  }
}

std::optional<Profile> Appendix::ReadProfile(int fd) const {
  const Section* section = core_.Find(kProfileSection);
  if (section == nullptr) return std::nullopt;
  const std::vector<std::byte> bytes = ReadSection(fd, kProfileSection, kMaxProfileLength);
  try {
    return Profile::Parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path_);
  } catch (const Error& error) {
    throw DamagedError("section profile: " + error.message(), section->offset).WithPath(path_);
  }
}

}  // namespace firn
