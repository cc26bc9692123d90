#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/directory.h"
#include "format/error.h"
#include "format/little_endian.h"
#include "format/profile.h"
#include "format/verify_deep.h"

namespace firn {
namespace {

// As Linux has it; more are a loop.
constexpr int kMaxSymlinks = 40;

// Finds paths in the tree as a program would that sees it at its prefix.
class PathFinder {
 public:
  explicit PathFinder(const DeepTables& tables)
      : tables_(tables), directories_(tables.context, tables.inodes.metadata(), tables.listings) {}

  // Is there something of this name? True also where a symlink leads out of the tree, of which
  // nothing is known. Throws kDamaged where a directory on the way cannot be read.
  bool Has(std::string_view path) const {
    std::vector<Inode> way = {tables_.inodes.ByReference(tables_.super.root)};
    std::vector<std::string> names;  // still to go, the next one last
    Push(path, names);
    for (int symlinks = 0; !names.empty();) {
      const std::string name = std::move(names.back());
      names.pop_back();
      if (name == "..") {
        way.pop_back();
        if (way.empty()) return true;
        continue;
      }
      if (!way.back().IsDirectory()) return false;
      if (!listed_.Take(way.back().directory.listing_length)) {
        throw DamagedError("sections name more paths than can be looked for", 0);
      }
      const std::optional<DirectoryEntry> entry = directories_.Lookup(way.back(), name);
      if (!entry) return false;
      way.push_back(tables_.inodes.ByNumber(entry->inode));
      if (!way.back().IsSymlink() || names.empty()) continue;
      const std::string target = tables_.inodes.ReadTarget(way.back());
      if (target.starts_with('/')) return true;
      if (++symlinks > kMaxSymlinks) return false;
      way.pop_back();
      Push(target, names);
    }
    return true;
  }

 private:
  static void Push(std::string_view path, std::vector<std::string>& names) {
    while (!path.empty()) {
      const size_t slash = path.rfind('/');
      const std::string_view name = path.substr(slash + 1);
      if (!name.empty() && name != ".") names.emplace_back(name);
      path = path.substr(0, slash == path.npos ? 0 : slash);
    }
  }

  // Bytes of listings: minutes of looking up, where environments take less than a second.
  static constexpr uint64_t kMostListed = uint64_t{1} << 36;

  const DeepTables& tables_;
  const DirectoryReader directories_;
  mutable ReadBudget listed_{kMostListed};
};

Manifest::Contents Count(const DeepTables& tables, const DeepTree& tree) {
  Manifest::Contents contents;
  for (const auto& [number, inode] : tree.inodes) {
    if (inode.type != FileType::kDirectory && inode.names > 1)
      contents.hard_links += inode.names - 1;
    switch (inode.type) {
      case FileType::kRegular:
        ++contents.files;
        contents.bytes += tables.inodes.ByReference(inode.reference).size;
        break;
      case FileType::kDirectory:
        ++contents.directories;
        break;
      case FileType::kSymlink:
        ++contents.symlinks;
        break;
      default:
        ++contents.others;
        break;
    }
  }
  return contents;
}

void CheckCounts(const Manifest::Contents& said, const Manifest::Contents& found, uint64_t offset,
                 VerifyLog& log) {
  const auto differ = [&](const char* what, uint64_t manifest, uint64_t tree) {
    if (manifest == tree) return;
    log.Add({}, offset,
            "manifest: contents says " + std::to_string(manifest) + " " + what + ", the tree has " +
                std::to_string(tree));
  };
  differ("files", said.files, found.files);
  differ("directories", said.directories, found.directories);
  differ("symlinks", said.symlinks, found.symlinks);
  differ("others", said.others, found.others);
  differ("hard_links", said.hard_links, found.hard_links);
  differ("bytes", said.bytes, found.bytes);
}

// Regular files have the lowest numbers: section digests is an array by them.
void CheckNumbers(const DeepTables& tables, const DeepTree& tree, uint64_t file_count,
                  VerifyLog& log) {
  for (const auto& [number, inode] : tree.inodes) {
    if ((inode.type == FileType::kRegular) == (number <= file_count)) continue;
    log.Add(tree.PathOf(InodeNumber{number}), tables.OffsetOf(inode.reference),
            "inode " + std::to_string(number) + " contradicts section digests, which has the " +
                std::to_string(file_count) + " regular files");
  }
}

void CheckPaths(const PathFinder& finder, const std::vector<std::string>& paths, uint64_t offset,
                const std::string& who, VerifyLog& log) {
  for (const std::string& path : paths) {
    if (!finder.Has(path)) log.Add(path, offset, who + " names it, and the tree has it not");
  }
}

// A profile may be of another image: what it names wrongly costs time and no more.
void CheckProfile(const PathFinder& finder, const Profile& profile, VerifyLog& log) {
  uint64_t wrong = 0;
  std::string first;
  for (const ProfileEntry& entry : profile.entries()) {
    if (finder.Has(entry.path) == (entry.action != ProfileAction::kMiss)) continue;
    if (wrong++ == 0) first = entry.path;
  }
  if (wrong > 0) {
    log.report().notes.push_back("section profile: " + std::to_string(wrong) + " of " +
                                 std::to_string(profile.entries().size()) +
                                 " lines are not about this tree, the first about " + first);
  }
}

}  // namespace

void VerifyClaims(int fd, const Appendix& appendix, const Manifest& manifest,
                  const DeepTables& tables, const DeepTree& tree, VerifyLog& log) {
  const uint64_t manifest_offset = appendix.core().Find(kManifestSection)->offset;
  // With a part of the tree missing the rest proves nothing.
  if (tree.inodes.size() != tables.super.inode_count) return;
  CheckCounts(manifest.contents, Count(tables, tree), manifest_offset, log);
  if (const Section* digests = appendix.core().Find(kDigestsSection); digests != nullptr) {
    CheckNumbers(tables, tree, (digests->length - std::min<uint64_t>(8, digests->length)) / 36,
                 log);
  }
  // A layer's paths may be its base's.
  if (manifest.base) return;
  const PathFinder finder(tables);
  CheckPaths(finder, manifest.bound, manifest_offset, "manifest: bound", log);
  if (manifest.python) {
    CheckPaths(finder, manifest.python->not_compiled, manifest_offset, "manifest: not_compiled",
               log);
  }
  for (const NamedPaths& named : log.NamedBy(fd, appendix)) {
    CheckPaths(finder, named.paths, named.offset, named.who, log);
  }
  if (const std::optional<Profile> profile = appendix.ReadProfile(fd)) {
    CheckProfile(finder, *profile, log);
  }
}

}  // namespace firn
