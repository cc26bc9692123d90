#include "builder/tree_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include "builder/tree_path.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr size_t kMaxListedProblems = 10;

struct CloseDirectory {
  void operator()(DIR* stream) const { closedir(stream); }
};

// What in the tree cannot be taken; all of it is told at once.
class Problems {
 public:
  void Add(const std::string& path, const std::string& what) {
    if (count_++ < kMaxListedProblems) list_ += "\n  " + path + ": " + what;
  }
  void AddErrno(const std::string& path, const std::string& what, int error) {
    Add(path, what + ": " + std::generic_category().message(error));
  }
  void AddSpecial(const std::string& path, const std::string& what) {
    special_ = true;
    Add(path, what);
  }

  void ThrowIfAny(const std::string& tree) const {
    if (count_ == 0) return;
    std::string message = "cannot be taken into an image:" + list_;
    if (count_ > kMaxListedProblems) {
      message += "\n  and " + std::to_string(count_ - kMaxListedProblems) + " more";
    }
    throw Error(ErrorKind::kInput, message,
                special_ ? "Remove what is no file, directory or symlink, or leave it out with "
                           "--skip-special; make the rest readable."
                         : "Make it readable for the user who builds, or build as its owner.")
        .WithPath(tree);
  }

 private:
  size_t count_ = 0;
  bool special_ = false;
  std::string list_;
};

const char* SpecialName(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFIFO:
      return "a fifo";
    case S_IFSOCK:
      return "a socket";
    case S_IFBLK:
      return "a block device";
    case S_IFCHR:
      return "a character device";
    default:
      return "a file of unknown type";
  }
}

mode_t Permissions(mode_t mode, bool keep) {
  if (S_ISLNK(mode)) return 0777;
  if (keep) return mode & 07777;
  return S_ISDIR(mode) || (mode & 0111) != 0 ? 0755 : 0644;
}

class Walker {
 public:
  Walker(int directory, const std::string& shown_name, const WalkOptions& options)
      : root_(directory), shown_name_(shown_name), options_(options) {}

  WalkedTree Run() {
    WalkedTree tree;
    tree.root = std::make_unique<TreeNode>();
    struct stat status;
    if (fstat(root_, &status) != 0) {
      throw SystemError(ErrorKind::kInput, errno, "cannot stat").WithPath(shown_name_);
    }
    tree.root->permissions = Permissions(status.st_mode, options_.keep_modes);
    ReadDirectory(*tree.root, "");
    problems_.ThrowIfAny(shown_name_);
    tree.skipped_special = skipped_special_;
    return tree;
  }

 private:
  // No descriptor is held while a directory's children are read: a tree may be deeper than the
  // number of files that may be open.
  void ReadDirectory(TreeNode& node, const std::string& path) {
    std::vector<TreeNode*> directories;
    {
      const FileDescriptor fd =
          OpenBelow(root_, path.empty() ? "." : path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
      if (!fd.valid()) return problems_.AddErrno(Shown(path), "cannot open", errno);
      for (const std::string& name : ReadNames(fd.get(), path)) {
        options_.poll();
        TreeNode* child = AddChild(node, fd.get(), name, JoinPath(path, name));
        if (child != nullptr && child->type == FileType::kDirectory) directories.push_back(child);
      }
    }
    for (TreeNode* child : directories) ReadDirectory(*child, JoinPath(path, child->name));
  }

  std::vector<std::string> ReadNames(int fd, const std::string& path) {
    std::vector<std::string> names;
    FileDescriptor own(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    const std::unique_ptr<DIR, CloseDirectory> stream(fdopendir(own.get()));
    if (!stream) {
      problems_.AddErrno(Shown(path), "cannot read the directory", errno);
      return names;
    }
    own.Release();  // closed with the stream
    while (true) {
      errno = 0;
      const dirent* entry = readdir(stream.get());
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) problems_.AddErrno(Shown(path), "cannot read the directory", errno);
    std::sort(names.begin(), names.end());
    return names;
  }

  // Returns nullptr for what is not taken.
  TreeNode* AddChild(TreeNode& parent, int fd, const std::string& name, const std::string& path) {
    struct stat status;
    if (fstatat(fd, name.c_str(), &status, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0) {
      problems_.AddErrno(Shown(path), "cannot stat", errno);
      return nullptr;
    }
    const SourceStamp stamp = SourceStamp::Of(status);
    if (IsLeftOut(stamp)) return nullptr;
    auto child = std::make_unique<TreeNode>();
    child->name = name;
    child->parent = &parent;
    child->permissions = Permissions(status.st_mode, options_.keep_modes);
    child->stamp = stamp;
    switch (status.st_mode & S_IFMT) {
      case S_IFDIR:
        child->type = FileType::kDirectory;
        break;
      case S_IFREG:
        child->type = FileType::kRegular;
        child->may_have_links = status.st_nlink > 1;
        if (faccessat(fd, name.c_str(), R_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) != 0) {
          problems_.AddErrno(Shown(path), "cannot read", errno);
        }
        break;
      case S_IFLNK:
        child->type = FileType::kSymlink;
        if (!ReadTarget(fd, name, path, child->symlink_target)) return nullptr;
        break;
      default:
        if (options_.whiteouts && S_ISCHR(status.st_mode) && status.st_rdev == 0) {
          child->type = FileType::kCharacterDevice;
          child->permissions = 0;
          break;
        }
        if (options_.skip_special) {
          ++skipped_special_;
        } else {
          problems_.AddSpecial(Shown(path), std::string("is ") + SpecialName(status.st_mode));
        }
        return nullptr;
    }
    parent.children.push_back(std::move(child));
    return parent.children.back().get();
  }

  bool ReadTarget(int fd, const std::string& name, const std::string& path, std::string& target) {
    char buffer[65536];
    const ssize_t length = readlinkat(fd, name.c_str(), buffer, sizeof buffer);
    if (length < 0) {
      problems_.AddErrno(Shown(path), "cannot read the symlink", errno);
      return false;
    }
    target.assign(buffer, static_cast<size_t>(length));
    return true;
  }

  bool IsLeftOut(const SourceStamp& stamp) const {
    return std::any_of(options_.left_out.begin(), options_.left_out.end(),
                       [&](const SourceStamp& other) {
                         return other.device == stamp.device && other.inode == stamp.inode;
                       });
  }

  std::string Shown(const std::string& path) const { return JoinPath(shown_name_, path); }

  const int root_;
  const std::string& shown_name_;
  const WalkOptions& options_;
  Problems problems_;
  uint64_t skipped_special_ = 0;
};

using FirstNames = std::map<std::pair<uint64_t, uint64_t>, TreeNode*>;

void LinkBelow(TreeNode& node, FirstNames& first_names) {
  for (const auto& child : node.children) {
    if (child->type == FileType::kDirectory) {
      LinkBelow(*child, first_names);
    } else if (child->may_have_links) {
      const std::pair key(child->stamp.device, child->stamp.inode);
      const auto [first, is_new] = first_names.emplace(key, child.get());
      if (!is_new) child->hard_link = first->second;
    }
  }
}

}  // namespace

WalkedTree WalkTree(int directory, const std::string& shown_name, const WalkOptions& options) {
  return Walker(directory, shown_name, options).Run();
}

void LinkHardLinks(TreeNode& root) {
  FirstNames first_names;
  LinkBelow(root, first_names);
}

}  // namespace firn
