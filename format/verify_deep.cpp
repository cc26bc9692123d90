#include "format/verify_deep.h"

#include "format/error.h"
#include "format/layout.h"

namespace firn {
namespace {

// Metadata is read in the order in which it stands, and then again by name: enough for the parts
// that are near each other.
constexpr size_t kDeepCacheBytes = size_t{64} << 20;
// BlockCache tells images apart by their numbers; this cache serves one.
constexpr uint32_t kImageNumber = 1;

const Section& NeededSection(const Appendix& appendix, std::string_view name) {
  const Section* section = appendix.core().Find(name);
  if (section == nullptr) {
    throw DamagedError("section " + std::string(name) + " is missing",
                       appendix.footer().core_offset);
  }
  return *section;
}

}  // namespace

DeepTables::DeepTables(int fd, const Appendix& appendix, BlockCache& cache)
    : extents({fd, cache, kImageNumber, NeededSection(appendix, kExtentsSection)},
              appendix.core().squashfs_length),
      source(fd, extents, appendix.core().squashfs_length, ExtentCheck::kProof),
      super(Superblock::Read(source, appendix.core().squashfs_length)),
      decompressor(Decompressor::Create(super.compression, super.block_size)),
      context{&source, decompressor.get(), &cache, kImageNumber},
      inodes(context, super),
      listings(context, super.directory_table, super.bytes_used),
      exports(context, super.export_table, super.inode_count, 8),
      fragments(context, super.fragment_table, super.fragment_count, 16) {}

DeepInode* DeepTree::Find(InodeNumber number) {
  const auto found = inodes.find(ToInt(number));
  return found == inodes.end() ? nullptr : &found->second;
}

const DeepInode* DeepTree::Find(InodeNumber number) const {
  const auto found = inodes.find(ToInt(number));
  return found == inodes.end() ? nullptr : &found->second;
}

std::string DeepTree::PathOf(InodeNumber number) const {
  const DeepInode* inode = Find(number);
  if (inode == nullptr || inode->names == 0) return {};
  if (inode->name.empty()) return "/";
  return PathOf(inode->parent, inode->name);
}

std::string DeepTree::PathOf(InodeNumber directory, std::string_view name) const {
  std::string path(name);
  for (const DeepInode* above = Find(directory); above != nullptr && !above->name.empty();
       above = Find(above->parent)) {
    if (!PutInFront(above->name, path)) break;
  }
  return path;
}

void VerifyDeep(int fd, const Appendix& appendix, VerifyLog& log) {
  try {
    BlockCache cache(kDeepCacheBytes);
    const Manifest manifest = appendix.ReadManifest(fd);
    const DeepTables tables(fd, appendix, cache);
    DeepTree tree;
    VerifyTables(tables, manifest, log);
    VerifyInodes(tables, tree, log);
    VerifyListings(tables, tree, log);
    VerifyClaims(fd, appendix, manifest, tables, tree, log);
    log.report().inodes = tree.inodes.size();
  } catch (const Error& error) {
    log.Add({}, error);
  }
}

}  // namespace firn
