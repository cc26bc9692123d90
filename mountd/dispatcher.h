#ifndef FIRN_MOUNTD_DISPATCHER_H_
#define FIRN_MOUNTD_DISPATCHER_H_

#include <functional>

#include "mountd/error_counters.h"
#include "mountd/error_log.h"
#include "mountd/fuse.h"
#include "mountd/fuse_mount.h"
#include "mountd/init_exchange.h"
#include "mountd/tree.h"

namespace firn {

// What every request of a session sees; libfuse's "userdata". Thread-safe.
class Dispatcher {
 public:
  // What FUSE_INIT agrees on with the kernel.
  struct Terms {
    bool readdirplus = true;  // it may learn of files by listing their directory
    unsigned max_background = kDefaultMaxBackground;  // its requests of read-ahead under way
  };

  // All outlive it.
  Dispatcher(const Tree& tree, InitExchange& init_exchange, ErrorCounters& errors,
             const Terms& terms)
      : tree_(tree), init_exchange_(init_exchange), errors_(errors), terms_(terms) {}

  const Tree& tree() const { return tree_; }
  InitExchange& init_exchange() const { return init_exchange_; }
  const Terms& terms() const { return terms_; }

  // What failed: the request, the node that it is for, and what it was to be answered from.
  struct Failed {
    const char* operation;
    NodeId node;
    const SlotTable& slots;
  };
  // The errno value to answer with for the exception being handled, which is counted and logged.
  int AnswerForException(const Failed& failed);
  // For one entry of many: does `work`, whose exception is counted and logged likewise, and costs
  // that entry alone. Was there none?
  bool Attempt(const Failed& failed, const std::function<void()>& work);
  // Counts and logs an error that costs a part of the answer.
  void Report(const Failed& failed, const Error& error);

  // libfuse's table of handlers; each takes a Dispatcher as userdata, and no exception leaves it.
  static const fuse_lowlevel_ops& Operations();

 private:
  void Log(const Failed& failed, const char* what);

  const Tree& tree_;
  InitExchange& init_exchange_;
  ErrorCounters& errors_;
  const Terms terms_;
  ErrorLog error_log_;  // of requests for nodes of no image
};

}  // namespace firn

#endif  // FIRN_MOUNTD_DISPATCHER_H_
