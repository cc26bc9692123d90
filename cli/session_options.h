#ifndef FIRN_CLI_SESSION_OPTIONS_H_
#define FIRN_CLI_SESSION_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <cstddef>
#include <optional>
#include <string>

#include "mountd/launch.h"

namespace firn {

// How an image is to be served, as the user says it.
struct SessionOptions {
  bool foreign = false;
  std::string config;
  std::string view;
  size_t cache_size = 0;
  unsigned threads = 0;
  std::string log_file;
  std::string verify;
  std::optional<bool> prefetch;
  bool no_daemon = false;

  LaunchOptions ToLaunchOptions() const;
  // May the node's firnd serve it? Not where the user says how a session of its own is to be.
  bool MayUseNode() const;
};

// Adds --config, --foreign, --view, --cache-size, --threads, --verify, --prefetch, --no-prefetch
// and
// --log-file. What is not given is as firnd's configuration has it. `options` outlives `app`.
void AddSessionOptions(CLI::App& app, SessionOptions& options);
// Adds --no-daemon.
void AddNodeOption(CLI::App& app, SessionOptions& options);

}  // namespace firn

#endif  // FIRN_CLI_SESSION_OPTIONS_H_
