#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "builder/export/image_walk.h"
#include "builder/export/tree_export.h"
#include "builder/export/whole_image.h"
#include "builder/utf8.h"
#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

// Device numbers stand in an image as the kernel has them in 32 bits.
dev_t DeviceOf(uint32_t encoded) {
  return makedev((encoded >> 8) & 0xFFF, (encoded & 0xFF) | ((encoded >> 12) & 0xFFF00));
}

// A directory is open for each level that the walk is below the root.
void AllowManyDescriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

class DirectoryWriter final : public ImageVisitor {
 public:
  DirectoryWriter(const Image& image, std::string target, FileDescriptor root)
      : image_(image), target_(std::move(target)), root_(std::move(root)) {}

  void Enter(const ImageEntry& directory) override {
    ++exported_.directories;
    if (open_.empty()) {
      open_.push_back(Open(root_.get(), ".", O_RDONLY | O_DIRECTORY, directory));
      return;
    }
    // Closed to others, and open to us whatever its mode is to be, until it is whole.
    if (mkdirat(Parent(), directory.name.c_str(), 0700) != 0) Fail(directory);
    open_.push_back(Open(Parent(), directory.name, O_RDONLY | O_DIRECTORY, directory));
  }

  void Leave(const ImageEntry& directory) override {
    SetAttributes(Parent(), directory);
    open_.pop_back();
  }

  void Take(const ImageEntry& entry) override {
    if (!entry.linked.empty()) {
      Link(entry);
    } else if (entry.inode.IsRegular()) {
      WriteFile(entry);
    } else if (entry.inode.IsSymlink()) {
      MakeSymlink(entry);
    } else {
      MakeSpecial(entry);
    }
  }

  const ExportedTree& exported() const { return exported_; }

 private:
  int Parent() const { return open_.back().get(); }

  [[noreturn]] void Fail(const ImageEntry& entry) const {
    const int error = errno;
    throw SystemError(ErrorKind::kOutput, error, "cannot write",
                      error == ENOSPC ? "The disk is full: free space, or choose another place."
                                      : "Check what the file system of the target allows.")
        .WithPath(target_ + "/" + EscapeForText(entry.path));
  }

  // Never through a symlink, and never out of `directory`.
  FileDescriptor Open(int directory, const std::string& path, int flags,
                      const ImageEntry& entry) const {
    FileDescriptor fd =
        OpenWithin(directory, path, flags | O_NOFOLLOW, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (!fd.valid()) Fail(entry);
    return fd;
  }

  void SetAttributes(int fd, const ImageEntry& entry) const {
    const Inode& inode = entry.inode;
    // Before the mode: changing the owner takes the set-user-id bit away.
    if (geteuid() == 0 && fchown(fd, inode.uid, inode.gid) != 0) Fail(entry);
    if (fchmod(fd, inode.mode & 07777) != 0) Fail(entry);
    const timespec times[2] = {{.tv_sec = inode.mtime, .tv_nsec = 0},
                               {.tv_sec = inode.mtime, .tv_nsec = 0}};
    if (futimens(fd, times) != 0) Fail(entry);
  }

  // Of what cannot be opened without an effect, or at all.
  void SetAttributesByName(const ImageEntry& entry) const {
    const Inode& inode = entry.inode;
    const char* name = entry.name.c_str();
    if (geteuid() == 0 &&
        fchownat(Parent(), name, inode.uid, inode.gid, AT_SYMLINK_NOFOLLOW) != 0) {
      Fail(entry);
    }
    const timespec times[2] = {{.tv_sec = inode.mtime, .tv_nsec = 0},
                               {.tv_sec = inode.mtime, .tv_nsec = 0}};
    if (utimensat(Parent(), name, times, AT_SYMLINK_NOFOLLOW) != 0) Fail(entry);
  }

  void WriteFile(const ImageEntry& entry) {
    const FileDescriptor fd = Open(Parent(), entry.name, O_WRONLY | O_CREAT | O_EXCL, entry);
    try {
      ReadContent(image_, entry.inode, [&](uint64_t offset, ByteSpan bytes, bool is_hole) {
        if (!is_hole) WriteAt(fd.get(), offset, bytes);
      });
    } catch (const Error& error) {
      throw error.WithPath(target_ + "/" + EscapeForText(entry.path));
    }
    if (ftruncate(fd.get(), static_cast<off_t>(entry.inode.size)) != 0) Fail(entry);
    SetAttributes(fd.get(), entry);
    ++exported_.files;
  }

  void Link(const ImageEntry& entry) {
    const size_t slash = entry.linked.rfind('/');
    const std::string directory = slash == std::string::npos ? "." : entry.linked.substr(0, slash);
    const std::string name =
        slash == std::string::npos ? entry.linked : entry.linked.substr(slash + 1);
    const FileDescriptor from = Open(root_.get(), directory, O_PATH | O_DIRECTORY, entry);
    if (linkat(from.get(), name.c_str(), Parent(), entry.name.c_str(), 0) != 0) Fail(entry);
    ++exported_.files;
  }

  void MakeSymlink(const ImageEntry& entry) {
    const std::string target = image_.ReadLink(entry.inode);
    if (symlinkat(target.c_str(), Parent(), entry.name.c_str()) != 0) Fail(entry);
    SetAttributesByName(entry);
    ++exported_.symlinks;
  }

  void MakeSpecial(const ImageEntry& entry) {
    const mode_t mode = entry.inode.mode & 07777;
    if (mknodat(Parent(), entry.name.c_str(), TypeBits(entry.inode.type) | mode,
                DeviceOf(entry.inode.device)) != 0) {
      if (errno != EPERM) Fail(entry);
      ++exported_.skipped;  // device nodes are for root to make
      return;
    }
    // The umask had its say; the name is new, and no symlink.
    if (fchmodat(Parent(), entry.name.c_str(), mode, 0) != 0) Fail(entry);
    SetAttributesByName(entry);
  }

  const Image& image_;
  const std::string target_;
  const FileDescriptor root_;
  std::vector<FileDescriptor> open_;  // of the directories above where we are
  ExportedTree exported_;
};

// Made, or found empty; removed or emptied again unless it is kept.
class Target {
 public:
  explicit Target(std::string path) : path_(std::move(path)) {
    made_ = mkdir(path_.c_str(), 0777) == 0;
    if (!made_ && errno != EEXIST) {
      throw SystemError(ErrorKind::kOutput, errno, "cannot make the directory",
                        "Check that the directory above it exists and that you may write to it.")
          .WithPath(path_);
    }
    fd_ = OpenFile(path_, O_RDONLY | O_DIRECTORY, ErrorKind::kOutput);
    std::error_code error;
    if (!std::filesystem::is_empty(path_, error) || error) {
      throw Error(ErrorKind::kOutput, "expected an empty directory, found one that is not",
                  "Give the name of a directory that does not exist yet.")
          .WithPath(path_);
    }
    armed_ = true;
  }
  ~Target() {
    if (!armed_) return;
    std::error_code ignored;
    // A directory that may not be written to cannot be emptied by its owner.
    std::filesystem::recursive_directory_iterator below(path_, ignored), end;
    for (; !ignored && below != end; below.increment(ignored)) {
      std::error_code gone;
      if (!std::filesystem::is_directory(below->symlink_status(gone))) continue;
      std::filesystem::permissions(below->path(), std::filesystem::perms::owner_all,
                                   std::filesystem::perm_options::add, gone);
    }
    for (const auto& entry : std::filesystem::directory_iterator(path_, ignored)) {
      std::filesystem::remove_all(entry.path(), ignored);
    }
    if (made_) rmdir(path_.c_str());
  }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  FileDescriptor TakeDescriptor() { return std::move(fd_); }
  void Keep() { armed_ = false; }

 private:
  std::string path_;
  FileDescriptor fd_;
  bool made_ = false;
  bool armed_ = false;
};

}  // namespace

ExportedTree ExportDirectory(const Image& image, const std::string& directory,
                             const std::function<void()>& poll) {
  CheckIsWhole(image);
  AllowManyDescriptors();
  Target target(directory);
  DirectoryWriter writer(image, directory, target.TakeDescriptor());
  WalkImage(image, writer, poll);
  target.Keep();
  return writer.exported();
}

}  // namespace firn
