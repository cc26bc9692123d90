#include "mountd/fuse_mount.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <vector>

#include "mountd/descriptor_passing.h"
#include "mountd/subprocess.h"

namespace firn {
namespace {

constexpr char kFuseDevice[] = "/dev/fuse";

Error FuseDeviceError(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return SystemError(
          ErrorKind::kSystem, error_number, "the FUSE device is missing",
          "Ask the site to load the kernel module (modprobe fuse), or in a container "
          "to pass the device in (--device /dev/fuse).");
    case EACCES:
    case EPERM:
      return SystemError(
          ErrorKind::kSystem, error_number,
          "the FUSE device may not be opened by uid " + std::to_string(geteuid()),
          "Ask the site to give it mode 0666, as Debian does (chmod 0666 /dev/fuse, kept by the "
          "udev "
          "rule KERNEL==\"fuse\", MODE=\"0666\"), or in a container to allow the device.");
    default:
      return SystemError(ErrorKind::kSystem, error_number, "cannot open the FUSE device");
  }
}

Error MountError(int error_number, const std::string& target, const std::string& selinux_context) {
  switch (error_number) {
    case EINVAL:
      if (selinux_context.empty()) break;
      return SystemError(ErrorKind::kSystem, error_number,
                         "the kernel refuses the mount with the SELinux context " + selinux_context,
                         "It takes a kernel with SELinux (/sys/fs/selinux) whose policy knows the "
                         "context; selinux_context in the configuration says which.")
          .WithPath(target);
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENOTCONN:
      return SystemError(ErrorKind::kMountPoint, error_number, "cannot mount here")
          .WithPath(target);
    case EPERM:
      return SystemError(ErrorKind::kSystem, error_number, "the kernel forbids to mount FUSE here",
                         "It takes CAP_SYS_ADMIN; in a container, ask the site for it.")
          .WithPath(target);
    case ENODEV:
      return SystemError(ErrorKind::kSystem, error_number, "the kernel has no FUSE file system",
                         "Ask the site to load the kernel module (modprobe fuse).")
          .WithPath(target);
    default:
      break;
  }
  return SystemError(ErrorKind::kSystem, error_number, "cannot mount FUSE").WithPath(target);
}

// fusermount3 takes its options as one string that it splits at commas.
std::string EscapeOption(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == ',' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

struct FusermountResult {
  int exit_code = 0;
  std::string output;  // what it wrote to standard error, on one line
};

FusermountResult RunFusermount(const std::vector<std::string>& arguments, int comm_fd) {
  Pipe errors = MakePipe();
  SpawnOptions options;
  options.stderr_fd = errors.write_end.get();
  if (comm_fd >= 0) {
    options.inherited = {comm_fd};
    options.environment = {"_FUSE_COMMFD=" + std::to_string(comm_fd)};
  }
  std::vector<std::string> argv = {"fusermount3"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const pid_t pid = Spawn(argv, options);
  if (pid < 0) {
    throw SystemError(ErrorKind::kSystem, -pid,
                      "fusermount3, by which ordinary users mount, cannot be run",
                      "Ask the site to install it (Debian: package fuse3). 'firn run' does without "
                      "it where user namespaces are allowed.");
  }
  errors.write_end.Close();
  FusermountResult result;
  result.output = ReadAll(errors.read_end.get(), 4096);
  result.exit_code = WaitForExit(pid);
  while (!result.output.empty() && result.output.back() == '\n') result.output.pop_back();
  for (char& c : result.output) {
    if (c == '\n') c = ' ';
  }
  return result;
}

Error FusermountError(const FusermountResult& result, const std::string& target) {
  const std::string said =
      result.output.empty() ? "exit code " + std::to_string(result.exit_code) : result.output;
  if (said.find("mountpoint") != std::string::npos) {
    return Error(ErrorKind::kMountPoint, "fusermount3 refuses the mount point: " + said,
                 "Choose a directory that you own and may write to.")
        .WithPath(target);
  }
  std::string remedy =
      "fusermount3 must be setuid root (mode 4755) and /etc/fuse.conf must allow the mount; ask "
      "the "
      "site.";
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) {
    remedy =
        "This process runs with no_new_privs (a sandbox or container), so setuid programs have no "
        "effect; run it outside, or as root there.";
  }
  return Error(ErrorKind::kSystem, "fusermount3 failed: " + said, remedy).WithPath(target);
}

}  // namespace

FileDescriptor OpenFuseDevice() {
  FileDescriptor fuse(open(kFuseDevice, O_RDWR | O_CLOEXEC));
  if (!fuse.valid()) throw FuseDeviceError(errno).WithPath(kFuseDevice);
  struct stat status {};
  constexpr unsigned kMiscMajor = 10;
  constexpr unsigned kFuseMinor = 229;
  if (fstat(fuse.get(), &status) != 0 || !S_ISCHR(status.st_mode) ||
      status.st_rdev != makedev(kMiscMajor, kFuseMinor)) {
    throw Error(
        ErrorKind::kSystem,
        "expected the FUSE device (character device 10:229), found another file",
        "Ask the site to create it (mknod -m 0666 /dev/fuse c 10 229), or in a container to "
        "pass it in.")
        .WithPath(kFuseDevice);
  }
  return fuse;
}

std::string PermittedContext(const std::string& selinux_context) {
  return MayMount() && !InUserNamespace() ? selinux_context : std::string();
}

std::string SelinuxMountData(const std::string& selinux_context) {
  return selinux_context.empty() ? std::string() : ",context=\"" + selinux_context + "\"";
}

std::string FuseMountData(int fuse_fd, const FuseMountOptions& options) {
  std::string data = "fd=" + std::to_string(fuse_fd) +
                     ",rootmode=40000,user_id=" + std::to_string(geteuid()) +
                     ",group_id=" + std::to_string(getegid()) +
                     ",default_permissions,max_read=" + std::to_string(kMaxReadLength);
  if (options.allow_other) data += ",allow_other";
  return data + SelinuxMountData(options.selinux_context);
}

void MountFuse(int fuse_fd, const std::string& target, const FuseMountOptions& options) {
  const std::string data = FuseMountData(fuse_fd, options);
  if (mount(options.source.c_str(), target.c_str(), kFuseType, MS_RDONLY | MS_NOSUID | MS_NODEV,
            data.c_str()) != 0) {
    throw MountError(errno, target, options.selinux_context);
  }
}

void RaiseReadAhead(const std::string& fuse_mount) {
  struct stat status {};
  if (stat(fuse_mount.c_str(), &status) != 0) return;
  std::ofstream setting("/sys/class/bdi/" + std::to_string(major(status.st_dev)) + ":" +
                        std::to_string(minor(status.st_dev)) + "/read_ahead_kb");
  setting << kMaxReadLength / 1024 << std::flush;
}

FileDescriptor MountThroughFusermount(const std::string& target, const FuseMountOptions& options) {
  OpenFuseDevice();  // fusermount3 opens it as the user too, with a poorer message
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
    throw SystemError(ErrorKind::kInternal, errno, "cannot make a socket pair");
  }
  const FileDescriptor ours(sockets[0]);
  const FileDescriptor theirs(sockets[1]);
  const FusermountResult result = RunFusermount(
      {"-o",
       "ro,nosuid,nodev,default_permissions,max_read=" + std::to_string(kMaxReadLength) +
           ",subtype=firn,fsname=" + EscapeOption(options.source),
       "--", target},
      theirs.get());
  if (result.exit_code != 0) throw FusermountError(result, target);
  std::array<std::byte, 1> byte{};
  std::optional<ReceivedBytes> received = ReceiveDescriptors(ours.get(), byte, MSG_DONTWAIT);
  if (!received || received->fds.empty()) {
    throw Error(ErrorKind::kSystem, "expected a descriptor from fusermount3, found none")
        .WithPath(target);
  }
  return std::move(received->fds.front());
}

bool UnmountTarget(const std::string& target, UnmountMode mode) {
  const bool lazy = mode == UnmountMode::kLazy;
  if (umount2(target.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) return true;
  if (errno == EBUSY) return false;
  if (errno != EPERM) {
    throw SystemError(ErrorKind::kMountPoint, errno, "cannot unmount").WithPath(target);
  }
  std::vector<std::string> arguments = {"-u", "--", target};
  if (lazy) arguments.insert(arguments.begin(), "-z");
  const FusermountResult result = RunFusermount(arguments, -1);
  if (result.exit_code == 0) return true;
  if (result.output.find("busy") != std::string::npos) return false;
  if (result.output.find("not found in") != std::string::npos) {
    throw Error(ErrorKind::kMountPoint,
                "this mount is not yours to unmount (" + result.output + ")",
                "Its owner or root may.")
        .WithPath(target);
  }
  throw FusermountError(result, target);
}

bool MayMount() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) return false;
  return (data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN)) != 0;
}

bool InUserNamespace() {
  std::ifstream map("/proc/self/uid_map");
  uint64_t inside = 1;
  uint64_t outside = 1;
  uint64_t count = 0;
  map >> inside >> outside >> count;
  return !(inside == 0 && outside == 0 && count == 4294967295u);
}

}  // namespace firn
