#include <stdlib.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/job.h"
#include "cli/session_options.h"

namespace firn {
namespace {

constexpr char kShellFooter[] =
    "As 'firn run IMAGE -- $SHELL': in this shell and its children the images are at their\n"
    "prefixes, with their variables. What the shell's own start-up files set comes after that: "
    "one\n"
    "that puts another environment in front in PATH has its way.\n"
    "\n"
    "Exit codes: the shell's own; 125 firn shell failed, 126 and 127 as 'firn run'.\n"
    "\n"
    "Examples:\n"
    "  firn shell science.firn\n"
    "  SHELL=/bin/bash firn shell base.firn tools.firn";

std::string UsersShell() {
  const char* chosen = getenv("SHELL");
  if (chosen != nullptr && chosen[0] == '/' && access(chosen, X_OK) == 0) return chosen;
  return "/bin/sh";
}

}  // namespace

void AddShellCommand(CLI::App& app, int& exit_code) {
  const auto job = std::make_shared<JobArguments>();
  const auto session = std::make_shared<SessionOptions>();
  CLI::App* shell = app.add_subcommand("shell", "Start a shell that sees images at their prefixes");
  shell->footer(kShellFooter);
  AddJobOptions(*shell, *job);
  AddSessionOptions(*shell, *session);
  AddNodeOption(*shell, *session);
  shell->preparse_callback([&exit_code](size_t) { exit_code = kRunFailed; });
  shell->callback([job, session, &exit_code] {
    job->command = {UsersShell()};
    CheckJob(*job, "shell");
    RunJob(*job, session->ToLaunchOptions(), session->MayUseNode(), exit_code);
  });
}

}  // namespace firn
