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

struct File {
  Inode inode;
  std::string path;
};

// Every regular file of an image once, by the first of its paths, and what could not be listed.
class FileCollector {
 public:
  FileCollector(const Image& image, VerifyLog& log) : image_(image), log_(log) {}

  std::vector<File> Collect() {
    pending_.push_back({image_.GetInode(image_.root()), ""});
    // A tree in which a directory is its own ancestor would never end.
    directories_.insert(image_.root());
    while (!pending_.empty()) {
      const File directory = std::move(pending_.back());
      pending_.pop_back();
      try {
        image_.ListDirectory(
            directory.inode, 0,
            [&](const DirectoryEntry& entry) {
              Visit(entry, directory);
              return true;
            },
            [&](const DirectoryEntry& entry, const Error& error) {
              Add(PathOf(entry, directory), error);
            });
      } catch (const Error& error) {
        Add(directory.path.empty() ? "/" : directory.path, error);
      }
    }
    std::ranges::sort(files_, {}, [](const File& file) { return file.inode.file.blocks_start; });
    return std::move(files_);
  }

 private:
  static std::string PathOf(const DirectoryEntry& entry, const File& directory) {
    return directory.path.empty() ? std::string(entry.name)
                                  : directory.path + "/" + std::string(entry.name);
  }

  void Visit(const DirectoryEntry& entry, const File& directory) {
    std::string path = PathOf(entry, directory);
    try {
      Inode inode = image_.GetInode(directory.inode, entry);
      if (inode.IsRegular() && seen_.insert(entry.inode).second) {
        files_.push_back({inode, std::move(path)});
      } else if (inode.IsDirectory() && !directories_.insert(entry.inode).second) {
        Add(path, DamagedError("a directory has two names", 0));
      } else if (inode.IsDirectory()) {
        pending_.push_back({inode, std::move(path)});
      } else if (inode.IsSymlink()) {
        image_.ReadLink(inode);
      }
    } catch (const Error& error) {
      Add(path, error);
    }
  }

  // What a listing leads to was looked at already where each structure was.
  void Add(std::string path, const Error& error) {
    if (!log_.deep()) log_.Add(std::move(path), error);
  }

  const Image& image_;
  VerifyLog& log_;
  std::vector<File> files_;
  std::vector<File> pending_;
  std::set<InodeNumber> seen_;
  std::set<InodeNumber> directories_;
};

// Which files the damaged extents belong to.
class DamageMap {
 public:
  explicit DamageMap(const std::vector<Extent>& damaged) : damaged_(damaged) {
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
      const std::vector<std::string>& paths = owners_[i];
      const size_t named = log.deep() ? paths.size() : std::min(paths.size(), kPathsNamed);
      if (paths.empty()) log.Add({}, offset, message + " (the file system's own tables)");
      for (size_t k = 0; k < named; ++k) {
        const size_t more = k + 1 == named ? paths.size() - named : 0;
        log.Add(paths[k], offset,
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
      std::vector<std::string>& paths = owners_[static_cast<size_t>(extent - damaged_.begin())];
      if (paths.empty() || paths.back() != file.path) paths.push_back(file.path);
    }
    return hit;
  }

  const std::vector<Extent>& damaged_;
  std::vector<std::vector<std::string>> owners_;
};

void CheckContent(const Image& image, const File& file, VerifyLog& log) {
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
      log.Add(file.path, file.inode.file.blocks_start,
              "content has SHA-256 " + ToHex(found) + ", section digests says " + ToHex(expected));
    }
  } catch (const Error& error) {
    log.Add(file.path, error);
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
  DamageMap damage(damaged);
  try {
    const Section* digests = appendix.core().Find(kDigestsSection);
    std::vector<std::byte> section;
    if (digests != nullptr)
      section = appendix.ReadSection(fd.get(), kDigestsSection, digests->length);
    BlockCache cache(kCacheBytes);
    const auto image = Image::Open(std::move(fd), appendix.path(), cache);
    std::vector<File> files = FileCollector(*image, log).Collect();
    log.report().files = files.size();
    if (damaged.empty()) {
      CheckDigestsIndex(*image, section, files.size(), digests->offset, log);
    } else {
      std::erase_if(files, [&](const File& file) { return damage.Note(*image, file); });
    }
    uint64_t bytes = 0;
    for (const File& file : files) bytes += file.inode.size;
    log.Expect(bytes);
    ParallelFor(log.jobs(), files.size(), [&](uint64_t i) {
      CheckContent(*image, files[i], log);
      log.Advance(files[i].inode.size);
    });
  } catch (const Error& error) {
    // Where the tables themselves are damaged, the extents say so already.
    if (damaged.empty()) log.Add({}, error);
  }
  damage.Report(log);
}

}  // namespace firn
