#include "mountd/session.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <utility>

#include "mountd/fuse_mount.h"
#include "mountd/log.h"

namespace firn {
namespace {

// Wakes a thread that waits in read(2); nothing else uses it.
constexpr int kWakeSignal = SIGUSR1;

// Where no thread took a request for so long, though none waited for one, there are too few.
constexpr std::chrono::milliseconds kWatchInterval{200};
// A request that ends the worker does so within this, from when it is tried.
constexpr std::chrono::milliseconds kCarefulPatience{1000};

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

// libfuse's replies to the kernel; `userdata` is the session's Dispatcher.
ssize_t WriteReply(int fd, iovec* parts, int count, void* userdata) {
  if (!static_cast<Dispatcher*>(userdata)->init_exchange().TakeReply(parts, count)) {
    ssize_t length = 0;
    for (int i = 0; i < count; ++i) length += static_cast<ssize_t>(parts[i].iov_len);
    return length;
  }
  return writev(fd, parts, count);
}

// Needed by libfuse for a session of its own loop, which this one has not.
ssize_t ReadDevice(int fd, void* buffer, size_t length, void*) { return read(fd, buffer, length); }

fuse_in_header HeaderOf(ByteSpan request) {
  fuse_in_header header{};
  if (request.size() >= sizeof header) std::memcpy(&header, request.data(), sizeof header);
  return header;
}

}  // namespace

void Session::DestroySession::operator()(fuse_session* session) const {
  fuse_session_destroy(session);
}

unsigned DefaultThreadCount() {
  cpu_set_t allowed;
  const bool known = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
  const int cpus = known ? CPU_COUNT(&allowed) : 2;
  return static_cast<unsigned>(std::clamp(cpus, 2, 16));
}

Session::Session(const Tree& tree, int fuse, const SessionMemory& memory,
                 const ServeOptions& options)
    : memory_(memory),
      init_exchange_(memory.state().init),
      dispatcher_(
          tree, init_exchange_, memory.state().errors,
          {.readdirplus = options.recorder == nullptr, .max_background = options.max_background}),
      options_(options),
      fuse_(fuse),
      gate_(memory,
            tree.Now()->IsAboveImages(kRootNode) ? RootLayout::kSlots : RootLayout::kImageIsRoot,
            options.threads / 2),
      ended_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!ended_.valid()) throw SystemError(ErrorKind::kInternal, errno, "cannot make an eventfd");
  fuse_set_log_func(ForwardLog);
  Arguments arguments;
  session_.reset(fuse_session_new(arguments.get(), &Dispatcher::Operations(),
                                  sizeof(fuse_lowlevel_ops), &dispatcher_));
  constexpr fuse_custom_io kDevice{
      .writev = WriteReply, .read = ReadDevice, .splice_receive = nullptr, .splice_send = nullptr};
  FileDescriptor own(fcntl(fuse, F_DUPFD_CLOEXEC, 0));  // the session closes it
  if (session_ == nullptr || !own.valid() ||
      fuse_session_custom_io(session_.get(), &kDevice, own.get()) != 0) {
    throw Error(ErrorKind::kInternal, "libfuse cannot make a session");
  }
  own.Release();
}

Session::~Session() { Stop(); }

void Session::Start() {
  InstallWakeHandler();
  // libfuse's connection data are written by FUSE_INIT and only read from then on.
  BringUp();
  CollectLeftOver();
  if (options_.careful) AnswerCarefully();
  const std::lock_guard lock(mutex_);
  AddThreads(options_.threads);
  watch_ = std::thread([this] { Watch(); });
}

void Session::BringUp() {
  if (init_exchange_.IsRecorded()) {
    init_exchange_.StartReplaying();
    Process(init_exchange_.request());
    init_exchange_.Finish();
    return;
  }
  // A worker before this one may have read it and died.
  while (memory_.PendingRequest(0).empty()) {
    if (ReadRequest(0) < 0) {
      throw Error(ErrorKind::kSystem, "the file system was unmounted before it could be served");
    }
  }
  init_exchange_.StartRecording(memory_.PendingRequest(0));
  memory_.state().requests.Count(init_exchange_.request());
  Process(init_exchange_.request());
  init_exchange_.Finish();
  memory_.MarkAnswered(0);
}

void Session::CollectLeftOver() {
  gate_.TakeOver();
  for (size_t thread = 0; thread < kMostServingThreads; ++thread) {
    const ByteSpan request = memory_.PendingRequest(thread);
    if (request.empty()) continue;
    if (HeaderOf(request).opcode == FUSE_INIT) {
      // Answered by a worker that may not have come to sending it; twice is once for the kernel.
      const ByteSpan reply = init_exchange_.reply();
      if (write(fuse_, reply.data(), reply.size()) < 0 && errno != ENOENT) {
        LogError("cannot answer FUSE_INIT: {}", strerror(errno));
      }
    } else if (!gate_.Adopt(request)) {
      Process(request);
    }
    memory_.MarkAnswered(thread);
  }
}

void Session::AnswerCarefully() {
  constexpr uint32_t kMostCrashes = 2;
  while (const auto parked = gate_.Take()) {
    if (memory_.state().parked[parked->entry].crashes.load() >= kMostCrashes) {
      RefusePoisoned(memory_.ParkedRequest(parked->entry));
      gate_.Finish(*parked);
    } else {
      TryCarefully(*parked);
    }
  }
}

void Session::TryCarefully(const RequestGate::Parked& parked) {
  std::atomic<uint32_t>& being_tried = memory_.state().parked[parked.entry].being_tried;
  being_tried.store(1);
  const auto is_done = std::make_shared<std::atomic<bool>>(false);
  careful_threads_.emplace_back([this, parked, is_done] {
    ServeParked(parked);
    const std::lock_guard lock(mutex_);
    is_done->store(true);
    changed_.notify_all();
  });
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kCarefulPatience, [&] { return is_done->load(); });
  being_tried.store(0);
  lock.unlock();
  if (!is_done->load()) return;
  careful_threads_.back().join();
  careful_threads_.pop_back();
}

void Session::RefusePoisoned(ByteSpan request) {
  const fuse_in_header header = HeaderOf(request);
  LogError("request {} of node {} ends the worker each time: answered with EIO",
           OpcodeName(header.opcode), header.nodeid);
  memory_.state().errors.poisoned.fetch_add(1, std::memory_order_relaxed);
  const fuse_out_header reply{.len = sizeof reply, .error = -EIO, .unique = header.unique};
  if (write(fuse_, &reply, sizeof reply) < 0 && errno != ENOENT) {
    LogError("cannot answer a request: {}", strerror(errno));
  }
}

void Session::LeaveRunning(size_t thread) {
  const std::lock_guard lock(mutex_);
  threads_.at(thread).has_ended = true;
  if (--running_ == 0) {
    const uint64_t one = 1;
    if (write(ended_.get(), &one, sizeof one) < 0) LogError("eventfd: {}", strerror(errno));
  }
  changed_.notify_all();
}

void Session::Serve(size_t thread) {
  pthread_setname_np(pthread_self(), "firnd-serve");
  while (!stopping_.load() && !IsSuperfluous(thread)) {
    if (const auto parked = gate_.Take()) {
      taken_.fetch_add(1, std::memory_order_relaxed);
      ServeParked(*parked);
    } else if (!ServeOne(thread)) {
      is_disconnected_.store(true);
      break;
    }
  }
  LeaveRunning(thread);
}

bool Session::IsSuperfluous(size_t thread) const {
  return thread >= options_.threads && waiting_count_.load() >= options_.threads;
}

void Session::AddThreads(unsigned count) {
  for (size_t number = 0; count > 0 && number < kMostServingThreads; ++number) {
    if (threads_.contains(number)) continue;
    std::thread thread([this, number] { Serve(number); });
    threads_[number].thread = std::move(thread);
    ++running_;
    --count;
  }
}

void Session::JoinEnded() {
  for (auto at = threads_.begin(); at != threads_.end();) {
    if (at->second.has_ended) {
      at->second.thread.join();
      at = threads_.erase(at);
    } else {
      ++at;
    }
  }
}

// A signal that comes just before read() is lost: the next one will not be.
void Session::WakeWaiting() {
  for (auto& [number, serving] : threads_) {
    if (is_waiting_[number].load()) pthread_kill(serving.thread.native_handle(), kWakeSignal);
  }
}

void Session::Watch() {
  pthread_setname_np(pthread_self(), "firnd-watch");
  uint64_t last_taken = 0;
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kWatchInterval, [this] { return stopping_.load(); })) {
    if (is_disconnected_.load()) continue;
    JoinEnded();
    const uint64_t taken = taken_.load();
    if (waiting_count_.load() > 0) {
      if (gate_.HasReady()) WakeWaiting();
    } else if (taken == last_taken) {
      try {
        AddThreads(options_.threads);
      } catch (const std::system_error& error) {
        LogWarning("all {} threads wait, and no more can be had: {}", threads_.size(),
                   error.what());
      }
    }
    last_taken = taken;
  }
}

ssize_t Session::ReadRequest(size_t thread) {
  memory_.MarkAnswered(thread);
  const MutableByteSpan room = memory_.RoomOf(thread);
  is_waiting_[thread].store(true);
  waiting_count_.fetch_add(1);
  const ssize_t got = read(fuse_, room.data(), room.size());
  const int error = errno;
  waiting_count_.fetch_sub(1);
  is_waiting_[thread].store(false);
  if (got >= 0) return got;
  // ENOENT: whoever asked was killed before the request could be read.
  if (error == EINTR || error == EAGAIN || error == ENOENT) return 0;
  if (error != ENODEV) LogError("cannot read requests from /dev/fuse: {}", strerror(error));
  return -1;
}

bool Session::ServeOne(size_t thread) {
  const ssize_t got = ReadRequest(thread);
  if (got <= 0) return got == 0;
  taken_.fetch_add(1, std::memory_order_relaxed);
  const ByteSpan request = memory_.RoomOf(thread).first(static_cast<size_t>(got));
  memory_.state().requests.Count(request);
  if (options_.recorder != nullptr) options_.recorder->Observe(request);
  const RequestGate::Entry entry = gate_.Enter(request);
  if (entry.pass) {
    ProcessCounted(request);
    gate_.Leave(*entry.pass);
  } else if (!entry.is_parked) {
    return true;  // the session stops: the next worker finds it here
  }
  memory_.MarkAnswered(thread);
  return true;
}

void Session::ServeParked(const RequestGate::Parked& parked) {
  ProcessCounted(memory_.ParkedRequest(parked.entry));
  gate_.Finish(parked);
}

void Session::ProcessCounted(ByteSpan request) {
  const bool is_waited_for = IsPrefetching() && !IsOfPusher(request);
  if (is_waited_for) options_.prefetch->waiting.fetch_add(1, std::memory_order_relaxed);
  Process(request);
  if (is_waited_for) options_.prefetch->waiting.fetch_sub(1, std::memory_order_relaxed);
}

// Every handler answers before it returns.
void Session::Process(ByteSpan request) {
  fuse_buf buffer{};
  buffer.size = request.size();
  buffer.mem = const_cast<std::byte*>(request.data());  // libfuse only reads it
  fuse_session_process_buf(session_.get(), &buffer);
}

bool Session::IsPrefetching() const {
  return options_.prefetch != nullptr &&
         options_.prefetch->stage.load(std::memory_order_relaxed) == PrefetchStage::kRunning;
}

bool Session::IsOfPusher(ByteSpan request) const {
  const fuse_in_header header = HeaderOf(request);
  const auto& threads = options_.prefetch->threads;
  return std::any_of(threads.begin(), threads.end(), [&](const std::atomic<int32_t>& thread) {
    return thread.load(std::memory_order_relaxed) == static_cast<int32_t>(header.pid);
  });
}

void Session::InvalidateRootEntry(const std::string& name) {
  const int result =
      fuse_lowlevel_notify_inval_entry(session_.get(), FUSE_ROOT_ID, name.data(), name.size());
  if (result != 0 && result != -ENOENT) {
    LogWarning("cannot have the kernel forget {}: {}", name, strerror(-result));
  }
}

void Session::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_.store(true);
  }
  changed_.notify_all();
  if (watch_.joinable()) watch_.join();
  gate_.Close();
  std::unique_lock lock(mutex_);
  while (running_ != 0) {
    WakeWaiting();
    changed_.wait_for(lock, std::chrono::milliseconds(10));
  }
  JoinEnded();
  lock.unlock();
  for (std::thread& thread : careful_threads_) thread.join();
  careful_threads_.clear();
}

}  // namespace firn
