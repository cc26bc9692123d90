#ifndef FIRN_FORMAT_IMAGE_H_
#define FIRN_FORMAT_IMAGE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/block_cache.h"
#include "format/digest.h"
#include "format/extent_check.h"
#include "format/file.h"
#include "format/inode.h"
#include "format/manifest.h"
#include "format/types.h"

namespace firn {

struct DirectoryEntry {
  std::string_view name;  // valid during the call that gives it
  InodeNumber inode{};
  FileType type = FileType::kRegular;  // as the listing says; the inode has the last word
  // Where a listing goes on behind this entry; opaque, never 0, fits in 63 bits.
  uint64_t next_cookie = 0;
};

// Positions [first, first + count) among an image's regular files ordered by digest, then by inode
// number: the files of one content.
struct FileRange {
  uint64_t first = 0;
  uint64_t count = 0;
};

// A piece of a file: the bytes stay alive as long as `owner`.
struct FilePiece {
  std::shared_ptr<const Block> owner;  // null for a hole: its zeros live for ever
  ByteSpan bytes;
};

// Where a data or fragment block is stored.
struct StoredBlock {
  uint64_t offset = 0;
  uint32_t length = 0;  // 0: a hole
  bool compressed = true;
};

struct ImageOptions {
  // Take other SquashFS 4.0 files too: no appendix, nothing verified.
  bool allow_foreign = false;
  // A data block that was read to its end is dropped from the kernel's page cache, where it would
  // lie beside what programs read. Not where others read the same file and decode it themselves.
  bool drop_stored = false;
  // With kProof the image id proves each byte that is read.
  ExtentCheck check = ExtentCheck::kChecksum;
  // Refuse an image with another id, before anything but its core is looked at.
  std::optional<Digest> expected_id{};
  // Where bytes read from the file are counted, if not in the image alone; outlives it.
  std::atomic<uint64_t>* bytes_read = nullptr;
};

// An open image (or, on request, a foreign SquashFS file), read with pread only. Opening reads the
// footer, the core table, the superblock and the manifest: its cost does not grow with the image.
// Everything else is read, checked and decoded when it is asked for, through the cache.
//
// Thread-safe; no lock is held while something is read or decoded. Every function throws Error:
// kDamaged with the image's path and the offset where a byte is not what it must be.
class Image {
 public:
  // `path` is used in messages only. `cache` outlives the image and may be shared by several.
  static std::unique_ptr<const Image> Open(FileDescriptor fd, std::string path, BlockCache& cache,
                                           const ImageOptions& options = {});
  ~Image();
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  const std::string& path() const;
  bool foreign() const;
  uint64_t file_length() const;
  uint64_t squashfs_length() const;
  // The following six throw kUnsupported for a foreign image.
  const Digest& id() const;
  const Manifest& manifest() const;
  std::string manifest_yaml() const;
  Digest FileDigest(InodeNumber file) const;
  // By what section digests says, which others must prove. A binary search over its pages.
  FileRange FilesWithDigest(const Digest& digest) const;
  InodeNumber FileInDigestOrder(uint64_t position) const;
  // False for a foreign image too.
  bool has_profile() const;

  // The image file's descriptor, to be passed on; the image keeps it.
  int fd() const;

  uint32_t block_size() const;
  uint32_t inode_count() const;
  std::string compression() const;  // "zstd", "gzip", …
  InodeNumber root() const;

  // Throws kDamaged for a number that the image has not.
  Inode GetInode(InodeNumber number) const;
  // What an entry of the directory leads to. Throws kDamaged also where that is not what the
  // listing says, or is a directory that says to lie elsewhere: so each directory lies in one place
  // alone, and no tree is endless. The error names the entry.
  Inode GetInode(const Inode& directory, const DirectoryEntry& entry) const;

  // nullopt where the directory has no such name.
  std::optional<InodeNumber> Lookup(const Inode& directory, std::string_view name) const;
  // The same, and then GetInode(directory, entry).
  std::optional<Inode> LookupInode(const Inode& directory, std::string_view name) const;

  // Told of entries that a listing must not have.
  using LeftOut = std::function<void(const DirectoryEntry&, const Error&)>;
  // Visits the entries (without . and ..) in their order, from the first on (cookie 0) or behind
  // the entry that gave the cookie, until `visit` answers false. Entries of impossible names,
  // second ones of a name, and second names of a directory are left out; where nobody wants to be
  // told of them, they are errors.
  void ListDirectory(const Inode& directory, uint64_t cookie,
                     const std::function<bool(const DirectoryEntry&)>& visit,
                     const LeftOut& left_out = {}) const;

  std::string ReadLink(const Inode& symlink) const;

  // The bytes [offset, offset + length) of a regular file, less at its end, in pieces.
  std::vector<FilePiece> Read(const Inode& file, uint64_t offset, uint64_t length) const;

  // Bytes of the SquashFS part read from the image file so far.
  uint64_t bytes_read() const;

  // What verify looks at: where the blocks of a file are stored. `index` < file.block_count.
  StoredBlock BlockAt(const Inode& file, uint64_t index) const;
  // Of the fragment block with the file's tail; the file has one.
  StoredBlock FragmentOf(const Inode& file) const;
  // The bytes of a block as they are stored, checked. `buffer` has their length.
  void ReadStored(const StoredBlock& block, MutableByteSpan buffer) const;

 private:
  struct Parts;

 public:
  // For Open() alone: nobody else can make Parts.
  explicit Image(std::unique_ptr<const Parts> parts);

 private:
  std::unique_ptr<const Parts> parts_;
};

}  // namespace firn

#endif  // FIRN_FORMAT_IMAGE_H_
