#include "builder/rules/tree_copy.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "format/error.h"

namespace firn {
namespace {

constexpr int kDeepest = 64;  // a symlink out of the source may lead back above it

class Copier {
 public:
  Copier(RuleWork& work, std::string source, std::string target,
         const std::function<bool(const std::string&)>& wanted)
      : work_(work), source_(std::move(source)), target_(std::move(target)), wanted_(wanted) {}

  void CopyDirectory(const std::string& from, const std::string& below, int depth) {
    if (depth > kDeepest) return;
    std::error_code error;
    std::vector<std::string> names;
    for (std::filesystem::directory_iterator at(from, error), end; !error && at != end;
         at.increment(error)) {
      names.push_back(at->path().filename().string());
    }
    if (error) {
      throw SystemError(ErrorKind::kInput, error.value(), "cannot read the directory")
          .WithPath(from);
    }
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      const std::string path = below.empty() ? name : below + "/" + name;
      if (wanted_(path)) Copy(from + "/" + name, path, depth);
    }
  }

 private:
  void Copy(const std::string& from, const std::string& path, int depth) {
    const std::string target = target_ + "/" + path;
    std::error_code ignored;
    const auto status = std::filesystem::symlink_status(from, ignored);
    if (std::filesystem::is_symlink(status)) return CopySymlink(from, path, depth);
    if (std::filesystem::is_directory(status)) {
      work_.MakeDirectories(target);
      return CopyDirectory(from, path, depth + 1);
    }
    if (std::filesystem::is_regular_file(status) && !work_.TypeOf(target)) {
      work_.CopyFrom(from, target);
    }
  }

  void CopySymlink(const std::string& from, const std::string& path, int depth) {
    std::error_code error;
    const std::string real = std::filesystem::canonical(from, error).string();
    if (error || real.starts_with("/etc/")) return;
    const std::string link = std::filesystem::read_symlink(from, error).string();
    const bool inside = (real + "/").starts_with(source_ + "/") && !link.starts_with("/");
    if (inside) {
      if (!work_.TypeOf(target_ + "/" + path)) work_.Link(target_ + "/" + path, link);
      return;
    }
    Copy(real, path, depth + 1);
  }

  RuleWork& work_;
  const std::string source_;
  const std::string target_;
  const std::function<bool(const std::string&)>& wanted_;
};

}  // namespace

void CopyTree(RuleWork& work, const std::string& source, const std::string& target,
              const std::function<bool(const std::string& path)>& wanted) {
  std::error_code error;
  const std::string real = std::filesystem::canonical(source, error).string();
  if (error) throw SystemError(ErrorKind::kInput, error.value(), "cannot read it").WithPath(source);
  work.MakeDirectories(target);
  Copier(work, real, target, wanted).CopyDirectory(real, "", 0);
}

}  // namespace firn
