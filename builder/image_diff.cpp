#include "builder/image_diff.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "builder/export/image_walk.h"
#include "builder/export/whole_image.h"
#include "builder/tree_path.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr size_t kMaxDiffDepth = 2048;

using PackageKey = std::pair<PackageKind, std::string>;
using PackageGroups = std::map<PackageKey, std::pair<std::vector<Package>, std::vector<Package>>>;

PackageKey KeyOf(const Package& package) {
  return {package.kind,
          package.kind == PackageKind::kPython ? NormalizedPythonName(package.name) : package.name};
}

// A digest that only one of the two has says nothing.
bool DigestsDiffer(const std::string& a, const std::string& b) {
  return !a.empty() && !b.empty() && a != b;
}

bool SamePackage(const Package& a, const Package& b) {
  return std::tie(a.version, a.build, a.subdir, a.architecture) ==
             std::tie(b.version, b.build, b.subdir, b.architecture) &&
         !DigestsDiffer(a.md5, b.md5) && !DigestsDiffer(a.sha256, b.sha256);
}

class FileDiff {
 public:
  FileDiff(const Image& before, const Image& after, const std::function<void()>& poll)
      : before_(before), after_(after), poll_(poll) {}

  std::vector<FileChange> Run() {
    const Inode a = before_.GetInode(before_.root());
    const Inode b = after_.GetInode(after_.root());
    Compare("", a, b);
    CompareDirectories("", a, b, 0);
    return std::move(changes_);
  }

 private:
  void CompareDirectories(const std::string& path, const Inode& a, const Inode& b, size_t depth) {
    CheckDiffDepth(depth);
    const auto left = EntriesOf(before_, a), right = EntriesOf(after_, b);
    auto x = left.begin();
    auto y = right.begin();
    while (x != left.end() || y != right.end()) {
      poll_();
      const bool only_left = y == right.end() || (x != left.end() && x->first < y->first);
      const bool only_right = x == left.end() || (y != right.end() && y->first < x->first);
      if (only_left || only_right) {
        const auto& [name, inode] = only_left ? *x++ : *y++;
        AddOnly(only_left ? FileChangeKind::kRemoved : FileChangeKind::kAdded, JoinPath(path, name),
                inode, depth);
        continue;
      }
      const std::string below = JoinPath(path, x->first);
      Compare(below, x->second, y->second);
      if (x->second.IsDirectory() && y->second.IsDirectory()) {
        CompareDirectories(below, x->second, y->second, depth + 1);
      }
      ++x;
      ++y;
    }
  }

  void CheckDiffDepth(size_t depth) const {
    if (depth <= kMaxDiffDepth) return;
    throw Error(ErrorKind::kUnsupported,
                "has directories more than " + std::to_string(kMaxDiffDepth) + " deep")
        .WithPath(before_.path());
  }

  void AddOnly(FileChangeKind kind, std::string path, const Inode& inode, size_t depth) {
    FileChange change{.kind = kind, .path = std::move(path), .type = inode.type, .what = {}};
    if (inode.IsDirectory()) {
      change.entries = Count(kind == FileChangeKind::kRemoved ? before_ : after_, inode, depth);
    }
    changes_.push_back(std::move(change));
  }

  uint64_t Count(const Image& image, const Inode& directory, size_t depth) {
    CheckDiffDepth(depth);
    uint64_t count = 0;
    for (const auto& [name, inode] : EntriesOf(image, directory)) {
      poll_();
      ++count;
      if (inode.IsDirectory()) count += Count(image, inode, depth + 1);
    }
    return count;
  }

  void Compare(const std::string& path, const Inode& a, const Inode& b) {
    std::vector<std::string> what;
    if (a.type != b.type) {
      what.emplace_back("type");
    } else if (a.IsRegular()) {
      if (a.size != b.size || DigestOf(before_, a) != DigestOf(after_, b)) {
        what.emplace_back("content");
      }
    } else if (a.IsSymlink()) {
      if (before_.ReadLink(a) != after_.ReadLink(b)) what.emplace_back("target");
    } else if (!a.IsDirectory() && a.device != b.device) {
      what.emplace_back("device");
    }
    if (a.type == b.type && (a.mode & 07777) != (b.mode & 07777)) what.emplace_back("mode");
    if (a.uid != b.uid || a.gid != b.gid) what.emplace_back("owner");
    if (what.empty()) return;
    changes_.push_back({.path = path, .type = b.type, .what = std::move(what)});
  }

  Digest DigestOf(const Image& image, const Inode& file) const {
    if (!image.foreign()) return image.FileDigest(file.number);
    Sha256 hash;
    ReadContent(image, file, [&](uint64_t, ByteSpan bytes, bool) {
      poll_();
      hash.Update(bytes);
    });
    return hash.Finish();
  }

  const Image& before_;
  const Image& after_;
  const std::function<void()>& poll_;
  std::vector<FileChange> changes_;
};

}  // namespace

std::vector<PackageChange> DiffPackages(const PackageList& before, const PackageList& after) {
  PackageGroups groups;
  for (const Package& package : before.packages) groups[KeyOf(package)].first.push_back(package);
  for (const Package& package : after.packages) {
    // One that is the same takes its counterpart along.
    auto& [old, fresh] = groups[KeyOf(package)];
    const auto same = std::ranges::find_if(
        old, [&](const Package& other) { return SamePackage(other, package); });
    if (same != old.end()) {
      old.erase(same);
    } else {
      fresh.push_back(package);
    }
  }
  std::vector<PackageChange> changes;
  for (const auto& [key, group] : groups) {
    const auto& [old, fresh] = group;
    for (size_t i = 0; i < std::max(old.size(), fresh.size()); ++i) {
      PackageChange change;
      if (i < old.size()) change.before = old[i];
      if (i < fresh.size()) change.after = fresh[i];
      changes.push_back(std::move(change));
    }
  }
  return changes;
}

std::vector<FileChange> DiffFiles(const Image& before, const Image& after,
                                  const std::function<void()>& poll) {
  return FileDiff(before, after, poll).Run();
}

}  // namespace firn
