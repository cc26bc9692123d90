#ifndef FIRN_MOUNTD_FIRND_OPTIONS_H_
#define FIRN_MOUNTD_FIRND_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "mountd/daemon.h"
#include "mountd/node_service.h"
#include "mountd/placer.h"
#include "mountd/pusher.h"

namespace firn {

// firnd's command line. What is absent is as the configuration has it.
struct FirndOptions {
  std::vector<std::string> arguments;  // IMAGE unless it comes as a descriptor, then MOUNTPOINT
  DaemonOptions daemon;
  std::string config;  // path; empty: kConfigPath
  // --check-config, with a path or an empty one.
  std::optional<std::string> checked_config;
  std::optional<ViewChoice> view;
  std::optional<size_t> cache_bytes;
  std::optional<unsigned> threads;
  std::optional<bool> prefetch;
  std::optional<ExtentCheck> verify;
  std::optional<LogLevel> log_level;
  std::optional<LogFormat> log_format;
  std::string log_file;
  bool node = false;               // serve every image of the node
  bool upgrade = false;            // have the node\'s firnd replace its workers
  std::optional<unsigned> linger;  // seconds, as the next
  std::optional<unsigned> idle_exit;
  int check_state = -1;  // with it, firnd tells if it could take over
  std::string job;       // serve that job alone
  int work_socket = -1;  // with it, firnd is a worker
  PlacerOptions place;   // with a view or a mount, it is a placer
  PusherOptions push;    // with a root, it is a pusher
};

// `options` outlives `app`.
void AddFirndOptions(CLI::App& app, FirndOptions& options);

// What to do, the configuration and the command line taken together. Throws kUsage and what
// LoadConfig() throws.
DaemonOptions MakeDaemonOptions(const FirndOptions& options);
// The same with options.node.
NodeServiceOptions MakeNodeOptions(const FirndOptions& options);

}  // namespace firn

#endif  // FIRN_MOUNTD_FIRND_OPTIONS_H_
