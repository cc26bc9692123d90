#include "mountd/private_mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <exception>
#include <utility>

#include "format/error.h"

namespace firn {
namespace {

void EnterPrivateNamespace() {
  if (unshare(CLONE_NEWNS) != 0) {
    throw SystemError(ErrorKind::kSystem, errno, "cannot make a private mount namespace");
  }
  // Without this, mounts would propagate to where we came from.
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    throw SystemError(ErrorKind::kSystem, errno, "cannot make the mounts of a namespace private");
  }
}

}  // namespace

PrivateMounts::PrivateMounts() : worker_(this) { Run(EnterPrivateNamespace); }

PrivateMounts::PrivateMounts(const FileDescriptor& mount_namespace) : worker_(this) {
  Run([&] {
    // Threads share their root and working directory, and setns(2) wants a thread that does not.
    if (unshare(CLONE_FS) != 0 || setns(mount_namespace.get(), CLONE_NEWNS) != 0) {
      throw SystemError(ErrorKind::kSystem, errno,
                        "cannot enter the mount namespace of the firnd before");
    }
  });
}

FileDescriptor PrivateMounts::OpenNamespace() {
  FileDescriptor opened;
  Run([&] { opened = OpenFile("/proc/thread-self/ns/mnt", O_RDONLY, ErrorKind::kSystem); });
  return opened;
}

PrivateMounts::Worker::~Worker() {
  {
    const std::lock_guard lock(owner_->mutex_);
    owner_->ending_ = true;
  }
  owner_->changed_.notify_all();
  thread_.join();
}

void PrivateMounts::Run(const std::function<void()>& task) {
  std::unique_lock lock(mutex_);
  task_ = task;
  changed_.notify_all();
  changed_.wait(lock, [this] { return !task_; });
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void PrivateMounts::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || task_; });
    if (!task_) return;
    lock.unlock();
    std::exception_ptr error;
    try {
      task_();
    } catch (...) {
      error = std::current_exception();  // for the caller of Run()
    }
    lock.lock();
    error_ = error;
    task_ = nullptr;
    changed_.notify_all();
  }
}

}  // namespace firn
