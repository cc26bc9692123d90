#include "tests/fuzz/image_exercises.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <set>
#include <string>

#include "format/appendix.h"
#include "format/error.h"
#include "format/image.h"
#include "format/signature.h"
#include "format/verify.h"

namespace firn::fuzz {
namespace {

constexpr size_t kCacheBytes = size_t{1} << 20;
constexpr uint32_t kMostInodes = 64;
constexpr size_t kMostDirectories = 64;
constexpr size_t kMostEntries = 1000;

// Runs `work`. What it refuses is right; where Firn says that itself is wrong it is not.
template <typename Work>
void Try(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInternal) throw;
  }
}

std::unique_ptr<const Image> Open(FileDescriptor file, BlockCache& cache,
                                  ImageOptions options = {}) {
  return Image::Open(std::move(file), "image", cache, options);
}

FileDescriptor Again(const FileDescriptor& file) {
  return FileDescriptor(fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
}

void ReadInode(const Image& image, const Inode& inode) {
  if (inode.IsSymlink()) image.ReadLink(inode);
  if (!inode.IsRegular()) return;
  if (inode.file.block_count > 0) image.BlockAt(inode, 0);
  if (inode.file.has_fragment) image.FragmentOf(inode);
}

void ReadContent(const Image& image, const Inode& file) {
  constexpr uint64_t kPiece = 20'000;
  const uint64_t middle = file.size / 2;
  for (const uint64_t start :
       {uint64_t{0}, middle - std::min(middle, kPiece), file.size - std::min(file.size, kPiece)}) {
    Try([&] {
      for (const FilePiece& piece : image.Read(file, start, kPiece)) {
        if (std::ranges::count(piece.bytes, std::byte{0x5a}) < 0) throw std::bad_alloc();
      }
    });
  }
}

// Calls `visit` with each inode of the tree, as far as it goes.
template <typename Visit>
void Walk(const Image& image, const Visit& visit) {
  std::deque<InodeNumber> pending = {image.root()};
  std::set<InodeNumber> seen = {image.root()};
  while (!pending.empty() && seen.size() < kMostDirectories) {
    const InodeNumber number = pending.front();
    pending.pop_front();
    Try([&] {
      const Inode directory = image.GetInode(number);
      size_t entries = 0;
      const auto ignore = [](const DirectoryEntry&, const Error&) {};
      const auto take = [&](const DirectoryEntry& entry) {
        Try([&] {
          const Inode inode = image.GetInode(directory, entry);
          visit(directory, entry, inode);
          if (inode.IsDirectory() && seen.insert(entry.inode).second) {
            pending.push_back(entry.inode);
          }
        });
        return ++entries < kMostEntries;
      };
      image.ListDirectory(directory, 0, take, ignore);
    });
  }
}

void WalkOpen(const Image& image) {
  Walk(image, [&](const Inode& directory, const DirectoryEntry& entry, const Inode& inode) {
    image.LookupInode(directory, entry.name);
    image.Lookup(directory, std::string(entry.name) + "x");
    image.ListDirectory(directory, entry.next_cookie, [](const DirectoryEntry&) { return false; });
    ReadInode(image, inode);
  });
  Try([&] {
    const Inode root = image.GetInode(image.root());
    image.Lookup(root, "name-that-is-long-enough-1300");
    image.ListDirectory(root, UINT64_MAX >> 1, [](const DirectoryEntry&) { return true; });
  });
}

}  // namespace

void ReadInodes(FileDescriptor file) {
  BlockCache cache(kCacheBytes);
  const auto image = Open(std::move(file), cache);
  const uint32_t count = image->inode_count();
  for (uint32_t number = 0; number <= std::min(count, kMostInodes); ++number) {
    Try([&] { ReadInode(*image, image->GetInode(InodeNumber{number})); });
  }
  for (const uint32_t number : {count, count + 1, UINT32_MAX}) {
    Try([&] { image->GetInode(InodeNumber{number}); });
  }
}

void WalkTree(FileDescriptor file) {
  BlockCache cache(kCacheBytes);
  WalkOpen(*Open(std::move(file), cache));
}

void ReadFiles(FileDescriptor file) {
  BlockCache cache(kCacheBytes);
  const auto image = Open(std::move(file), cache, {.check = ExtentCheck::kProof});
  for (uint32_t number = 1; number <= std::min(image->inode_count(), kMostInodes); ++number) {
    Try([&] {
      const Inode inode = image->GetInode(InodeNumber{number});
      if (inode.IsRegular()) ReadContent(*image, inode);
    });
  }
}

void ReadAppendix(FileDescriptor file) {
  const Appendix appendix = Appendix::ReadImage(file.get(), "image");
  for (const Section& section : appendix.core().sections) {
    Try([&] { appendix.ReadSection(file.get(), section.name, kMaxManifestLength); });
  }
  Try([&] { appendix.ReadManifest(file.get()); });
  Try([&] { appendix.ReadProfile(file.get()); });
  ReadInodes(Again(file));
  ReadDigests(std::move(file));
}

void ReadDigests(FileDescriptor file) {
  BlockCache cache(kCacheBytes);
  const auto image = Open(std::move(file), cache);
  for (uint32_t number = 1; number <= kMostInodes; ++number) {
    Try([&] { image->FilesWithDigest(image->FileDigest(InodeNumber{number})); });
  }
  Try([&] { image->FilesWithDigest(Digest{}); });
  Try([&] {
    Digest last;
    last.bytes.fill(std::byte{0xff});
    const FileRange range = image->FilesWithDigest(last);
    for (uint64_t i = 0; i < std::min<uint64_t>(range.count, kMostInodes); ++i) {
      image->FileInDigestOrder(range.first + i);
    }
  });
}

void ReadSignatureArea(FileDescriptor file) {
  const Appendix appendix = Appendix::ReadImage(file.get(), "image");
  const auto area = ReadSignatures(file.get(), appendix, "image");
  if (!area) return;
  for (const ImageSignature& signature : area->signatures) area->IsRight(signature);
  if (SignatureArea::Decode(area->Encode()).signatures.size() != area->signatures.size()) {
    throw std::logic_error("signatures are not read as they were written");
  }
}

void VerifyImage(FileDescriptor file) {
  for (const bool deep : {false, true}) {
    Verify(Again(file), "image", {.jobs = 1, .deep = deep, .progress = {}});
  }
}

void ReadForeign(FileDescriptor file) {
  BlockCache cache(kCacheBytes);
  const auto image = Open(std::move(file), cache, {.allow_foreign = true});
  WalkOpen(*image);
  Walk(*image, [&](const Inode&, const DirectoryEntry&, const Inode& inode) {
    if (inode.IsRegular()) ReadContent(*image, inode);
  });
}

}  // namespace firn::fuzz
