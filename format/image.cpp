#include "format/image.h"

#include <atomic>
#include <utility>

#include "format/appendix.h"
#include "format/byte_source.h"
#include "format/decompressor.h"
#include "format/digest_index.h"
#include "format/directory.h"
#include "format/error.h"
#include "format/extent_table.h"
#include "format/file_reader.h"
#include "format/inode_table.h"
#include "format/metadata.h"
#include "format/quoted.h"
#include "format/superblock.h"

namespace firn {
namespace {

uint32_t NextImageNumber() {
  static std::atomic<uint32_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}

// Runs `work`; what it throws gets the image's path.
template <typename Work>
auto Named(const std::string& path, Work&& work) {
  try {
    return work();
  } catch (const Error& error) {
    throw error.WithPath(path);
  }
}

// Runs `work`; what it throws says first what it is about, which `object` is asked for then.
template <typename Object, typename Work>
auto About(Object&& object, Work&& work) {
  try {
    return work();
  } catch (const Error& error) {
    throw error.About(object());
  }
}

void RequireId(const std::optional<Appendix>& appendix, const Digest& expected) {
  if (appendix && appendix->id() == expected) return;
  throw Error(ErrorKind::kUntrusted,
              "expected the image that was signed, " + FormatImageId(expected) + ", found " +
                  (appendix ? FormatImageId(appendix->id()) : "no image"),
              "The file was replaced, or its signature is another's. Fetch it again.");
}

}  // namespace

struct Image::Parts {
  // What an image has and a foreign file has not.
  struct VerifiedParts {
    VerifiedParts(int fd, BlockCache& cache, uint32_t number, Appendix found)
        : appendix(std::move(found)),
          manifest(appendix.ReadManifest(fd)),
          extents({fd, cache, number, Needed(appendix, kExtentsSection)},
                  appendix.core().squashfs_length),
          digests(fd, cache, number, Needed(appendix, kDigestsSection)) {}

    static const Section& Needed(const Appendix& appendix, std::string_view name) {
      const Section* section = appendix.core().Find(name);
      if (section == nullptr) {
        throw Error(ErrorKind::kDamaged, "section " + std::string(name) + " is missing",
                    "The image is incomplete; build it anew.")
            .WithOffset(appendix.footer().core_offset);
      }
      return *section;
    }

    const Appendix appendix;
    const Manifest manifest;
    const ExtentTable extents;
    const DigestIndex digests;
  };

  // Everything that is read from the SquashFS part; needs the source.
  struct Squashfs {
    Squashfs(const ByteSource& source, BlockCache& cache, uint32_t number, const Superblock& super,
             bool drop_stored)
        : decompressor(Decompressor::Create(super.compression, super.block_size)),
          context{&source, decompressor.get(), &cache, number},
          inodes(context, super),
          listings(context, super.directory_table, super.bytes_used),
          directories(context, inodes.metadata(), listings),
          files(context, super, inodes.metadata(), drop_stored) {}

    const std::unique_ptr<const Decompressor> decompressor;
    const MetadataContext context;
    const InodeTable inodes;
    const MetadataTable listings;
    const DirectoryReader directories;
    const FileReader files;
  };

  Parts(FileDescriptor file, std::string image_path, BlockCache& cache,
        std::optional<Appendix> appendix, const ImageOptions& options)
      : fd(std::move(file)), path(std::move(image_path)), file_length(FileSize(fd.get())) {
    const uint32_t number = NextImageNumber();
    if (appendix) {
      verified.emplace(fd.get(), cache, number, *std::move(appendix));
      source = std::make_unique<VerifiedSource>(
          fd.get(), verified->extents, verified->appendix.core().squashfs_length, options.check);
    } else {
      source = std::make_unique<PlainSource>(fd.get(), file_length);
    }
    if (options.bytes_read != nullptr) source->CountIn(*options.bytes_read);
    super = Superblock::Read(*source, file_length);
    if (verified && super.bytes_used != verified->appendix.core().squashfs_length) {
      throw Error(ErrorKind::kDamaged, "superblock and core table disagree on the SquashFS part",
                  "The image is damaged; build it anew.")
          .WithOffset(40);
    }
    squashfs.emplace(*source, cache, number, super, options.drop_stored);
    root = squashfs->inodes.ByReference(super.root);
    if (!root.IsDirectory()) {
      throw Error(ErrorKind::kDamaged, "the root is not a directory").WithOffset(32);
    }
    if (ToInt(root.number) == 0 || ToInt(root.number) > super.inode_count) {
      throw DamagedError("the root has inode number " + std::to_string(ToInt(root.number)) +
                             " of " + std::to_string(super.inode_count),
                         32);
    }
  }

  // As Image::GetInode(directory, entry).
  Inode InodeOf(const Inode& directory, const DirectoryEntry& entry) const {
    if (entry.inode == root.number) throw DamagedError("leads to the root");
    const Inode inode = squashfs->inodes.ByNumber(entry.inode);
    if (inode.type != entry.type) {
      throw DamagedError("leads to inode " + std::to_string(ToInt(entry.inode)) +
                         ", which is of another type than the listing says");
    }
    if (inode.IsDirectory() && inode.directory.parent != directory.number) {
      throw DamagedError("leads to the directory " + std::to_string(ToInt(entry.inode)) +
                         ", which lies in inode " + std::to_string(ToInt(inode.directory.parent)));
    }
    if (inode.link_count == 0) {
      throw DamagedError("leads to inode " + std::to_string(ToInt(entry.inode)) +
                         ", which has no links");
    }
    return inode;
  }

  const VerifiedParts& Verified() const {
    if (!verified) {
      throw Error(ErrorKind::kUnsupported, "a foreign SquashFS file has no appendix");
    }
    return *verified;
  }

  const FileDescriptor fd;
  const std::string path;
  const uint64_t file_length;
  std::optional<VerifiedParts> verified;
  std::unique_ptr<ByteSource> source;
  Superblock super;
  std::optional<Squashfs> squashfs;
  Inode root;
};

Image::Image(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
Image::~Image() = default;

std::unique_ptr<const Image> Image::Open(FileDescriptor fd, std::string path, BlockCache& cache,
                                         const ImageOptions& options) {
  return Named(path, [&] {
    std::optional<Appendix> appendix = options.allow_foreign
                                           ? Appendix::Read(fd.get(), path)
                                           : std::optional(Appendix::ReadImage(fd.get(), path));
    if (options.expected_id) RequireId(appendix, *options.expected_id);
    return std::make_unique<const Image>(
        std::make_unique<const Parts>(std::move(fd), path, cache, std::move(appendix), options));
  });
}

const std::string& Image::path() const { return parts_->path; }
bool Image::foreign() const { return !parts_->verified; }
uint64_t Image::file_length() const { return parts_->file_length; }
uint64_t Image::squashfs_length() const { return parts_->super.bytes_used; }
bool Image::has_profile() const {
  return parts_->verified && parts_->verified->appendix.core().Find(kProfileSection) != nullptr;
}
int Image::fd() const { return parts_->fd.get(); }
const Digest& Image::id() const { return parts_->Verified().appendix.id(); }
const Manifest& Image::manifest() const { return parts_->Verified().manifest; }
uint32_t Image::block_size() const { return parts_->super.block_size; }
uint32_t Image::inode_count() const { return parts_->super.inode_count; }
std::string Image::compression() const { return CompressionName(parts_->super.compression); }
InodeNumber Image::root() const { return parts_->root.number; }
uint64_t Image::bytes_read() const { return parts_->source->bytes_read(); }

std::string Image::manifest_yaml() const {
  return parts_->Verified().appendix.ReadManifestYaml(parts_->fd.get());
}

Digest Image::FileDigest(InodeNumber file) const {
  return Named(parts_->path, [&] { return parts_->Verified().digests.DigestOf(file); });
}

FileRange Image::FilesWithDigest(const Digest& digest) const {
  return Named(parts_->path, [&] { return parts_->Verified().digests.FilesWith(digest); });
}

InodeNumber Image::FileInDigestOrder(uint64_t position) const {
  return Named(parts_->path, [&] { return parts_->Verified().digests.FileAt(position); });
}

Inode Image::GetInode(InodeNumber number) const {
  if (number == parts_->root.number) return parts_->root;
  return Named(parts_->path, [&] { return parts_->squashfs->inodes.ByNumber(number); });
}

Inode Image::GetInode(const Inode& directory, const DirectoryEntry& entry) const {
  return Named(parts_->path, [&] {
    return About(
        [&] {
          return "entry " + Quoted(entry.name) + " of inode " +
                 std::to_string(ToInt(directory.number));
        },
        [&] { return parts_->InodeOf(directory, entry); });
  });
}

std::optional<InodeNumber> Image::Lookup(const Inode& directory, std::string_view name) const {
  return Named(parts_->path, [&]() -> std::optional<InodeNumber> {
    const auto entry = parts_->squashfs->directories.Lookup(directory, name);
    return entry ? std::optional(entry->inode) : std::nullopt;
  });
}

std::optional<Inode> Image::LookupInode(const Inode& directory, std::string_view name) const {
  const auto entry =
      Named(parts_->path, [&] { return parts_->squashfs->directories.Lookup(directory, name); });
  return entry ? std::optional(GetInode(directory, *entry)) : std::nullopt;
}

void Image::ListDirectory(const Inode& directory, uint64_t cookie,
                          const std::function<bool(const DirectoryEntry&)>& visit,
                          const LeftOut& left_out) const {
  Named(parts_->path, [&] {
    parts_->squashfs->directories.List(directory, cookie, visit,
                                       [&](const DirectoryEntry& entry, const Error& error) {
                                         if (!left_out) throw error;
                                         left_out(entry, error.WithPath(parts_->path));
                                       });
  });
}

std::string Image::ReadLink(const Inode& symlink) const {
  return Named(parts_->path, [&] { return parts_->squashfs->inodes.ReadTarget(symlink); });
}

std::vector<FilePiece> Image::Read(const Inode& file, uint64_t offset, uint64_t length) const {
  return Named(parts_->path, [&] { return parts_->squashfs->files.Read(file, offset, length); });
}

StoredBlock Image::BlockAt(const Inode& file, uint64_t index) const {
  return Named(parts_->path, [&] { return parts_->squashfs->files.BlockAt(file, index); });
}

StoredBlock Image::FragmentOf(const Inode& file) const {
  return Named(parts_->path, [&] { return parts_->squashfs->files.FragmentOf(file); });
}

void Image::ReadStored(const StoredBlock& block, MutableByteSpan buffer) const {
  Named(parts_->path, [&] { parts_->source->Read(ImageOffset{block.offset}, buffer); });
}

}  // namespace firn
