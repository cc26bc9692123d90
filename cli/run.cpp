#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/job.h"
#include "cli/session_options.h"

namespace firn {
namespace {

constexpr char kRunFooter[] =
    "CMD becomes this process: its exit code, its signals, standard input and output, uid and gid\n"
    "are the caller's. It and its children see each image, read-only, at the prefix that it was\n"
    "built for; nobody else does. PREFIX/bin stands in front in PATH, and the variables of the\n"
    "environment's activation and of its recipe are set ('firn env IMAGE' prints them).\n"
    "\n"
    "A prefix that is missing on this machine is made where you may make directories; elsewhere\n"
    "it appears in the job only, and the directories that it appears in are read-only for it.\n"
    "\n"
    "Exit codes: CMD's own; 125 firn run failed, 126 CMD cannot be executed, 127 not found.\n"
    "\n"
    "Examples:\n"
    "  firn run science.firn -- python3 job.py\n"
    "  firn run base.firn tools.firn -- make -j8          two images, each at its prefix\n"
    "  firn run --prefix /opt/new science.firn -- sh      at another place\n"
    "  firn run --foreign --prefix /opt/sw sw.sqfs -- sh  a SquashFS file made by mksquashfs\n"
    "  srun firn run science.firn -- ./rank               every rank of a Slurm job step";

}  // namespace

void AddRunCommand(CLI::App& app, const std::vector<std::string>& command, int& exit_code) {
  const auto job = std::make_shared<JobArguments>();
  const auto session = std::make_shared<SessionOptions>();
  CLI::App* run = app.add_subcommand("run", "Run a command that sees images at their prefixes");
  run->footer(kRunFooter);
  AddJobOptions(*run, *job);
  AddSessionOptions(*run, *session);
  AddNodeOption(*run, *session);
  // Usage errors of `run` are its failures too: the codes below 125 are the command's.
  run->preparse_callback([&exit_code](size_t) { exit_code = kRunFailed; });
  run->callback([job, session, &command, &exit_code] {
    job->command = command;
    CheckJob(*job, "run");
    RunJob(*job, session->ToLaunchOptions(), session->MayUseNode(), exit_code);
  });
}

}  // namespace firn
