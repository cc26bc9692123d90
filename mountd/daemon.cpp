#include "mountd/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "mountd/attachment.h"
#include "mountd/background.h"
#include "mountd/fuse_mount.h"
#include "mountd/log.h"
#include "mountd/mount_point.h"
#include "mountd/readiness.h"
#include "mountd/readiness_report.h"
#include "mountd/service_loop.h"
#include "mountd/session.h"
#include "mountd/subprocess.h"
#include "mountd/supervised_worker.h"

namespace firn {
namespace {

FileDescriptor TakeImage(const DaemonOptions& options) {
  if (options.image_fd < 0) return OpenFile(options.image, O_RDONLY, ErrorKind::kInput);
  return FileDescriptor(options.image_fd);
}

void RequireRegularFile(const FileDescriptor& image, const std::string& path) {
  struct stat status {};
  if (fstat(image.get(), &status) == 0 && S_ISREG(status.st_mode)) return;
  throw Error(ErrorKind::kInput, "expected a regular file as image, found another kind of file",
              "Give the file that 'firn build' wrote.")
      .WithPath(path);
}

// The id that a trusted key signed; empty where the policy asks for no signature. Throws
// kUntrusted.
std::string RequireTrustedImage(const DaemonOptions& options, const FileDescriptor& image) {
  if (options.trust.policy == ImagePolicy::kAny) return {};
  struct stat status {};
  if (fstat(image.get(), &status) != 0) {
    throw SystemError(ErrorKind::kInternal, errno, "cannot stat").WithPath(options.image);
  }
  const ShownSignatures signatures = FindSignatures(image.get(), options.image);
  const std::optional<TrustedSigner> signer = FindSigner(options.trust, signatures);
  try {
    RequireTrust(
        options.trust,
        {.path = options.image, .owner = status.st_uid, .mode = status.st_mode, .user = geteuid()},
        signatures, signer);
  } catch (const Error& error) {
    LogWarning("refused: {}", error.what());
    throw;
  }
  return signer ? FormatImageId(signer->image_id) : std::string();
}

std::unique_ptr<Attachment> Attach(const DaemonOptions& options, const std::string& target,
                                   SupervisedWorker& worker) {
  const AttachOptions attach{
      .image = options.image,
      .view = options.view,
      .start = [&](FileDescriptor fuse,
                   RootLayout layout) { worker.Serve(std::move(fuse), layout); },
      .selinux_context = PermittedContext(options.selinux_context)};
  if (options.fuse_fd < 0) return Attachment::Mount(target, attach);
  return Attachment::Serve(FileDescriptor(options.fuse_fd),
                           {.root = FileDescriptor(options.root_fd),
                            .user_namespace = FileDescriptor(options.user_namespace_fd)},
                           attach);
}

struct PrefetchedImage {
  const FileDescriptor& file;
  bool has_profile;
};

void StartPrefetch(const DaemonOptions& options, const PrefetchedImage& image, unsigned threads,
                   PusherPlace place, Prefetch& prefetch) {
  const bool is_recording = options.record_fd >= 0;
  if (!options.prefetch || is_recording || !image.has_profile || !place.root.valid()) return;
  // One serving thread is always left to those who wait.
  prefetch.Start(image.file.get(), std::move(place), std::max(1u, threads / 2));
}

void Serve(const DaemonOptions& options, ReadinessReport& report) {
  const bool is_job = options.fuse_fd >= 0;
  const SignalSource signals;
  const std::string target = is_job ? options.mount_point : CheckMountPoint(options.mount_point);
  if (!is_job && PermittedContext(options.selinux_context) != options.selinux_context) {
    LogInfo("selinux_context is left out: it takes CAP_SYS_ADMIN outside of user namespaces");
  }
  const FileDescriptor image = TakeImage(options);
  RequireRegularFile(image, options.image);
  const std::string signed_id = RequireTrustedImage(options, image);
  Prefetch prefetch;
  const unsigned threads = options.threads != 0 ? options.threads : DefaultThreadCount();
  SupervisedWorker worker({.threads = threads,
                           .cache_bytes = options.cache_bytes,
                           .max_background = options.max_background,
                           .record = FileDescriptor(options.record_fd)},
                          prefetch.shared_state());
  worker.Start();
  const ImageFacts facts =
      worker.AttachNow({.file = FileDescriptor(fcntl(image.get(), F_DUPFD_CLOEXEC, 0)),
                        .path = options.image,
                        .foreign = options.foreign,
                        .drop_stored = !is_job,
                        .check = options.verify,
                        .expected_id = signed_id});
  const std::unique_ptr<Attachment> attachment = Attach(options, target, worker);
  StartPrefetch(options, {image, facts.has_profile}, threads, attachment->TakePusherPlace(),
                prefetch);
  ServiceLoop loop({.worker = worker,
                    .image = options.image,
                    .facts = facts,
                    .attachment = *attachment,
                    .prefetch = prefetch,
                    .signals = signals,
                    .shown_at = target,
                    .is_job = is_job && !options.for_everybody,
                    .is_mounted_by_caller = is_job});
  const SessionAddress address{
      .pid = getpid(), .view = attachment->view(), .control = loop.control_path()};
  // Before the caller is told, so that whoever reads the log then finds it there.
  LogInfo("serving {} at {} ({} view, {} threads)", options.image, target,
          ToString(attachment->view()), threads);
  if (!attachment->view_reason().empty()) {
    LogInfo("the view is direct: {}", attachment->view_reason());
  }
  if (!report.Tell(FormatReady(address))) {
    throw Error(ErrorKind::kInterrupted,
                "the program that started firnd is gone; nothing is mounted");
  }
  loop.Run();
  LogInfo("{} at {} ended", options.image, target);
}

std::vector<int> GivenDescriptors(const DaemonOptions& options) {
  std::vector<int> given;
  for (const int fd : {options.image_fd, options.fuse_fd, options.ready_fd, options.record_fd,
                       options.root_fd, options.user_namespace_fd}) {
    if (fd >= 0) given.push_back(fd);
  }
  return given;
}

void CloseAtExec(const std::vector<int>& descriptors) {
  for (const int fd : descriptors) {
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
      throw SystemError(ErrorKind::kUsage, errno,
                        "expected an open descriptor, found number " + std::to_string(fd));
    }
  }
}

DaemonOptions WithAbsolutePaths(DaemonOptions options) {
  for (std::string* path : {&options.image, &options.mount_point, &options.log.file}) {
    if (!path->empty()) *path = std::filesystem::absolute(*path).lexically_normal().string();
  }
  return options;
}

}  // namespace

int RunDaemon(const DaemonOptions& given) {
  const DaemonOptions options = WithAbsolutePaths(given);
  OpenStandardStreams();
  CloseAtExec(GivenDescriptors(options));
  CloseOtherDescriptors(GivenDescriptors(options));
  return RunInBackground(
      {.ready = FileDescriptor(options.ready_fd),
       .log = options.log,
       .foreground = options.foreground},
      [&](ReadinessReport& report) {
        SetLogContext({{"image", options.image}, {"mount_point", options.mount_point}});
        Serve(options, report);
      });
}

}  // namespace firn
