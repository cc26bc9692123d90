#include "mountd/dispatcher.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <new>
#include <tuple>

#include "mountd/log.h"
#include "mountd/operations/operations.h"

namespace firn {
namespace {

template <size_t N>
struct Name {
  consteval Name(const char (&text)[N]) { std::copy_n(text, N, letters.begin()); }
  std::array<char, N> letters{};
};

// Turns a Reply… function into a handler for libfuse.
template <auto Reply, Name kName>
struct Guarded;

template <typename... Arguments, void (*Reply)(const SlotTable&, fuse_req_t, Arguments...),
          Name kName>
struct Guarded<Reply, kName> {
  static void Handle(fuse_req_t request, Arguments... arguments) noexcept {
    auto& dispatcher = *static_cast<Dispatcher*>(fuse_req_userdata(request));
    // Held until the reply is written and what it gives to the kernel is counted.
    const std::shared_ptr<const SlotTable> slots = dispatcher.tree().Now();
    try {
      Reply(*slots, request, arguments...);
    } catch (...) {
      const NodeId node = std::get<0>(std::tuple(arguments...));
      fuse_reply_err(request, dispatcher.AnswerForException({kName.letters.data(), node, *slots}));
    }
  }
};

void HandleInit(void* userdata, fuse_conn_info* connection) {
  // No READDIRPLUS_AUTO: what lists a directory of an environment looks at its entries next. No
  // AUTO_INVAL_DATA: no file changes behind the kernel's back.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_AUTO_INVAL_DATA);
  connection->want |=
      connection->capable &
      (FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
       FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_NO_OPENDIR_SUPPORT);
  const Dispatcher::Terms& terms = static_cast<const Dispatcher*>(userdata)->terms();
  if (!terms.readdirplus) {
    connection->want &= ~static_cast<unsigned>(FUSE_CAP_READDIRPLUS);
  }
  // As the mount options have it.
  connection->max_read = kMaxReadLength;
  connection->max_background = terms.max_background;
  LogDebug("the kernel speaks FUSE {}.{}; up to {} requests in the background",
           connection->proto_major, connection->proto_minor, connection->max_background);
}

fuse_lowlevel_ops MakeOperations() {
  fuse_lowlevel_ops operations{};
  operations.init = HandleInit;
  operations.lookup = Guarded<ReplyLookup, "lookup">::Handle;
  operations.forget = Guarded<ReplyForget, "forget">::Handle;
  operations.forget_multi = Guarded<ReplyForgetMulti, "forget">::Handle;
  operations.getattr = Guarded<ReplyGetAttributes, "getattr">::Handle;
  operations.readlink = Guarded<ReplyReadLink, "readlink">::Handle;
  operations.open = Guarded<ReplyOpen, "open">::Handle;
  operations.opendir = Guarded<ReplyOpenDirectory, "opendir">::Handle;
  operations.read = Guarded<ReplyRead, "read">::Handle;
  operations.readdir = Guarded<ReplyReadDirectory, "readdir">::Handle;
  operations.readdirplus = Guarded<ReplyReadDirectoryPlus, "readdirplus">::Handle;
  operations.statfs = Guarded<ReplyStatFs, "statfs">::Handle;
  return operations;
}

}  // namespace

int Dispatcher::AnswerForException(const Failed& failed) {
  try {
    throw;
  } catch (const StaleNodeError& error) {
    errors_.other.fetch_add(1, std::memory_order_relaxed);
    Log(failed, error.what());
    return ESTALE;
  } catch (const Error& error) {
    Report(failed, error);
    return EIO;
  } catch (const std::bad_alloc&) {
    errors_.memory.fetch_add(1, std::memory_order_relaxed);
    Log(failed, "out of memory");
    return ENOMEM;
  } catch (const std::exception& error) {
    errors_.other.fetch_add(1, std::memory_order_relaxed);
    Log(failed, error.what());
    return EIO;
  }
}

bool Dispatcher::Attempt(const Failed& failed, const std::function<void()>& work) {
  try {
    work();
    return true;
  } catch (...) {
    AnswerForException(failed);
    return false;
  }
}

void Dispatcher::Report(const Failed& failed, const Error& error) {
  (error.kind() == ErrorKind::kDamaged ? errors_.damaged : errors_.other)
      .fetch_add(1, std::memory_order_relaxed);
  Log(failed, error.what());
}

void Dispatcher::Log(const Failed& failed, const char* what) {
  AttachedImage* const image = failed.slots.FindImageOf(failed.node);
  ErrorLog& log = image != nullptr ? image->error_log() : error_log_;
  const uint32_t inode = ToInt(InodeOf(failed.node));
  // By whatever request: an entry that cannot be listed cannot be looked up either.
  const std::optional<uint64_t> left_out =
      log.Admit(fmt::format("{} {}", inode, what), RateLimiter::Clock::now());
  if (!left_out) return;
  const std::string of_image = image != nullptr ? " of " + image->image().path() : std::string();
  if (*left_out != 0) {
    LogError("{} errors{} like the following were not logged", *left_out, of_image);
  }
  // Most errors begin with the path themselves.
  const bool add_path =
      image != nullptr && !std::string_view(what).starts_with(image->image().path());
  LogFields fields = {{"operation", failed.operation}, {"inode", uint64_t{inode}}};
  if (image != nullptr) fields.emplace_back("image", image->image().path());
  LogLine(LogLevel::kError,
          fmt::format("{} of inode {}{} fails: {}", failed.operation, inode,
                      add_path ? of_image : std::string(), what),
          fields);
}

const fuse_lowlevel_ops& Dispatcher::Operations() {
  static const fuse_lowlevel_ops operations = MakeOperations();
  return operations;
}

}  // namespace firn
