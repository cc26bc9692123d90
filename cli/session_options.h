#ifndef FIRN_CLI_SESSION_OPTIONS_H_
#define FIRN_CLI_SESSION_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <cstddef>
#include <string>

#include "mountd/launch.h"

namespace firn {

// How an image is to be served, as the user says it.
struct SessionOptions {
  bool foreign = false;
  std::string view = "auto";
  size_t cache_size = 0;
  unsigned threads = 0;
  std::string log_file;
  bool no_prefetch = false;
  bool no_daemon = false;

  LaunchOptions ToLaunchOptions() const;
  // May the node's firnd serve it? Not where the user says how a session of its own is to be.
  bool MayUseNode() const;
};

// Adds --foreign, --view, --cache-size, --threads, --no-prefetch and --log-file. `options` outlives
// `app`.
void AddSessionOptions(CLI::App& app, SessionOptions& options);
// Adds --no-daemon.
void AddNodeOption(CLI::App& app, SessionOptions& options);

}  // namespace firn

#endif  // FIRN_CLI_SESSION_OPTIONS_H_
