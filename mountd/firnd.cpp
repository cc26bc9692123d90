#include <unistd.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <string>

#include "firn_version.h"
#include "format/error.h"
#include "mountd/config.h"
#include "mountd/daemon.h"
#include "mountd/firnd_options.h"
#include "mountd/inherited_state.h"
#include "mountd/keeper_exec.h"
#include "mountd/node_client.h"
#include "mountd/placer.h"
#include "mountd/pusher.h"
#include "mountd/readiness.h"
#include "mountd/worker.h"

namespace firn {
namespace {

constexpr char kDescription[] =
    "firnd mounts a Firn image read-only and serves it until it is unmounted. It is started by\n"
    "'firn mount' and 'firn run'; by hand it takes the image and the mount point. What the "
    "command\n"
    "line leaves open is as /etc/firn/firnd.yaml has it: firnd.yaml(5).";
constexpr char kFooter[] =
    "Examples:\n"
    "  firnd science.firn /mnt/science                   mount, and serve in the background\n"
    "  firnd --foreground science.firn /mnt/science      the same, with the log on the terminal\n"
    "  firnd --node                                      serve all images of this node\n"
    "  firnd --check-config                              is the configuration right\n"
    "\n"
    "SIGTERM unmounts: at once, or lazily where the image is in use; a second one ends firnd. "
    "With\n"
    "--node the first one ends it; who has an image is served on.";

int CheckConfig(const FirndOptions& options) {
  if (!options.arguments.empty()) {
    throw Error(ErrorKind::kUsage, "--check-config takes one FILE", "See 'firnd --help'.");
  }
  const std::string& path =
      options.checked_config->empty() ? options.config : *options.checked_config;
  LoadConfig(path);
  if (path.empty() && access(kConfigPath, F_OK) != 0) {
    std::cerr << "firnd: note: there is no " << kConfigPath << ", so defaults hold" << std::endl;
  }
  std::cout << "ok" << std::endl;
  if (std::cout.good()) return 0;
  throw Error(ErrorKind::kOutput, "cannot write to the standard output");
}

int UpgradeNode() {
  std::optional<NodeClient> node = NodeClient::Connect();
  if (!node)
    throw Error(ErrorKind::kNoReply, "no firnd serves this node", "There is nothing to upgrade.");
  const UpgradedNode upgraded = node->Upgrade();
  std::cout << "firnd: " << upgraded.workers << (upgraded.workers == 1 ? " worker" : " workers")
            << " replaced, version " << upgraded.version << " keeps the node" << std::endl;
  return 0;
}

int RunConfigured(const FirndOptions& options) {
  DaemonOptions daemon;
  NodeServiceOptions node;
  try {
    if (!options.job.empty()) ForgetRanksSettings();
    if (options.node) {
      node = MakeNodeOptions(options);
    } else {
      daemon = MakeDaemonOptions(options);
    }
  } catch (const Error& error) {
    // Who started firnd waits for it to tell, and shows it.
    const std::string line = FormatFailure(error) + "\n";
    const int ready_fd = options.daemon.ready_fd;
    if (ready_fd >= 0 && write(ready_fd, line.data(), line.size()) > 0) return error.exit_code();
    throw;
  }
  if (options.node && options.check_state >= 0) {
    AnswerAsSuccessor(options.check_state);
    return 0;
  }
  return options.node ? RunNodeService(node) : RunDaemon(daemon);
}

}  // namespace

int Main(int argc, char** argv) {
  FirndOptions options;
  CLI::App app(kDescription, "firnd");
  app.set_version_flag("--version", "firnd " FIRN_VERSION);
  app.footer(kFooter);
  AddFirndOptions(app, options);
  try {
    app.parse(argc, argv);
    if (options.work_socket >= 0) return RunWorker(options.work_socket);
    if (options.place.view_fd >= 0 || options.place.mount_id != 0) {
      options.place.ready_fd = options.daemon.ready_fd;
      return RunPlacer(options.place);
    }
    if (options.upgrade) return UpgradeNode();
    if (options.checked_config) return CheckConfig(options);
    if (options.push.root_fd < 0) return RunConfigured(options);
    options.push.image_fd = options.daemon.image_fd;
    options.push.threads = options.threads.value_or(0);
    return RunPusher(options.push);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    std::cerr << "firnd: error: " << error.what() << "\nSee 'firnd --help'." << std::endl;
    return static_cast<int>(ErrorKind::kUsage);
  } catch (const Error& error) {
    std::cerr << "firnd: error: " << error.what() << std::endl;
    return error.exit_code();
  } catch (const std::exception& error) {
    std::cerr << "firnd: error: " << error.what() << std::endl;
    return static_cast<int>(ErrorKind::kInternal);
  }
}

}  // namespace firn

int main(int argc, char** argv) { return firn::Main(argc, argv); }
