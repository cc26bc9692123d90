#include "cli/session_options.h"

#include <filesystem>

namespace firn {

LaunchOptions SessionOptions::ToLaunchOptions() const {
  LaunchOptions launch;
  launch.foreign = foreign;
  launch.view = ParseViewChoice(view);
  launch.cache_bytes = cache_size;
  launch.threads = threads;
  launch.verify = ParseExtentCheck(verify);
  launch.prefetch = prefetch;
  // firnd has another working directory.
  if (!config.empty()) launch.config = std::filesystem::absolute(config).string();
  if (!log_file.empty()) launch.log_file = std::filesystem::absolute(log_file).string();
  return launch;
}

bool SessionOptions::MayUseNode() const {
  return !no_daemon && view.empty() && cache_size == 0 && threads == 0 && verify.empty() &&
         log_file.empty() && config.empty();
}

void AddNodeOption(CLI::App& app, SessionOptions& options) {
  app.add_flag("--no-daemon", options.no_daemon,
               "Serve it by a firnd of its own though the node has one; so do --view, "
               "--cache-size, --threads, --verify, --log-file and --config");
}

void AddSessionOptions(CLI::App& app, SessionOptions& options) {
  app.add_flag("--foreign", options.foreign,
               "Take SquashFS files of other programs too; nothing in them is verified");
  app.add_option("--view", options.view, "How to show it: auto, overlay or direct [auto]")
      ->option_text("KIND")
      ->check(CLI::IsMember({"auto", "overlay", "direct"}));
  app.add_option("--cache-size", options.cache_size,
                 "Memory for decoded blocks: bytes, or with KiB, MiB, GiB [64MiB]")
      ->option_text("SIZE")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads, "Threads that serve [one a CPU, 2 to 16]")
      ->option_text("N")
      ->check(CLI::Range(1u, 256u));
  app.add_option("--verify", options.verify,
                 "Check what is read by a checksum, or by the SHA-256 that the image id proves "
                 "[checksum]")
      ->option_text("checksum|proof")
      ->check(CLI::IsMember({"checksum", "proof"}));
  CLI::Option* prefetch = app.add_flag_callback(
      "--prefetch", [&options] { options.prefetch = true; },
      "Read ahead what the image's profile says, whatever the configuration has");
  app.add_flag_callback(
         "--no-prefetch", [&options] { options.prefetch = false; },
         "Do not read ahead what the image's profile says")
      ->excludes(prefetch);
  app.add_option("--log-file", options.log_file, "Where firnd logs [syslog]")->option_text("FILE");
  app.add_option("--config", options.config, "firnd's configuration [/etc/firn/firnd.yaml]")
      ->option_text("FILE");
}

}  // namespace firn
