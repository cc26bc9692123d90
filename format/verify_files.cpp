#include <fcntl.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "format/block_cache.h"
#include "format/error.h"
#include "format/image.h"
#include "format/little_endian.h"
#include "format/parallel.h"
#include "format/superblock.h"
#include "format/verify_internal.h"

namespace firn {
namespace {

constexpr uint64_t kReadLength = uint64_t{1} << 20;
constexpr size_t kCacheBytes = size_t{64} << 20;
// A fragment block holds the ends of hundreds of files: name so many, count the rest.
constexpr size_t kPathsNamed = 8;

// A regular file and its first name. Of a deep tree all paths together could fill any memory, so
// they are put together where they are needed.
struct File {
  Inode inode;
  std::string name;
  uint32_t directory = 0;  // its place in FoundFiles::directories
};

struct FoundFiles {
  struct Directory {
    std::string name;
    uint32_t parent = 0;  // likewise; the root, which is the first, is its own
  };

  std::string PathOf(uint32_t directory, std::string_view name) const {
    size_t length = name.size();
    for (uint32_t at = directory; at != 0; at = directories[at].parent) {
      length += directories[at].name.size() + 1;
    }
    std::string path(length, '/');
    path.replace(length -= name.size(), name.size(), name);
    for (uint32_t at = directory; at != 0; at = directories[at].parent) {
      const std::string& above = directories[at].name;
      length -= above.size() + 1;
      path.replace(length, above.size(), above);
    }
    return path;
  }
  std::string PathOf(const File& file) const { return PathOf(file.directory, file.name); }

  std::vector<Directory> directories;
  std::vector<File> files;
};

// Every regular file of an image once, by the first of its paths, and what could not be listed.
class FileCollector {
 public:
  FileCollector(const Image& image, VerifyLog& log) : image_(image), log_(log) {}

  FoundFiles Collect() {
    // A tree in which a directory is its own ancestor would never end.
    seen_directories_.insert(image_.root());
    found_.directories.push_back({});
    pending_.push_back({image_.GetInode(image_.root()), 0});
    while (!pending_.empty()) {
      const Pending directory = std::move(pending_.back());
      pending_.pop_back();
      try {
        image_.ListDirectory(
            directory.inode, 0,
            [&](const DirectoryEntry& entry) {
              Visit(entry, directory);
              return true;
            },
            [&](const DirectoryEntry& entry, const Error& error) {
              Add(directory.place, entry.name, error);
            });
      } catch (const Error& error) {
        Add(found_.directories[directory.place].parent,
            directory.place == 0 ? "/" : found_.directories[directory.place].name, error);
      }
    }
    std::ranges::sort(found_.files, {},
                      [](const File& file) { return file.inode.file.blocks_start; });
    return std::move(found_);
  }

 private:
  struct Pending {
    Inode inode;
    uint32_t place = 0;
  };

  void Visit(const DirectoryEntry& entry, const Pending& directory) {
    try {
      Inode inode = image_.GetInode(directory.inode, entry);
      if (inode.IsRegular() && seen_.insert(entry.inode).second) {
        found_.files.push_back({inode, std::string(entry.name), directory.place});
      } else if (inode.IsDirectory() && !seen_directories_.insert(entry.inode).second) {
        Add(directory.place, entry.name, DamagedError("a directory has two names", 0));
      } else if (inode.IsDirectory()) {
        pending_.push_back({inode, static_cast<uint32_t>(found_.directories.size())});
        found_.directories.push_back({std::string(entry.name), directory.place});
      } else if (inode.IsSymlink()) {
        image_.ReadLink(inode);
      }
    } catch (const Error& error) {
      Add(directory.place, entry.name, error);
    }
  }

  // What a listing leads to was looked at already where each structure was.
  void Add(uint32_t directory, std::string_view name, const Error& error) {
    if (!log_.deep()) log_.Add(found_.PathOf(directory, name), error);
  }

  const Image& image_;
  VerifyLog& log_;
  FoundFiles found_;
  std::vector<Pending> pending_;
  std::set<InodeNumber> seen_;
  std::set<InodeNumber> seen_directories_;
};

// Which files the damaged extents belong to.
class DamageMap {
 public:
  DamageMap(const std::vector<Extent>& damaged, const FoundFiles& found)
      : damaged_(damaged), found_(found), owners_(damaged.size()) {}

  // Notes a file, by its place in FoundFiles::files, with each damaged extent that it needs; was
  // there one?
  bool Note(const Image& image, size_t number) {
    const Inode& inode = found_.files[number].inode;
    bool hit = false;
    for (uint64_t i = 0; i < inode.file.block_count; ++i) {
      hit |= NoteBlock(image.BlockAt(inode, i), number);
    }
    if (inode.file.has_fragment) hit |= NoteBlock(image.FragmentOf(inode), number);
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
        log.Add(found_.PathOf(found_.files[files[k]]), offset,
                more == 0 ? message : message + " (and " + std::to_string(more) + " more files)");
      }
    }
  }

 private:
  bool NoteBlock(const StoredBlock& block, size_t number) {
    if (block.length == 0) return false;
    bool hit = false;
    auto extent = std::ranges::upper_bound(damaged_, ImageOffset{block.offset}, {}, &Extent::end);
    for (; extent != damaged_.end() && ToInt(extent->offset) < block.offset + block.length;
         ++extent) {
      hit = true;
      std::vector<size_t>& files = owners_[static_cast<size_t>(extent - damaged_.begin())];
      if (files.empty() || files.back() != number) files.push_back(number);
    }
    return hit;
  }

  const std::vector<Extent>& damaged_;
  const FoundFiles& found_;
  std::vector<std::vector<size_t>> owners_;
};

void CheckContent(const Image& image, const FoundFiles& all, const File& file, VerifyLog& log) {
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
      log.Add(all.PathOf(file), file.inode.file.blocks_start,
              "content has SHA-256 " + ToHex(found) + ", section digests says " + ToHex(expected));
    }
  } catch (const Error& error) {
    log.Add(all.PathOf(file), error);
  }
}

// The section's own structure: one digest for each file, the index in order.
void CheckDigestsIndex(const Image& image, const std::vector<std::byte>& section, size_t file_count,
                       uint64_t offset, VerifyLog& log) {
  constexpr size_t kHeader = 8;
  const uint64_t count = section.size() < kHeader ? 0 : LoadLe<uint32_t>(section.data());
  if (count != file_count || section.size() != kHeader + count * 36) {
    log.Add({}, offset,
            "section digests speaks of " + std::to_string(count) + " files, the tree has " +
                std::to_string(file_count));
    return;
  }
  const std::byte* index = section.data() + kHeader + count * 32;
  std::pair<Digest, uint32_t> previous;
  for (uint64_t i = 0; i < count; ++i) {
    const uint32_t number = LoadLe<uint32_t>(index + i * 4);
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
  FoundFiles found;
  DamageMap damage(damaged, found);
  try {
    const Section* digests = appendix.core().Find(kDigestsSection);
    std::vector<std::byte> section;
    if (digests != nullptr)
      section = appendix.ReadSection(fd.get(), kDigestsSection, digests->length);
    BlockCache cache(kCacheBytes);
    const auto image = Image::Open(std::move(fd), appendix.path(), cache);
    found = FileCollector(*image, log).Collect();
    const std::vector<File>& files = found.files;
    log.report().files = files.size();
    if (damaged.empty()) CheckDigestsIndex(*image, section, files.size(), digests->offset, log);
    std::vector<size_t> readable;
    uint64_t bytes = 0;
    for (size_t i = 0; i < files.size(); ++i) {
      if (!damaged.empty() && damage.Note(*image, i)) continue;
      readable.push_back(i);
      bytes += files[i].inode.size;
    }
    log.Expect(bytes);
    ParallelFor(log.jobs(), readable.size(), [&](uint64_t i) {
      CheckContent(*image, found, files[readable[i]], log);
      log.Advance(files[readable[i]].inode.size);
    });
  } catch (const Error& error) {
    // Where the tables themselves are damaged, the extents say so already.
    if (damaged.empty()) log.Add({}, error);
  }
  damage.Report(log);
}

}  // namespace firn
