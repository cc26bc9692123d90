#include "format/directory.h"

#include <array>
#include <string>

#include "format/error.h"
#include "format/listing_walk.h"
#include "format/quoted.h"

namespace firn {
namespace {

// The block of faults of a directory stands in the cache among the maps of files' blocks, behind
// all that a file of its number could have.
uint64_t FaultsPosition(InodeNumber directory) {
  return uint64_t{ToInt(directory)} << 32 | 0xffffffff;
}

}  // namespace

bool IsPossibleName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == name.npos &&
         name.find('\0') == name.npos && name.size() < kMaxNameLength;
}

ListingFaults DirectoryReader::FaultsOf(const Inode& directory) const {
  const BlockKey key{context_.image_number, BlockKind::kBlockMap, FaultsPosition(directory.number)};
  return ListingFaults(
      context_.cache->Get(key, [&] { return FindListingFaults(inodes_, listings_, directory); }));
}

Error DirectoryReader::ErrorOf(const Inode& directory, std::string_view name,
                               ListingFault fault) const {
  const uint64_t place = listings_.start() + directory.directory.listing.block;
  if (fault == ListingFault::kIndex) {
    return DamagedError("directory table: inode " + std::to_string(ToInt(directory.number)) + ": " +
                            std::string(Describe(fault)),
                        place);
  }
  return DamagedError("directory table: entry " + Quoted(name) + " of inode " +
                          std::to_string(ToInt(directory.number)) + " " +
                          std::string(Describe(fault)),
                      place);
}

// An entry of a directory's index: where in the listing a run starts that begins with `name`.
template <typename IsBefore>
MetadataPosition DirectoryReader::Seek(const Inode& directory, IsBefore is_before,
                                       uint64_t& skipped) const {
  MetadataPosition position = directory.directory.listing;
  skipped = 0;
  if (directory.directory.index_count == 0) return position;
  MetadataCursor index(inodes_, directory.directory.index);
  std::array<char, kMaxNameLength> buffer;
  for (uint32_t i = 0; i < directory.directory.index_count; ++i) {
    const uint32_t listing_offset = index.ReadNumber<uint32_t>();
    const uint32_t block = index.ReadNumber<uint32_t>();
    const uint64_t name_length = uint64_t{index.ReadNumber<uint32_t>()} + 1;
    if (name_length > kMaxNameLength) {
      throw DamagedError("directory table: an index has a name that is too long", inodes_.start());
    }
    index.Read(std::as_writable_bytes(std::span(buffer).first(name_length)));
    if (!is_before(std::string_view(buffer.data(), name_length), listing_offset)) break;
    skipped = listing_offset;
    position.block = block;
    position.offset = static_cast<uint32_t>(
        (uint64_t{directory.directory.listing.offset} + listing_offset) % kMetadataBlockSize);
  }
  return position;
}

std::optional<DirectoryEntry> DirectoryReader::Lookup(const Inode& directory,
                                                      std::string_view name) const {
  if (!IsPossibleName(name) || directory.directory.listing_length == 0) return std::nullopt;
  const ListingFaults faults = FaultsOf(directory);
  MetadataPosition position = directory.directory.listing;
  uint64_t skipped = 0;
  // Where names are out of order, an index leads past some.
  if (faults.none()) {
    position = Seek(
        directory, [&](std::string_view first, uint32_t) { return first <= name; }, skipped);
  }
  ListingWalk walk(listings_, directory, position, skipped);
  DirectoryEntry entry;
  while (walk.Next(entry)) {
    const ListingFault fault = faults.Of(entry.next_cookie);
    if (entry.name == name && fault == ListingFault::kSecondName) {
      throw ErrorOf(directory, name, fault);
    }
    if (fault != ListingFault::kNone) continue;
    if (entry.name > name) break;  // sorted by their bytes
    if (entry.name == name) {
      entry.name = name;
      return entry;
    }
  }
  return std::nullopt;
}

void DirectoryReader::List(const Inode& directory, uint64_t cookie, const Visit& visit,
                           const LeftOut& left_out) const {
  if (directory.directory.listing_length == 0) return;
  const ListingFaults faults = FaultsOf(directory);
  MetadataPosition position = directory.directory.listing;
  uint64_t skipped = 0;
  if (faults.none()) {
    position = Seek(
        directory,
        [&](std::string_view, uint32_t offset) { return MakeCookie(offset, 0) <= cookie; },
        skipped);
  }
  ListingWalk walk(listings_, directory, position, skipped);
  DirectoryEntry entry;
  // A cookie comes from a client and may be made up. The walk is always one from run to run, so
  // such a cookie can shorten the listing, and never make the middle of an entry look like one.
  while (walk.Next(entry)) {
    if (entry.next_cookie <= cookie) continue;
    const ListingFault fault = faults.Of(entry.next_cookie);
    if (fault != ListingFault::kNone) {
      left_out(entry, ErrorOf(directory, entry.name, fault));
    } else if (!visit(entry)) {
      return;
    }
  }
}

}  // namespace firn
