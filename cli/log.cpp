#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/text.h"
#include "format/error.h"
#include "mountd/log_control.h"
#include "mountd/mount_list.h"

namespace firn {
namespace {

constexpr char kLogFooter[] =
    "Of the caller's sessions, for root those of every user; given DIR, of the one there. Without\n"
    "options, how each of them logs.\n"
    "\n"
    "Examples:\n"
    "  firn log\n"
    "  firn log --level debug /mnt/science\n"
    "  firn log --reopen                      after the log files were renamed";

struct LogArguments {
  std::string directory;
  std::string level;
  bool reopen = false;
  bool json = false;
};

std::vector<SessionStatus> SessionsAt(const std::string& directory) {
  const std::optional<std::string> place =
      directory.empty() ? std::nullopt : std::optional(directory);
  std::vector<SessionStatus> sessions;
  for (MountedImage& image : ListMountedImages(place)) {
    if (image.status) sessions.push_back(std::move(*image.status));
  }
  if (place && sessions.empty()) {
    throw Error(ErrorKind::kMountPoint,
                "expected an image shown here by a session that you may see",
                "'firn status' shows those.")
        .WithPath(directory);
  }
  return sessions;
}

std::string DestinationText(const LogSettings& log) {
  return log.destination == LogDestination::kFile ? Printable(log.file)
                                                  : std::string(ToString(log.destination));
}

nlohmann::ordered_json JsonOf(const SessionStatus& session, const LogSettings& log) {
  nlohmann::ordered_json object = {{"mount_point", session.mount_point},
                                   {"pid", session.pid},
                                   {"level", ToString(log.level)},
                                   {"format", ToString(log.format)},
                                   {"destination", ToString(log.destination)}};
  object["file"] = log.destination == LogDestination::kFile ? nlohmann::ordered_json(log.file)
                                                            : nlohmann::ordered_json(nullptr);
  return object;
}

// One session's failure does not keep the others from being told.
void ChangeLogs(const LogArguments& arguments, int& exit_code) {
  const LogChange change{.level = ParseLogLevel(arguments.level), .reopen = arguments.reopen};
  const bool is_question = !change.level && !change.reopen;
  nlohmann::ordered_json logs = nlohmann::ordered_json::array();
  for (const SessionStatus& session : SessionsAt(arguments.directory)) {
    try {
      const std::optional<LogSettings> log = ChangeLog(session, change);
      if (!log) continue;
      logs.push_back(JsonOf(session, *log));
      if (arguments.json || !is_question) continue;
      std::cout << Printable(session.mount_point) << ": firnd " << session.pid << " logs "
                << ToString(log->level) << " and worse as " << ToString(log->format) << " to "
                << DestinationText(*log) << '\n';
    } catch (const Error& error) {
      std::cerr << "firn: error: " << PrintableLines(error.what()) << std::endl;
      if (exit_code == 0) exit_code = error.exit_code();
    }
  }
  if (arguments.json) PrintJson({{"logs", std::move(logs)}});
}

}  // namespace

void AddLogCommand(CLI::App& app, int& exit_code) {
  const auto arguments = std::make_shared<LogArguments>();
  CLI::App* log = app.add_subcommand("log", "Change how mounted images log");
  log->footer(kLogFooter);
  log->add_option("DIR", arguments->directory, "Only the image shown there");
  log->add_option("--level", arguments->level, "Log this and what is worse from now on")
      ->option_text("LEVEL")
      ->check(CLI::IsMember({"error", "warning", "info", "debug"}));
  log->add_flag("--reopen", arguments->reopen, "Open log files anew");
  log->add_flag("--json", arguments->json, "Print how they log then as JSON");
  log->callback([arguments, &exit_code] { ChangeLogs(*arguments, exit_code); });
}

}  // namespace firn
