#include "mountd/firnd_options.h"

#include "format/error.h"
#include "mountd/config.h"
#include "mountd/session.h"

namespace firn {
namespace {

constexpr size_t kLongestJobKey = 64;

Error UsageError(const std::string& message) {
  return Error(ErrorKind::kUsage, message, "See 'firnd --help'.");
}

// An option whose values have names.
template <typename Parse, typename Target>
CLI::Option* AddNamed(CLI::App& app, const std::string& name, Parse parse, Target& target,
                      std::string_view names, const std::string& description) {
  return app
      .add_option_function<std::string>(
          name, [&target, parse](const std::string& text) { target = parse(text); }, description)
      ->check([parse, names](const std::string& text) {
        return parse(text) ? std::string() : "expected " + std::string(names);
      });
}

void AddSettings(CLI::App& app, FirndOptions& options) {
  app.add_option("--config", options.config, "Configuration, not /etc/firn/firnd.yaml")
      ->option_text("FILE");
  app.add_option_function<std::string>(
         "--check-config", [&options](const std::string& path) { options.checked_config = path; },
         "Only tell what is wrong with the configuration")
      ->expected(0, 1)
      ->option_text("[FILE]");
  app.add_flag("--foreign", options.daemon.foreign,
               "Take other SquashFS 4.0 files too, unverified");
  AddNamed(app, "--view", ParseViewChoice, options.view, "auto, overlay or direct",
           "How to show it: auto, overlay or direct")
      ->option_text("VIEW");
  app.add_option("--cache-size", options.cache_bytes, "Memory for decoded blocks (64 MiB)")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false))
      ->option_text("BYTES");
  app.add_option("--threads", options.threads, "Threads that serve (one a CPU, 2 to 16)")
      ->check(CLI::Range(1u, kMostThreads))
      ->option_text("N");
  AddNamed(app, "--verify", ParseExtentCheck, options.verify, "checksum or proof",
           "Check each extent by its checksum, or by the SHA-256 that the image id proves")
      ->option_text("KIND");
  CLI::Option* prefetch = app.add_flag_callback(
      "--prefetch", [&options] { options.prefetch = true; }, "Do what the image's profile says");
  app.add_flag_callback(
         "--no-prefetch", [&options] { options.prefetch = false; },
         "Leave the image's profile alone")
      ->excludes(prefetch);
}

ExtentCheck CheckOf(const FirndOptions& options, const Config& config) {
  return options.verify.value_or(config.CheckOfExtents());
}

void AddLogOptions(CLI::App& app, FirndOptions& options) {
  app.add_option("--log-file", options.log_file, "Log to this file")->option_text("FILE");
  AddNamed(app, "--log-level", ParseLogLevel, options.log_level, kLogLevelNames,
           "Log this and what is worse: error, warning, info, debug")
      ->option_text("LEVEL");
  AddNamed(app, "--log-format", ParseLogFormat, options.log_format, kLogFormatNames,
           "Log as text or json")
      ->option_text("FORMAT");
  app.add_flag("--foreground", options.daemon.foreground,
               "Stay in the foreground, and log to stderr where nothing else is said");
}

void AddNodeOptions(CLI::App& app, FirndOptions& options) {
  CLI::Option* node =
      app.add_flag("--node", options.node,
                   "Serve every image of the node to who shows it ('firn run', 'firn mount')");
  app.add_flag("--upgrade", options.upgrade,
               "Have the firnd of the node go on with the program that is on disk now")
      ->excludes(node);
  app.add_option("--job", options.job, "Serve a job of the user alone, to be known by KEY")
      ->needs(node)
      ->check([](const std::string& key) {
        const bool is_name = !key.empty() && key.size() <= kLongestJobKey &&
                             key.find_first_not_of("0123456789abcdef") == std::string::npos;
        return is_name ? std::string() : "expected hexadecimal digits";
      })
      ->option_text("KEY");
  app.add_option("--linger", options.linger, "Seconds that an unused image stays attached (60)")
      ->needs(node)
      ->option_text("N");
  app.add_option("--idle-exit", options.idle_exit,
                 "End after N seconds without any image; 0: never (0)")
      ->needs(node)
      ->option_text("N");
}

// One of a job, which nobody else tells to end: it ends by itself, soon.
std::chrono::seconds IdleExit(const FirndOptions& options, const Config& config) {
  constexpr unsigned kOfJob = 60;
  const bool is_jobs = !options.job.empty();
  const unsigned configured = is_jobs && config.idle_exit == 0 ? kOfJob : config.idle_exit;
  return std::chrono::seconds(options.idle_exit.value_or(configured));
}

CLI::Option* AddDescriptor(CLI::App& app, const std::string& name, int& fd,
                           const std::string& description) {
  return app.add_option(name, fd, description)->check(CLI::NonNegativeNumber)->option_text("N");
}

// How firnd starts itself as its worker, its pusher and its placer; nobody else has use for it.
void AddProcessOptions(CLI::App& app, int& work_socket, PusherOptions& push, PlacerOptions& place) {
  app.add_option("--place-uid", place.user.uid)->group("");
  app.add_option("--place-gid", place.user.gid)->group("");
  app.add_option("--place-groups", place.user.groups)->delimiter(',')->group("");
  app.add_option("--place-view-fd", place.view_fd)->group("");
  app.add_option("--place-target-fd", place.target_fd)->group("");
  app.add_option("--place-mount-id", place.mount_id)->group("");
  app.add_option("--place-target", place.target)->group("");
  app.add_flag("--place-lazy", place.lazy)->group("");
  app.add_option("--work-socket-fd", work_socket)->group("");
  app.add_option("--push-root-fd", push.root_fd)->group("");
  app.add_option("--push-state-fd", push.state_fd)->group("");
  app.add_option("--push-user-namespace-fd", push.user_namespace_fd)->group("");
  app.add_flag("--push-above-image", push.above_image)->group("");
}

LogSettings MakeLogSettings(const FirndOptions& options, const Config& config) {
  LogSettings log = config.log;
  log.level = options.log_level.value_or(config.log.level);
  log.format = options.log_format.value_or(config.log.format);
  if (!options.log_file.empty()) {
    log.destination = LogDestination::kFile;
    log.file = options.log_file;
    log.file_is_optional = false;
  }
  return log;
}

}  // namespace

void AddFirndOptions(CLI::App& app, FirndOptions& options) {
  DaemonOptions& daemon = options.daemon;
  app.add_option("ARGUMENTS", options.arguments,
                 "IMAGE, the image file, and MOUNTPOINT, the directory")
      ->option_text("IMAGE MOUNTPOINT");
  AddSettings(app, options);
  AddLogOptions(app, options);
  AddNodeOptions(app, options);
  AddDescriptor(app, "--image-fd", daemon.image_fd, "The image as an open descriptor");
  app.add_option("--image-name", daemon.image, "Its path, for messages")->option_text("PATH");
  AddDescriptor(app, "--fuse-fd", daemon.fuse_fd, "Serve this FUSE mount instead of mounting");
  app.add_flag("--for-everybody", daemon.for_everybody,
               "That mount is part of one that everybody sees, not a job");
  AddDescriptor(app, "--record-fd", daemon.record_fd,
                "Record what is done with the image, and write the profile here at the end");
  AddDescriptor(app, "--root-fd", daemon.root_fd, "Root of the mount of --fuse-fd, to prefetch");
  AddDescriptor(app, "--user-namespace-fd", daemon.user_namespace_fd,
                "User namespace of that mount");
  AddDescriptor(app, "--ready-fd", daemon.ready_fd, "Tell readiness on this descriptor");
  app.add_option("--check-state-fd", options.check_state)->group("");
  AddProcessOptions(app, options.work_socket, options.push, options.place);
}

DaemonOptions MakeDaemonOptions(const FirndOptions& options) {
  DaemonOptions daemon = options.daemon;
  const bool has_image = daemon.image_fd >= 0;
  if (has_image != !daemon.image.empty()) {
    throw UsageError("--image-fd and --image-name are given together or not at all");
  }
  if (options.arguments.size() != (has_image ? 1u : 2u)) {
    throw UsageError(has_image ? "expected MOUNTPOINT" : "expected IMAGE and MOUNTPOINT");
  }
  if (!has_image) daemon.image = options.arguments.front();
  daemon.mount_point = options.arguments.back();
  if (daemon.fuse_fd >= 0 && !KindOf(options.view.value_or(ViewChoice::kAuto))) {
    throw UsageError("--fuse-fd needs --view overlay or --view direct, as it is mounted for");
  }
  if (daemon.for_everybody && daemon.fuse_fd < 0) {
    throw UsageError("--for-everybody goes with --fuse-fd");
  }

  const Config config = LoadConfig(options.config);
  daemon.view = KindOf(options.view.value_or(config.view));
  daemon.cache_bytes = options.cache_bytes.value_or(config.cache_bytes);
  daemon.threads = options.threads.value_or(config.threads);
  daemon.prefetch = options.prefetch.value_or(config.prefetch);
  daemon.max_background = config.max_background;
  daemon.selinux_context = config.selinux_context;
  daemon.verify = CheckOf(options, config);
  daemon.trust = config.trust;
  daemon.log = MakeLogSettings(options, config);
  return daemon;
}

NodeServiceOptions MakeNodeOptions(const FirndOptions& options) {
  if (!options.arguments.empty()) {
    throw UsageError("with --node expected no IMAGE: clients show theirs");
  }
  const Config config = LoadConfig(options.config);
  const unsigned threads = options.threads.value_or(config.threads);
  return {.node = {.threads = threads != 0 ? threads : DefaultThreadCount(),
                   .cache_bytes = options.cache_bytes.value_or(config.cache_bytes),
                   .max_background = config.max_background,
                   .selinux_context = config.selinux_context,
                   .prefetch = options.prefetch.value_or(config.prefetch),
                   .verify = CheckOf(options, config),
                   .trust = config.trust,
                   .linger = std::chrono::seconds(options.linger.value_or(config.linger)),
                   .idle_exit = IdleExit(options, config),
                   .job = options.job,
                   .limits = config.limits,
                   .metrics = config.metrics},
          .ready_fd = options.daemon.ready_fd,
          .log = MakeLogSettings(options, config),
          .foreground = options.daemon.foreground};
}

}  // namespace firn
