#include "cli/session_options.h"

#include <filesystem>

namespace firn {

LaunchOptions SessionOptions::ToLaunchOptions() const {
  LaunchOptions launch;
  launch.foreign = foreign;
  if (view != "auto") launch.view = view == "overlay" ? ViewKind::kOverlay : ViewKind::kDirect;
  launch.cache_bytes = cache_size;
  launch.threads = threads;
  launch.prefetch = !no_prefetch;
  // firnd has another working directory.
  if (!log_file.empty()) launch.log_file = std::filesystem::absolute(log_file).string();
  return launch;
}

bool SessionOptions::MayUseNode() const {
  return !no_daemon && view == "auto" && cache_size == 0 && threads == 0 && log_file.empty();
}

void AddNodeOption(CLI::App& app, SessionOptions& options) {
  app.add_flag("--no-daemon", options.no_daemon,
               "Serve it by a firnd of its own though the node has one; so do --view, "
               "--cache-size, --threads and --log-file");
}

void AddSessionOptions(CLI::App& app, SessionOptions& options) {
  app.add_flag("--foreign", options.foreign,
               "Take SquashFS files of other programs too; nothing in them is verified");
  app.add_option("--view", options.view, "How to show it: auto, overlay or direct")
      ->option_text("KIND")
      ->check(CLI::IsMember({"auto", "overlay", "direct"}))
      ->capture_default_str();
  app.add_option("--cache-size", options.cache_size,
                 "Memory for decoded blocks: bytes, or with KiB, MiB, GiB [64MiB]")
      ->option_text("SIZE")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads, "Threads that serve [one a CPU, 2 to 16]")
      ->option_text("N")
      ->check(CLI::Range(1u, 256u));
  app.add_flag("--no-prefetch", options.no_prefetch,
               "Do not read ahead what the image's profile says");
  app.add_option("--log-file", options.log_file, "Where firnd logs, instead of syslog")
      ->option_text("FILE");
}

}  // namespace firn
