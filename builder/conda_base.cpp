#include "builder/conda_base.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "builder/conda_record.h"
#include "builder/environment_kind.h"
#include "builder/inspect/json_text.h"
#include "builder/inspect/tree_file.h"
#include "builder/python_tree.h"
#include "builder/tree_path.h"
#include "builder/utf8.h"
#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

using Json = nlohmann::ordered_json;

struct InstalledPackage {
  std::string record;  // "conda-meta/zlib-1.3-h_0.json"
  std::string version;
  std::string build;
  std::string md5;
  std::string sha256;
};

std::map<std::string, InstalledPackage> InstalledIn(const std::string& tree) {
  std::map<std::string, InstalledPackage> installed;
  for (const std::string& record : CondaRecordsIn(tree)) {
    const Json json = ReadCondaRecord(tree, record);
    const std::string name = TextAt(json, "name");
    if (name.empty()) continue;
    installed[name] = {.record = record,
                       .version = TextAt(json, "version"),
                       .build = TextAt(json, "build"),
                       .md5 = TextAt(json, "md5"),
                       .sha256 = TextAt(json, "sha256")};
  }
  return installed;
}

// "1!3.0" of "1%213.0".
std::string Unescaped(std::string_view text) {
  std::string plain;
  for (size_t at = 0; at < text.size(); ++at) {
    const auto digit = [&](size_t i) {
      const size_t value = std::string_view("0123456789abcdef")
                               .find(static_cast<char>(i < text.size() ? text[i] | 0x20 : 0));
      return value == std::string_view::npos ? -1 : static_cast<int>(value);
    };
    if (text[at] == '%' && digit(at + 1) >= 0 && digit(at + 2) >= 0) {
      plain += static_cast<char>(digit(at + 1) * 16 + digit(at + 2));
      at += 2;
    } else {
      plain += text[at];
    }
  }
  return plain;
}

// A line of an explicit list: "URL/NAME-VERSION-BUILD.conda#HASH".
struct ListedPackage {
  std::string name;
  std::string version;
  std::string build;
  std::string hash;  // MD5, or SHA-256 where it is longer
};

ListedPackage ParseLine(const std::string& line, const std::string& path) {
  const size_t mark = line.find('#');
  std::string file = Unescaped(NameOf(line.substr(0, mark)));
  for (const std::string_view ending : {".conda", ".tar.bz2"}) {
    if (file.ends_with(ending)) file.resize(file.size() - ending.size());
  }
  const size_t build = file.rfind('-');
  const size_t version =
      build == std::string::npos || build == 0 ? build : file.rfind('-', build - 1);
  if (version == std::string::npos || version == 0) {
    throw Error(ErrorKind::kInput,
                "expected a package NAME-VERSION-BUILD, found '" + EscapeForText(line) + "'")
        .WithPath(path);
  }
  ListedPackage package{.name = file.substr(0, version),
                        .version = file.substr(version + 1, build - version - 1),
                        .build = file.substr(build + 1),
                        .hash = mark == std::string::npos ? "" : line.substr(mark + 1)};
  if (package.hash.starts_with("sha256:")) package.hash.erase(0, 7);
  return package;
}

// By the hash, where the base says which one its package had.
bool IsInstalled(const ListedPackage& listed, const InstalledPackage& installed) {
  const std::string& known = listed.hash.size() == 64 ? installed.sha256 : installed.md5;
  if (!known.empty()) return known == listed.hash;
  return installed.version == listed.version && installed.build == listed.build;
}

// "3.12" of "3.12.4".
std::string Minor(const std::string& version) {
  const size_t second = version.find('.', version.find('.') + 1);
  return version.substr(0, second);
}

void CheckPython(const ListedPackage& listed, const InstalledPackage& installed,
                 const std::string& path) {
  if (listed.name != "python" || Minor(listed.version) == Minor(installed.version)) return;
  throw Error(ErrorKind::kInput,
              "expected Python " + Minor(installed.version) +
                  ", which the base's packages are "
                  "installed for, found " +
                  EscapeForText(listed.version),
              "Lock it with the base's Python, or build it without a base.")
      .WithPath(path);
}

class PackageRemoval {
 public:
  PackageRemoval(const std::string& tree, const std::vector<std::string>& records,
                 const std::function<void()>& poll)
      : tree_(tree),
        root_(OpenFile(tree, O_PATH | O_DIRECTORY, ErrorKind::kInternal)),
        records_(records.begin(), records.end()),
        poll_(poll) {}

  void Run() {
    for (const std::string& record : CondaRecordsIn(tree_)) {
      if (records_.contains(record)) continue;
      for (const std::string& file : TextsAt(ReadCondaRecord(tree_, record), "files")) {
        kept_.insert(NormalPath(file));
      }
    }
    for (const std::string& record : records_) {
      for (const std::string& file : TextsAt(ReadCondaRecord(tree_, record), "files")) {
        poll_();
        Remove(NormalPath(file));
      }
      Remove(record);
    }
    // The deepest first; those that still hold something stay.
    for (auto directory = directories_.rbegin(); directory != directories_.rend(); ++directory) {
      const FileDescriptor parent = OpenDirectory(ParentOf(*directory));
      if (parent.valid()) unlinkat(parent.get(), NameOf(*directory).c_str(), AT_REMOVEDIR);
    }
  }

 private:
  // Below the tree, which symlinks do not leave: invalid for what is no directory there.
  FileDescriptor OpenDirectory(const std::string& path) const {
    return OpenWithin(root_.get(), path.empty() ? "." : path, O_RDONLY | O_DIRECTORY,
                      RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  }

  void Remove(const std::string& path) {
    if (path.empty() || path == ".." || path.starts_with("../") || kept_.contains(path)) return;
    Unlink(ParentOf(path), NameOf(path));
    if (path.ends_with(".py")) RemoveBytecode(path);
  }

  void Unlink(const std::string& directory, const std::string& name) {
    const FileDescriptor parent = OpenDirectory(directory);
    if (!parent.valid()) return;  // gone before, by the rules or by hand
    if (unlinkat(parent.get(), name.c_str(), 0) != 0 && errno != ENOENT && errno != EISDIR) {
      throw SystemError(ErrorKind::kInternal, errno, "cannot remove a file of the base")
          .WithPath(tree_ + "/" + JoinPath(directory, name));
    }
    for (std::string above = directory; !above.empty(); above = ParentOf(above)) {
      directories_.insert(above);
    }
  }

  // The image's own, which nobody looks at the source of again.
  void RemoveBytecode(const std::string& path) {
    const std::string cache = JoinPath(ParentOf(path), "__pycache__");
    const std::string source = NameOf(path);
    for (const std::string& name : CachedIn(cache)) {
      if (SourceName(name) == source) Unlink(cache, name);
    }
  }

  const std::vector<std::string>& CachedIn(const std::string& cache) {
    const auto [known, is_new] = caches_.emplace(cache, std::vector<std::string>());
    const FileDescriptor directory = is_new ? OpenDirectory(cache) : FileDescriptor();
    if (directory.valid()) {
      known->second = NamesIn("/proc/self/fd/" + std::to_string(directory.get()));
    }
    return known->second;
  }

  const std::string& tree_;
  const FileDescriptor root_;
  const std::set<std::string> records_;
  const std::function<void()>& poll_;
  std::set<std::string> kept_;
  std::set<std::string> directories_;  // that something was removed from, and those above
  std::map<std::string, std::vector<std::string>> caches_;
};

}  // namespace

CondaAddition CompareWithBase(const std::string& tree, const std::string& list,
                              const std::string& path) {
  if (FindEnvironmentKind(tree) != EnvironmentKind::kConda) {
    throw Error(
        ErrorKind::kInput,
        "expected a base of conda packages for conda packages, found one without conda-meta",
        "Build it without a base, or over an image of a conda environment.")
        .WithPath(path);
  }
  const std::map<std::string, InstalledPackage> installed = InstalledIn(tree);
  CondaAddition addition;
  std::istringstream lines(list);
  for (std::string line; std::getline(lines, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty() || line.starts_with('#') || line.starts_with("@EXPLICIT")) {
      addition.list += line + "\n";
      continue;
    }
    const ListedPackage listed = ParseLine(line, path);
    const auto known = installed.find(listed.name);
    if (known != installed.end() && IsInstalled(listed, known->second)) {
      ++addition.kept;
      continue;
    }
    if (known != installed.end()) {
      CheckPython(listed, known->second, path);
      addition.replaced.push_back(known->second.record);
    }
    addition.list += line + "\n";
    ++addition.added;
  }
  return addition;
}

void RemoveCondaPackages(const std::string& tree, const std::vector<std::string>& records,
                         const std::function<void()>& poll) {
  if (!records.empty()) PackageRemoval(tree, records, poll).Run();
}

}  // namespace firn
