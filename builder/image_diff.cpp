#include "builder/image_diff.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

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
  using Entry = MergedImages::Entry;

  FileDiff(const MergedImages& before, const MergedImages& after, const std::function<void()>& poll)
      : before_(before), after_(after), poll_(poll) {}

  std::vector<FileChange> Run() {
    const Entry a = before_.root(), b = after_.root();
    Compare("", a, b);
    CompareDirectories("", a, b, 0);
    return std::move(changes_);
  }

 private:
  void CompareDirectories(const std::string& path, const Entry& a, const Entry& b, size_t depth) {
    CheckDiffDepth(depth);
    const auto left = before_.Entries(a), right = after_.Entries(b);
    auto x = left.begin();
    auto y = right.begin();
    while (x != left.end() || y != right.end()) {
      poll_();
      const bool only_left = y == right.end() || (x != left.end() && x->first < y->first);
      const bool only_right = x == left.end() || (y != right.end() && y->first < x->first);
      if (only_left || only_right) {
        const auto& [name, entry] = only_left ? *x++ : *y++;
        AddOnly(only_left ? FileChangeKind::kRemoved : FileChangeKind::kAdded, JoinPath(path, name),
                entry, depth);
        continue;
      }
      const std::string below = JoinPath(path, x->first);
      Compare(below, x->second, y->second);
      if (x->second.inode().IsDirectory() && y->second.inode().IsDirectory()) {
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
        .WithPath(before_.top().path());
  }

  void AddOnly(FileChangeKind kind, std::string path, const Entry& entry, size_t depth) {
    const Inode& inode = entry.inode();
    FileChange change{.kind = kind, .path = std::move(path), .type = inode.type, .what = {}};
    if (inode.IsDirectory()) {
      change.entries = Count(kind == FileChangeKind::kRemoved ? before_ : after_, entry, depth);
    }
    changes_.push_back(std::move(change));
  }

  uint64_t Count(const MergedImages& images, const Entry& directory, size_t depth) {
    CheckDiffDepth(depth);
    uint64_t count = 0;
    for (const auto& [name, entry] : images.Entries(directory)) {
      poll_();
      ++count;
      if (entry.inode().IsDirectory()) count += Count(images, entry, depth + 1);
    }
    return count;
  }

  void Compare(const std::string& path, const Entry& before, const Entry& after) {
    const Inode &a = before.inode(), &b = after.inode();
    std::vector<std::string> what;
    if (a.type != b.type) {
      what.emplace_back("type");
    } else if (a.IsRegular()) {
      if (a.size != b.size || DigestOf(before) != DigestOf(after)) what.emplace_back("content");
    } else if (a.IsSymlink()) {
      if (before.image().ReadLink(a) != after.image().ReadLink(b)) what.emplace_back("target");
    } else if (!a.IsDirectory() && a.device != b.device) {
      what.emplace_back("device");
    }
    if (a.type == b.type && (a.mode & 07777) != (b.mode & 07777)) what.emplace_back("mode");
    if (a.uid != b.uid || a.gid != b.gid) what.emplace_back("owner");
    if (what.empty()) return;
    changes_.push_back({.path = path, .type = b.type, .what = std::move(what)});
  }

  Digest DigestOf(const Entry& file) const {
    if (!file.image().foreign()) return file.image().FileDigest(file.inode().number);
    Sha256 hash;
    ReadContent(file.image(), file.inode(), [&](uint64_t, ByteSpan bytes, bool) {
      poll_();
      hash.Update(bytes);
    });
    return hash.Finish();
  }

  const MergedImages& before_;
  const MergedImages& after_;
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

std::vector<FileChange> DiffFiles(const MergedImages& before, const MergedImages& after,
                                  const std::function<void()>& poll) {
  return FileDiff(before, after, poll).Run();
}

}  // namespace firn
