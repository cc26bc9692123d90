#include <stdlib.h>

#include <iostream>
#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/job.h"
#include "cli/job_environment.h"
#include "cli/shell_syntax.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr char kEnvFooter[] =
    "Prints what 'firn run' sets, with the values that it would have here: for an image that is\n"
    "shown by 'firn mount', or in a script of its own. Scratch directories are those of a job, "
    "and\n"
    "are not among them.\n"
    "\n"
    "Examples:\n"
    "  eval \"$(firn env science.firn)\"                    bash, zsh, dash\n"
    "  firn env science.firn --prefix /mnt/s | source     fish\n"
    "  firn env science.firn > x.csh; source x.csh        csh, tcsh";

struct EnvArguments {
  JobArguments job;
  std::string shell;
  bool foreign = false;
};

ShellKind ChosenShell(const std::string& given) {
  if (!given.empty()) {
    if (const auto kind = ShellKindOf(given)) return *kind;
    throw Error(ErrorKind::kUsage,
                "there is no way to print variables for the shell '" + given + "'",
                "Give one of sh, bash, zsh, dash, ksh, fish, csh and tcsh.");
  }
  const char* own = getenv("SHELL");
  return ShellKindOf(own != nullptr ? own : "").value_or(ShellKind::kPosix);
}

void PrintEnv(const EnvArguments& arguments) {
  const ShellKind shell = ChosenShell(arguments.shell);
  CheckPrefixCount(arguments.job);
  const OpenedImages opened = OpenJobImages(arguments.job, arguments.foreign);
  for (const VariableChange& change : JobVariables(opened.shown, OwnEnvironment())) {
    std::cout << ShellCommand(change, shell);
  }
}

}  // namespace

void AddEnvCommand(CLI::App& app, int&) {
  const auto arguments = std::make_shared<EnvArguments>();
  CLI::App* env = app.add_subcommand("env", "Print the variables that images set, for a shell");
  env->footer(kEnvFooter);
  env->add_option("IMAGE", arguments->job.images, "Image files; the first has its way")->required();
  env->add_option("--prefix", arguments->job.prefixes,
                  "Where the image is shown, instead of the prefix it was built for; with several "
                  "images once for each")
      ->option_text("DIR")
      ->allow_extra_args(false);
  env->add_option("--shell", arguments->shell,
                  "For sh, bash, zsh, dash, ksh, fish, csh or tcsh [that of $SHELL]")
      ->option_text("NAME");
  env->add_flag("--foreign", arguments->foreign, "Take SquashFS files of other programs too");
  env->callback([arguments] { PrintEnv(*arguments); });
}

}  // namespace firn
