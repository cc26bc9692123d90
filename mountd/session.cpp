#include "mountd/session.h"

#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "mountd/fuse_mount.h"
#include "mountd/log.h"

namespace firn {
namespace {

// Wakes a thread that waits in read(2); nothing else uses it.
constexpr int kWakeSignal = SIGUSR1;

void InstallWakeHandler() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  sigaction(kWakeSignal, &action, nullptr);  // without SA_RESTART, so that read() returns
}

void ForwardLog(fuse_log_level level, const char* format, va_list arguments) {
  char text[512];
  const int length = std::vsnprintf(text, sizeof text, format, arguments);
  if (length <= 0) return;
  std::string_view line(text, std::min<size_t>(static_cast<size_t>(length), sizeof text - 1));
  while (line.ends_with('\n')) line.remove_suffix(1);
  LogLine(level <= FUSE_LOG_ERR ? LogLevel::kError : LogLevel::kInfo, line);
}

class Arguments {
 public:
  Arguments() {
    const std::string max_read = "-omax_read=" + std::to_string(kMaxReadLength);
    // libfuse takes options as if from a command line; the rest was said at mount(2).
    for (const char* argument : {"firnd", max_read.c_str()}) {
      if (fuse_opt_add_arg(&arguments_, argument) != 0) throw std::bad_alloc();
    }
  }
  ~Arguments() { fuse_opt_free_args(&arguments_); }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;
  fuse_args* get() { return &arguments_; }

 private:
  fuse_args arguments_{};
};

}  // namespace

// Where a thread reads requests into; libfuse allocates it at the first one.
class Session::Buffer {
 public:
  Buffer() = default;
  ~Buffer() { std::free(buffer_.mem); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  fuse_buf* get() { return &buffer_; }

 private:
  fuse_buf buffer_{};
};

void Session::DestroySession::operator()(fuse_session* session) const {
  fuse_session_destroy(session);
}

unsigned DefaultThreadCount() {
  cpu_set_t allowed;
  const bool known = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
  const int cpus = known ? CPU_COUNT(&allowed) : 2;
  return static_cast<unsigned>(std::clamp(cpus, 2, 16));
}

Session::Session(const Tree& tree, FileDescriptor fuse, const ServeOptions& options)
    : dispatcher_(tree, options.recorder == nullptr),
      options_(options),
      ended_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!ended_.valid()) throw SystemError(ErrorKind::kInternal, errno, "cannot make an eventfd");
  fuse_set_log_func(ForwardLog);
  Arguments arguments;
  session_.reset(fuse_session_new(arguments.get(), &Dispatcher::Operations(),
                                  sizeof(fuse_lowlevel_ops), &dispatcher_));
  const std::string mounted = "/dev/fd/" + std::to_string(fuse.get());
  if (session_ == nullptr || fuse_session_mount(session_.get(), mounted.c_str()) != 0) {
    throw Error(ErrorKind::kInternal, "libfuse cannot make a session");
  }
  fuse.Release();  // the session closes it
}

Session::~Session() { Stop(); }

void Session::Start() {
  InstallWakeHandler();
  Buffer buffer;
  // libfuse's connection data are written by the first request (INIT) and only read from then on.
  if (!ServeOne(buffer)) {
    throw Error(ErrorKind::kSystem, "the file system was unmounted before it could be served");
  }
  // One for this function, so that no thread takes itself for the last one before all are there.
  running_ = 1;
  const auto leave = [this](void*) { LeaveRunning(); };
  const std::unique_ptr<void, decltype(leave)> self(this, leave);
  for (unsigned i = 0; i < options_.threads; ++i) {
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([this] { Serve(); });
    ++running_;
  }
}

void Session::LeaveRunning() {
  const std::lock_guard lock(mutex_);
  if (--running_ == 0) {
    const uint64_t one = 1;
    if (write(ended_.get(), &one, sizeof one) < 0) LogError("eventfd: {}", strerror(errno));
  }
  thread_ended_.notify_all();
}

void Session::Serve() {
  pthread_setname_np(pthread_self(), "firnd-serve");
  Buffer buffer;
  while (!stopping_.load() && ServeOne(buffer)) {
  }
  LeaveRunning();
}

bool Session::ServeOne(Buffer& buffer) {
  const int got = fuse_session_receive_buf(session_.get(), buffer.get());
  if (got == -EINTR || got == -EAGAIN) return true;
  if (got <= 0) {
    if (got < 0) LogError("cannot read requests from /dev/fuse: {}", strerror(-got));
    return false;
  }
  const ByteSpan request(static_cast<const std::byte*>(buffer.get()->mem),
                         static_cast<size_t>(got));
  requests_.Count(request);
  if (options_.recorder != nullptr) options_.recorder->Observe(request);
  const bool is_waited_for = IsPrefetching() && !IsOfPusher(request);
  if (is_waited_for) options_.prefetch->waiting.fetch_add(1, std::memory_order_relaxed);
  fuse_session_process_buf(session_.get(), buffer.get());
  if (is_waited_for) options_.prefetch->waiting.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

bool Session::IsPrefetching() const {
  return options_.prefetch != nullptr &&
         options_.prefetch->stage.load(std::memory_order_relaxed) == PrefetchStage::kRunning;
}

bool Session::IsOfPusher(ByteSpan request) const {
  fuse_in_header header;
  if (request.size() < sizeof header) return false;
  std::memcpy(&header, request.data(), sizeof header);
  const auto& threads = options_.prefetch->threads;
  return std::any_of(threads.begin(), threads.end(), [&](const std::atomic<int32_t>& thread) {
    return thread.load(std::memory_order_relaxed) == static_cast<int32_t>(header.pid);
  });
}

void Session::Stop() {
  stopping_.store(true);
  std::unique_lock lock(mutex_);
  while (running_ != 0) {
    // A signal that comes between a thread's look at stopping_ and its read() is lost: repeat.
    for (std::thread& thread : threads_) pthread_kill(thread.native_handle(), kWakeSignal);
    thread_ended_.wait_for(lock, std::chrono::milliseconds(10));
  }
  lock.unlock();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace firn
