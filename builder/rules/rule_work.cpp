#include "builder/rules/rule_work.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <span>
#include <system_error>

#include "builder/inspect/tree_file.h"
#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

constexpr size_t kCopyPiece = size_t{1} << 20;
constexpr char kRemedy[] =
    "Changes are kept under TMPDIR: free space there, or set it to a directory with more.";
constexpr char kNewSuffix[] = ".firn-new";
constexpr std::string_view kByteCode = "__pycache__";

TreeEntry::Type TypeOfMode(mode_t mode) {
  if (S_ISDIR(mode)) return TreeEntry::Type::kDirectory;
  if (S_ISREG(mode)) return TreeEntry::Type::kRegular;
  return S_ISLNK(mode) ? TreeEntry::Type::kSymlink : TreeEntry::Type::kOther;
}

class Lister {
 public:
  Lister(const RuledTree& tree) : root_(tree.path), changes_(tree.changes), poll_(tree.poll) {}

  std::vector<TreeEntry> Run() {
    ListDirectory("");
    return std::move(entries_);
  }

 private:
  std::vector<std::string> Names(const std::string& directory) const {
    if (changes_.empty() || NameOf(directory) == kByteCode) {
      return NamesIn(root_ + "/" + directory);
    }
    // Whiteouts among them are not there in the tree.
    std::vector<std::string> names = NamesIn(changes_ + "/" + directory);
    const auto place = std::ranges::lower_bound(names, kByteCode);
    if (place == names.end() || *place != kByteCode) names.insert(place, std::string(kByteCode));
    return names;
  }

  void ListDirectory(const std::string& directory) {
    for (const std::string& name : Names(directory)) {
      poll_();
      TreeEntry entry;
      entry.path = directory.empty() ? name : directory + "/" + name;
      struct stat status;
      if (lstat((root_ + "/" + entry.path).c_str(), &status) != 0) continue;
      entry.type = TypeOfMode(status.st_mode);
      entry.size = static_cast<uint64_t>(status.st_size);
      entry.executable = (status.st_mode & 0111) != 0;
      const bool is_directory = entry.type == TreeEntry::Type::kDirectory;
      const std::string path = entry.path;
      entries_.push_back(std::move(entry));
      if (is_directory) ListDirectory(path);
    }
  }

  const std::string& root_;
  const std::string& changes_;
  const std::function<void()>& poll_;
  std::vector<TreeEntry> entries_;
};

Error WriteFailure(int error, const std::string& path) {
  return SystemError(ErrorKind::kOutput, error, "cannot change the environment that is built",
                     kRemedy)
      .WithPath(path);
}

// Room for changes is where the tree's changes are kept, which its path does not tell.
Error RoomFailure(const Error& error, const std::string& path) {
  return Error(error.kind(), error.message(), kRemedy).WithPath(path);
}

FileDescriptor CreateNew(const std::string& path) {
  FileDescriptor fd(
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) throw WriteFailure(errno, path);
  return fd;
}

void RenameOver(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) == 0) return;
  const int error = errno;
  unlink(from.c_str());
  throw WriteFailure(error, to);
}

}  // namespace

const std::string& RuleWork::prefix() const {
  return tree_.recipe.prefix.empty() ? tree_.path : tree_.recipe.prefix;
}

const std::vector<TreeEntry>& RuleWork::Entries() {
  if (!entries_) entries_ = Lister(tree_).Run();
  return *entries_;
}

std::vector<TreeEntry> RuleWork::Files(const std::function<bool(const TreeEntry&)>& wanted) {
  std::vector<TreeEntry> files;
  for (const TreeEntry& entry : Entries()) {
    if (entry.type == TreeEntry::Type::kRegular && wanted(entry)) files.push_back(entry);
  }
  return files;
}

std::optional<TreeEntry::Type> RuleWork::TypeOf(const std::string& path) const {
  struct stat status;
  if (lstat(At(path).c_str(), &status) != 0) return std::nullopt;
  return TypeOfMode(status.st_mode);
}

std::optional<std::string> RuleWork::Read(const std::string& path) const {
  const FileDescriptor fd(
      open(At(path).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  struct stat status;
  if (!fd.valid() || fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  std::string content(static_cast<size_t>(status.st_size), '\0');
  content.resize(ReadAt(fd.get(), 0, std::as_writable_bytes(std::span(content))));
  return content;
}

void RuleWork::Write(const std::string& path, std::string_view content, bool executable) {
  tree_.poll();
  MakeDirectories(ParentOf(path));
  struct stat status;
  mode_t mode = executable ? 0755 : 0644;
  if (lstat(At(path).c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
    mode = status.st_mode & 07777;
  }
  const std::string made = At(path) + kNewSuffix;
  const FileDescriptor fd = CreateNew(made);
  try {
    WriteAt(fd.get(), 0, std::as_bytes(std::span(content)));
  } catch (const Error& error) {
    unlink(made.c_str());
    throw RoomFailure(error, At(path));
  }
  if (fchmod(fd.get(), mode) != 0) throw WriteFailure(errno, At(path));
  RenameOver(made, At(path));
  changed_.insert(path);
  removed_.erase(path);
  entries_.reset();
}

void RuleWork::CopyFrom(const std::string& source, const std::string& path) {
  tree_.poll();
  MakeDirectories(ParentOf(path));
  const FileDescriptor from = OpenFile(source, O_RDONLY | O_NONBLOCK, ErrorKind::kInput);
  struct stat status;
  if (fstat(from.get(), &status) != 0) {
    throw SystemError(ErrorKind::kInput, errno, "cannot stat").WithPath(source);
  }
  const std::string made = At(path) + kNewSuffix;
  const FileDescriptor to = CreateNew(made);
  try {
    std::vector<std::byte> piece(std::min<uint64_t>(kCopyPiece, FileSize(from.get()) + 1));
    uint64_t offset = 0;
    while (const size_t got = ReadAt(from.get(), offset, piece)) {
      WriteAt(to.get(), offset, std::span(piece).first(got));
      offset += got;
    }
  } catch (const Error& error) {
    unlink(made.c_str());
    throw RoomFailure(error, At(path));
  }
  if (fchmod(to.get(), status.st_mode & 0777) != 0) throw WriteFailure(errno, At(path));
  RenameOver(made, At(path));
  changed_.insert(path);
  removed_.erase(path);
  entries_.reset();
}

void RuleWork::Link(const std::string& path, const std::string& target) {
  MakeDirectories(ParentOf(path));
  const std::string made = At(path) + kNewSuffix;
  if (symlink(target.c_str(), made.c_str()) != 0) throw WriteFailure(errno, At(path));
  RenameOver(made, At(path));
  changed_.insert(path);
  removed_.erase(path);
  entries_.reset();
}

uint64_t RuleWork::Remove(const std::string& path) {
  tree_.poll();
  const std::string place = At(path);
  uint64_t count = 1;
  if (unlink(place.c_str()) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return 0;
    if (errno != EISDIR && errno != EPERM) throw WriteFailure(errno, place);
    for (const std::string& name : NamesIn(place)) count += Remove(path + "/" + name);
    if (rmdir(place.c_str()) != 0) throw WriteFailure(errno, place);
  }
  removed_.insert(path);
  changed_.erase(path);
  entries_.reset();
  return count;
}

void RuleWork::MakeDirectories(const std::string& path) {
  if (path.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(At(path), error);
  if (error) throw WriteFailure(error.value(), At(path));
}

std::string LinkTarget(const std::string& path) {
  std::error_code error;
  const std::filesystem::path target = std::filesystem::read_symlink(path, error);
  return error ? std::string() : target.string();
}

}  // namespace firn
