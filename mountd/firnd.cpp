#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "firn_version.h"
#include "format/error.h"
#include "mountd/daemon.h"
#include "mountd/node_service.h"
#include "mountd/pusher.h"
#include "mountd/session.h"
#include "mountd/worker.h"

namespace firn {
namespace {

constexpr char kDescription[] =
    "firnd mounts a Firn image read-only and serves it until it is unmounted. It is started by\n"
    "'firn mount' and 'firn run'; by hand it takes the image and the mount point.";
constexpr char kFooter[] =
    "Examples:\n"
    "  firnd science.firn /mnt/science                   mount, and serve in the background\n"
    "  firnd --foreground science.firn /mnt/science      the same, with the log on the terminal\n"
    "  firnd --node                                      serve all images of this node\n"
    "\n"
    "SIGTERM unmounts: at once, or lazily where the image is in use; a second one ends firnd. "
    "With\n"
    "--node the first one ends it when nobody has a lease.";

enum class ViewChoice { kAuto, kOverlay, kDirect };

struct CommandLine {
  std::vector<std::string> arguments;  // IMAGE unless it comes as a descriptor, then MOUNTPOINT
  DaemonOptions options;
  ViewChoice view = ViewChoice::kAuto;
  bool no_prefetch = false;
  bool node = false;
  unsigned linger = 60;
  unsigned idle_exit = 0;
  int work_socket = -1;
  PusherOptions push;
};

void AddOptions(CLI::App& app, CommandLine& line) {
  DaemonOptions& options = line.options;
  app.add_option("ARGUMENTS", line.arguments,
                 "IMAGE, the image file, and MOUNTPOINT, the directory")
      ->option_text("IMAGE MOUNTPOINT");
  app.add_flag("--foreign", options.foreign, "Take other SquashFS 4.0 files too, unverified");
  app.add_option("--view", line.view, "How to show it: auto, overlay or direct")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, ViewChoice>{{"auto", ViewChoice::kAuto},
                                            {"overlay", ViewChoice::kOverlay},
                                            {"direct", ViewChoice::kDirect}}))
      ->option_text("VIEW");
  app.add_option("--cache-size", options.cache_bytes, "Memory for decoded blocks (64 MiB)")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->option_text("BYTES");
  app.add_option("--threads", options.threads, "Threads that serve (one a CPU, 2 to 16)")
      ->check(CLI::Range(1u, 256u))
      ->option_text("N");
  app.add_option("--log-file", options.log_file, "Log to this file, not to syslog")
      ->option_text("FILE");
  app.add_flag("--foreground", options.foreground, "Stay in the foreground, log to stderr");
  app.add_option("--image-fd", options.image_fd, "The image as an open descriptor")
      ->check(CLI::NonNegativeNumber)
      ->option_text("N");
  app.add_option("--image-name", options.image, "Its path, for messages")->option_text("PATH");
  app.add_option("--fuse-fd", options.fuse_fd, "Serve this FUSE mount instead of mounting")
      ->check(CLI::NonNegativeNumber)
      ->option_text("N");
  app.add_flag("--no-prefetch", line.no_prefetch, "Leave the image's profile alone");
  app.add_option("--record-fd", options.record_fd,
                 "Record what is done with the image, and write the profile here at the end")
      ->check(CLI::NonNegativeNumber)
      ->option_text("N");
  app.add_option("--root-fd", options.root_fd, "Root of the mount of --fuse-fd, to prefetch")
      ->check(CLI::NonNegativeNumber)
      ->option_text("N");
  app.add_option("--user-namespace-fd", options.user_namespace_fd, "User namespace of that mount")
      ->check(CLI::NonNegativeNumber)
      ->option_text("N");
  app.add_option("--ready-fd", options.ready_fd, "Tell readiness on this descriptor")
      ->check(CLI::NonNegativeNumber)
      ->option_text("N");
}

void AddNodeOptions(CLI::App& app, CommandLine& line) {
  app.add_flag("--node", line.node,
               "Serve every image of the node to who shows it ('firn run', 'firn mount')");
  CLI::Option* node = app.get_option("--node");
  app.add_option("--linger", line.linger, "Seconds that an unused image stays attached (60)")
      ->needs(node)
      ->option_text("N");
  app.add_option("--idle-exit", line.idle_exit, "End after N seconds without any image (never)")
      ->needs(node)
      ->option_text("N");
}

// How firnd starts itself as its worker and its pusher; nobody else has use for it.
void AddProcessOptions(CLI::App& app, int& work_socket, PusherOptions& push) {
  app.add_option("--work-socket-fd", work_socket)->group("");
  app.add_option("--push-root-fd", push.root_fd)->group("");
  app.add_option("--push-state-fd", push.state_fd)->group("");
  app.add_option("--push-user-namespace-fd", push.user_namespace_fd)->group("");
  app.add_flag("--push-above-image", push.above_image)->group("");
}

Error UsageError(const std::string& message) {
  return Error(ErrorKind::kUsage, message, "See 'firnd --help'.");
}

NodeServiceOptions CheckedNode(const CommandLine& line) {
  if (!line.arguments.empty()) {
    throw UsageError("with --node expected no IMAGE: clients show theirs");
  }
  const DaemonOptions& options = line.options;
  return {.node = {.threads = options.threads != 0 ? options.threads : DefaultThreadCount(),
                   .cache_bytes = options.cache_bytes,
                   .linger = std::chrono::seconds(line.linger),
                   .idle_exit = std::chrono::seconds(line.idle_exit)},
          .ready_fd = options.ready_fd,
          .log_file = options.log_file,
          .foreground = options.foreground};
}

DaemonOptions Checked(const CommandLine& line) {
  DaemonOptions options = line.options;
  const bool has_image = options.image_fd >= 0;
  if (has_image != !options.image.empty()) {
    throw UsageError("--image-fd and --image-name are given together or not at all");
  }
  if (line.arguments.size() != (has_image ? 1u : 2u)) {
    throw UsageError(has_image ? "expected MOUNTPOINT" : "expected IMAGE and MOUNTPOINT");
  }
  if (!has_image) options.image = line.arguments.front();
  options.mount_point = line.arguments.back();
  options.prefetch = !line.no_prefetch;
  if (line.view != ViewChoice::kAuto) {
    options.view = line.view == ViewChoice::kOverlay ? ViewKind::kOverlay : ViewKind::kDirect;
  } else if (options.fuse_fd >= 0) {
    throw UsageError("--fuse-fd needs --view overlay or --view direct, as it is mounted for");
  }
  return options;
}

}  // namespace

int Main(int argc, char** argv) {
  CommandLine line;
  CLI::App app(kDescription, "firnd");
  app.set_version_flag("--version", "firnd " FIRN_VERSION);
  app.footer(kFooter);
  AddOptions(app, line);
  AddNodeOptions(app, line);
  AddProcessOptions(app, line.work_socket, line.push);
  try {
    app.parse(argc, argv);
    if (line.work_socket >= 0) return RunWorker(line.work_socket);
    if (line.push.root_fd >= 0) {
      line.push.image_fd = line.options.image_fd;
      line.push.threads = line.options.threads;
      return RunPusher(line.push);
    }
    if (line.node) return RunNodeService(CheckedNode(line));
    return RunDaemon(Checked(line));
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
