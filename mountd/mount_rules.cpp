#include "mountd/mount_rules.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>

#include "format/error.h"

namespace firn {
namespace {

constexpr char kFuseConf[] = "/etc/fuse.conf";
constexpr char kChooseAnother[] = "Choose a directory that you own and may write to.";

// The f_type of file systems that people keep files in, as fusermount3 lists them: not those whose
// files mean something to the kernel, such as proc and sysfs.
constexpr uint32_t kMountableTypes[] = {
    0x61756673,  // aufs
    0x00000187,  // autofs
    0xCA451A4E,  // bcachefs
    0x9123683E,  // btrfs
    0x00C36400,  // ceph
    0xFF534D42,  // cifs
    0x0000F15F,  // ecryptfs
    0x0000EF53,  // ext2, ext3, ext4
    0xF2F52010,  // f2fs
    0x65735546,  // fuse
    0x01161970,  // gfs2
    0x47504653,  // gpfs
    0x00004244,  // hfs
    0x0000482B,  // hfsplus
    0x000072B6,  // jffs2
    0x3153464A,  // jfs
    0x0BD00BD0,  // lustre
    0x00004D44,  // msdos, vfat
    0x0000564C,  // ncp
    0x00006969,  // nfs
    0x00003434,  // nilfs
    0x5346544E,  // ntfs
    0x7366746E,  // ntfs3
    0x794C7630,  // overlayfs
    0xAAD7AAEA,  // panfs
    0x858458F6,  // ramfs
    0x52654973,  // reiserfs
    0xFE534D42,  // smb2
    0x73717368,  // squashfs
    0x01021994,  // tmpfs
    0x24051905,  // ubifs
    0x01021997,  // v9fs
    0x58465342,  // xfs
    0x2FC12FC1,  // zfs
};

Error RefusedTarget(const std::string& why, const std::string& name) {
  return Error(ErrorKind::kMountPoint, why, kChooseAnother).WithPath(name);
}

std::string_view Trimmed(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t first = line.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

FileAccessAs::FileAccessAs(const Identity& identity) : own_uid_(geteuid()), own_gid_(getegid()) {
  if (setgroups(identity.groups.size(), identity.groups.data()) != 0) {
    throw SystemError(ErrorKind::kInternal, errno, "cannot take the groups of a user");
  }
  setfsgid(identity.gid);
  setfsuid(identity.uid);
  // They tell only what was before; an id that is none changes nothing.
  constexpr auto kNone = static_cast<uid_t>(-1);
  if (static_cast<uid_t>(setfsuid(kNone)) != identity.uid ||
      static_cast<gid_t>(setfsgid(kNone)) != identity.gid) {
    throw Error(ErrorKind::kInternal, "cannot access files as a user");
  }
}

FileAccessAs::~FileAccessAs() {
  setfsuid(own_uid_);
  setfsgid(own_gid_);
}

void CheckMayMountOn(int directory, uid_t user, const std::string& name) {
  struct stat status {};
  struct statfs system {};
  if (fstat(directory, &status) != 0 || fstatfs(directory, &system) != 0) {
    throw SystemError(ErrorKind::kMountPoint, errno, "cannot use the mount point").WithPath(name);
  }
  if (!S_ISDIR(status.st_mode)) {
    throw RefusedTarget("expected a directory to mount on, found another file", name);
  }
  if ((status.st_mode & S_ISVTX) != 0 && status.st_uid != user) {
    throw RefusedTarget("the directory is sticky and belongs to uid " +
                            std::to_string(status.st_uid) + ", so uid " + std::to_string(user) +
                            " may not mount on it",
                        name);
  }
  // Of the library's function, access is that of the real uid, or made up from the mode.
  if (syscall(SYS_faccessat2, directory, "", W_OK, AT_EACCESS | AT_EMPTY_PATH) != 0) {
    if (errno == ENOSYS) {
      throw SystemError(ErrorKind::kSystem, errno, "cannot tell who may write to the mount point",
                        "It takes Linux 5.8 or later; --no-daemon does without.");
    }
    throw RefusedTarget("uid " + std::to_string(user) + " may not write to the directory", name);
  }
  const auto type = static_cast<uint32_t>(system.f_type);
  if (std::ranges::find(kMountableTypes, type) == std::end(kMountableTypes)) {
    throw RefusedTarget("the directory is on a file system on which users may not mount", name);
  }
}

FuseConf ParseFuseConf(std::string_view text) {
  FuseConf conf;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    line = Trimmed(line.substr(0, line.find('#')));
    constexpr std::string_view kMountMax = "mount_max";
    if (line == "user_allow_other") conf.user_allow_other = true;
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos || Trimmed(line.substr(0, equals)) != kMountMax) continue;
    const std::string_view number = Trimmed(line.substr(equals + 1));
    long value = 0;
    const auto [last, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    if (error == std::errc() && last == number.data() + number.size()) conf.mount_max = value;
  }
  return conf;
}

FuseConf ReadFuseConf() {
  std::ifstream file(kFuseConf);
  return ParseFuseConf(std::string(std::istreambuf_iterator<char>(file), {}));
}

}  // namespace firn
