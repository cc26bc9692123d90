#include <fcntl.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include "format/block_cache.h"
#include "format/byte_source.h"
#include "format/error.h"
#include "format/image.h"
#include "format/little_endian.h"
#include "format/paged_section.h"
#include "format/parallel.h"
#include "format/superblock.h"
#include "format/verify_internal.h"

namespace firn {
namespace {

constexpr uint64_t kReadLength = uint64_t{1} << 20;
constexpr size_t kCacheBytes = size_t{64} << 20;
constexpr size_t kPageCacheBytes = size_t{4} << 20;
// A fragment block holds the ends of hundreds of files: name so many, count the rest.
constexpr size_t kPathsNamed = 8;

// Names in the tree, from which paths are made where one is told: all of them would take far more
// memory than a hostile image has bytes.
class NameTree {
 public:
  static constexpr size_t kRoot = 0;

  size_t Add(size_t directory, std::string_view name) {
    names_.push_back({directory, std::string(name)});
    return names_.size() - 1;
  }

  // "/" for the root.
  std::string PathOf(size_t index) const {
    if (index == kRoot) return "/";
    std::string path = names_[index].name;
    for (size_t above = names_[index].directory; above != kRoot; above = names_[above].directory) {
      if (!PutInFront(names_[above].name, path)) break;
    }
    return path;
  }

 private:
  struct Name {
    size_t directory;
    std::string name;
  };

  std::vector<Name> names_{{kRoot, {}}};
};

struct File {
  Inode inode;
  size_t name;  // in the NameTree
};

// Every regular file of an image once, by the first of its paths, and what could not be listed.
class FileCollector {
 public:
  FileCollector(const Image& image, const Superblock& super, NameTree& names, VerifyLog& log)
      : image_(image),
        names_(names),
        log_(log),
        listed_(MostDecodedMetadata(super.bytes_used - super.directory_table)),
        blocks_(MostDecodedMetadata(super.directory_table - super.inode_table) / 4) {}

  std::vector<File> Collect() {
    pending_.push_back({image_.GetInode(image_.root()), NameTree::kRoot});
    // A tree in which a directory is its own ancestor would never end.
    directories_.insert(image_.root());
    while (!pending_.empty()) {
      const File directory = std::move(pending_.back());
      pending_.pop_back();
      try {
        if (!listed_.Take(directory.inode.directory.listing_length)) {
          throw DamagedError("its listing is part of other directories'", 0);
        }
        image_.ListDirectory(
            directory.inode, 0,
            [&](const DirectoryEntry& entry) {
              Visit(entry, directory);
              return true;
            },
            [&](const DirectoryEntry& entry, const Error& error) {
              Add(names_.PathOf(names_.Add(directory.name, entry.name)), error);
            });
      } catch (const Error& error) {
        Add(names_.PathOf(directory.name), error);
      }
    }
    std::ranges::sort(files_, {}, [](const File& file) { return file.inode.file.blocks_start; });
    return std::move(files_);
  }

 private:
  void Visit(const DirectoryEntry& entry, const File& directory) {
    try {
      const Inode inode = image_.GetInode(directory.inode, entry);
      if (inode.IsRegular() && seen_.insert(entry.inode).second) {
        if (!blocks_.Take(inode.file.block_count)) {
          throw DamagedError("its list of blocks is part of other files'", 0);
        }
        files_.push_back({inode, names_.Add(directory.name, entry.name)});
      } else if (inode.IsDirectory() && !directories_.insert(entry.inode).second) {
        throw DamagedError("a directory has two names", 0);
      } else if (inode.IsDirectory()) {
        pending_.push_back({inode, names_.Add(directory.name, entry.name)});
      } else if (inode.IsSymlink()) {
        image_.ReadLink(inode);
      }
    } catch (const Error& error) {
      Add(names_.PathOf(names_.Add(directory.name, entry.name)), error);
    }
  }

  // What a listing leads to was looked at already where each structure was.
  void Add(std::string path, const Error& error) {
    if (!log_.deep()) log_.Add(std::move(path), error);
  }

  const Image& image_;
  NameTree& names_;
  VerifyLog& log_;
  ReadBudget listed_;
  ReadBudget blocks_;
  std::vector<File> files_;
  std::vector<File> pending_;
  std::set<InodeNumber> seen_;
  std::set<InodeNumber> directories_;
};

// Which files the damaged extents belong to.
class DamageMap {
 public:
  DamageMap(const std::vector<Extent>& damaged, const NameTree& names)
      : damaged_(damaged), names_(names) {
    owners_.resize(damaged.size());
  }

  // Notes the file with each damaged extent that it needs; was there one?
  bool Note(const Image& image, const File& file) {
    bool hit = false;
    for (uint64_t i = 0; i < file.inode.file.block_count; ++i) {
      hit |= NoteBlock(image.BlockAt(file.inode, i), file);
    }
    if (file.inode.file.has_fragment) hit |= NoteBlock(image.FragmentOf(file.inode), file);
    return hit;
  }

  void Report(VerifyLog& log) const {
    for (size_t i = 0; i < damaged_.size(); ++i) {
      const std::string message = "extent of " + std::to_string(damaged_[i].length) +
                                  " bytes does not have its XXH3-64 and SHA-256";
      const uint64_t offset = ToInt(damaged_[i].offset);
      const std::vector<size_t>& files = owners_[i];
      const size_t named = log.deep() ? files.size() : std::min(files.size(), kPathsNamed);
      if (files.empty()) log.Add({}, offset, message + " (the file system's own tables)");
      for (size_t k = 0; k < named; ++k) {
        const size_t more = k + 1 == named ? files.size() - named : 0;
        log.Add(names_.PathOf(files[k]), offset,
                more == 0 ? message : message + " (and " + std::to_string(more) + " more files)");
      }
    }
  }

 private:
  bool NoteBlock(const StoredBlock& block, const File& file) {
    if (block.length == 0) return false;
    bool hit = false;
    auto extent = std::ranges::upper_bound(damaged_, ImageOffset{block.offset}, {}, &Extent::end);
    for (; extent != damaged_.end() && ToInt(extent->offset) < block.offset + block.length;
         ++extent) {
      hit = true;
      std::vector<size_t>& files = owners_[static_cast<size_t>(extent - damaged_.begin())];
      if (files.empty() || files.back() != file.name) files.push_back(file.name);
    }
    return hit;
  }

  const std::vector<Extent>& damaged_;
  const NameTree& names_;
  std::vector<std::vector<size_t>> owners_;  // by their names
};

void CheckContent(const Image& image, const File& file, const NameTree& names, VerifyLog& log) {
  try {
    Sha256 hash;
    for (uint64_t at = 0; at < file.inode.size; at += kReadLength) {
      for (const FilePiece& piece : image.Read(file.inode, at, kReadLength)) {
        hash.Update(piece.bytes);
      }
    }
    const Digest found = hash.Finish();
    const Digest expected = image.FileDigest(file.inode.number);
    if (found != expected) {
      log.Add(names.PathOf(file.name), file.inode.file.blocks_start,
              "content has SHA-256 " + ToHex(found) + ", section digests says " + ToHex(expected));
    }
  } catch (const Error& error) {
    log.Add(names.PathOf(file.name), error);
  }
}

// The section's own structure: one digest for each file, the index in order.
void CheckDigestsIndex(const Image& image, const Section& digests, size_t file_count,
                       VerifyLog& log) {
  constexpr size_t kHeader = 8;
  const uint64_t offset = digests.offset;
  BlockCache cache(kPageCacheBytes);
  const PagedSection section(image.fd(), cache, 1, digests);
  const auto number_at = [&](uint64_t position) {
    std::array<std::byte, 4> bytes;
    section.Read(position, bytes);
    return LoadLe<uint32_t>(bytes.data());
  };
  const uint64_t count = section.length() < kHeader ? 0 : number_at(0);
  if (count != file_count || section.length() != kHeader + count * 36) {
    log.Add({}, offset,
            "section digests speaks of " + std::to_string(count) + " files, the tree has " +
                std::to_string(file_count));
    return;
  }
  std::pair<Digest, uint32_t> previous;
  for (uint64_t i = 0; i < count; ++i) {
    const uint32_t number = number_at(kHeader + count * 32 + i * 4);
    const bool known = number >= 1 && number <= count;
    const std::pair<Digest, uint32_t> current{
        known ? image.FileDigest(InodeNumber{number}) : Digest{}, number};
    if (!known || (i > 0 && current <= previous)) {
      log.Add({}, offset + kHeader + count * 32 + i * 4,
              "section digests: the index is not ordered by digest");
      return;
    }
    previous = current;
  }
}

}  // namespace

void VerifyFiles(FileDescriptor fd, const Appendix& appendix, VerifyLog& log) {
  const std::vector<Extent>& damaged = log.damaged();
  NameTree names;
  DamageMap damage(damaged, names);
  try {
    const uint64_t length = appendix.core().squashfs_length;
    const Superblock super = Superblock::Read(PlainSource(fd.get(), length), length);
    BlockCache cache(kCacheBytes);
    const auto image = Image::Open(std::move(fd), appendix.path(), cache);
    std::vector<File> files = FileCollector(*image, super, names, log).Collect();
    log.report().files = files.size();
    if (damaged.empty()) {
      CheckDigestsIndex(*image, *appendix.core().Find(kDigestsSection), files.size(), log);
    } else {
      std::erase_if(files, [&](const File& file) { return damage.Note(*image, file); });
    }
    uint64_t bytes = 0;
    for (const File& file : files) bytes += file.inode.size;
    log.Expect(bytes);
    ParallelFor(log.jobs(), files.size(), [&](uint64_t i) {
      CheckContent(*image, files[i], names, log);
      log.Advance(files[i].inode.size);
    });
  } catch (const Error& error) {
    // Where the tables themselves are damaged, the extents say so already.
    if (damaged.empty()) log.Add({}, error);
  }
  damage.Report(log);
}

}  // namespace firn
