#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/help_formatter.h"
#include "cli/suggest.h"
#include "cli/text.h"
#include "firn_version.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr char kDescription[] =
    "Firn turns a software environment into one immutable, compressed image and serves it\n"
    "read-only to every job on a node.";
constexpr char kMainFooter[] =
    "Examples:\n"
    "  firn build /opt/envs/science -o science.firn      make an image of an environment\n"
    "  firn build requirements.txt -o tools.firn         or of a lock\n"
    "  firn run science.firn -- python3 job.py           run a job that sees it at its prefix\n"
    "  firn mount science.firn /mnt/science              show it at a path\n"
    "  firn inspect science.firn                         what is in it\n"
    "  firn check science.firn                           has this machine what it needs\n"
    "  firn verify science.firn                          is every byte what it must be\n"
    "  firn profile science.firn -- CMD                  what CMD touches, for a faster start\n"
    "\n"
    "'firn help COMMAND' tells more of a command. Exit codes: 0 success, 1 internal error,\n"
    "2 usage, 3 input, 4 output, 5 damaged image, 6 unsupported image, 7 the system lacks or\n"
    "forbids something, 8 mount point, 9 firnd does not answer, 10 a check of an image failed,\n"
    "11 an image that is not trusted, 130 interrupted;\n"
    "'firn run', 'firn shell' and 'firn profile' fail with 125, else the exit code is the "
    "command's.";

int PrintError(const std::string& text) {
  std::cerr << "firn: error: " << PrintableLines(text) << std::endl;
  return static_cast<int>(ErrorKind::kUsage);
}

// A program that is started with one of the descriptors 0 to 2 closed would get it for the next
// file that it opens, and print into that file. Closed again at exec, so a job sees what we saw.
void FillStandardDescriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    if (open("/dev/null", O_RDWR | O_CLOEXEC) != fd) _exit(static_cast<int>(ErrorKind::kInternal));
  }
}

struct CommandLine {
  std::vector<std::string> own;      // for the parser
  std::vector<std::string> command;  // of `firn run` and `firn profile`: what follows "--"
};

CommandLine SplitCommandLine(int argc, char** argv) {
  CommandLine line;
  line.own.assign(argv + std::min(argc, 1), argv + argc);
  // "firn help SUB" is "firn SUB --help".
  if (!line.own.empty() && line.own.front() == "help") {
    line.own.erase(line.own.begin());
    line.own.resize(std::min<size_t>(line.own.size(), 1));
    line.own.push_back("--help");
  }
  if (!line.own.empty() && (line.own.front() == "run" || line.own.front() == "profile")) {
    const auto mark = std::find(line.own.begin(), line.own.end(), "--");
    if (mark != line.own.end()) {
      line.command.assign(mark + 1, line.own.end());
      line.own.erase(mark, line.own.end());
    }
  }
  return line;
}

std::vector<std::string> SubcommandNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* subcommand : app.get_subcommands({}))
    names.push_back(subcommand->get_name());
  return names;
}

// The parser would say of an unknown subcommand only that a subcommand is missing.
bool HasUnknownSubcommand(const CLI::App& app, const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments.front().starts_with("-")) return false;
  const std::vector<std::string> names = SubcommandNames(app);
  return std::find(names.begin(), names.end(), arguments.front()) == names.end();
}

int ReportUnknownSubcommand(const CLI::App& app, const std::string& typed) {
  const std::string near = Suggest(typed, SubcommandNames(app));
  std::string text = "there is no command '" + typed + "'";
  if (!near.empty()) text += "; did you mean '" + near + "'?";
  return PrintError(text + "\nSee 'firn --help' for the commands.");
}

int ReportParseError(const CLI::App& app, const CLI::ParseError& error) {
  std::string name = "firn";
  for (const CLI::App* subcommand : app.get_subcommands()) name += " " + subcommand->get_name();
  return PrintError(std::string(error.what()) + "\nSee '" + name + " --help'.");
}

// What was printed may have met a full disk.
void FlushOutput() {
  std::cout.flush();
  if (std::fflush(stdout) == 0 && std::cout.good() && std::ferror(stdout) == 0) return;
  throw Error(ErrorKind::kOutput, "cannot write to the standard output",
              "Check where it leads: a full disk, or a pipe that nobody reads.");
}

void GroupCommands(CLI::App& app) {
  const auto all = [](CLI::App*) { return true; };
  for (CLI::App* subcommand : app.get_subcommands(all)) subcommand->group("Commands");
}

// Returns the exit code for what is no Error; `exit_code` is the callback's.
int Dispatch(const CommandLine& line, int& exit_code) {
  CLI::App app(kDescription, "firn");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.set_version_flag("--version", "firn " FIRN_VERSION, "Print the version and exit");
  app.footer(kMainFooter);
  app.require_subcommand(1);
  AddBuildCommand(app, exit_code);
  AddRecipeCommand(app, exit_code);
  AddMountCommand(app, exit_code);
  AddUnmountCommand(app, exit_code);
  AddRunCommand(app, line.command, exit_code);
  AddShellCommand(app, exit_code);
  AddEnvCommand(app, exit_code);
  AddProfileCommand(app, line.command, exit_code);
  AddAttachCommand(app, exit_code);
  AddDetachCommand(app, exit_code);
  AddStatusCommand(app, exit_code);
  AddHealthCommand(app, exit_code);
  AddLogCommand(app, exit_code);
  AddInspectCommand(app, exit_code);
  AddCheckCommand(app, exit_code);
  AddExportCommand(app, exit_code);
  AddDiffCommand(app, exit_code);
  AddFlattenCommand(app, exit_code);
  AddOptimizeCommand(app, exit_code);
  AddVerifyCommand(app, exit_code);
  AddKeygenCommand(app, exit_code);
  AddSignCommand(app, exit_code);
  GroupCommands(app);

  if (line.own.empty()) {
    std::cerr << app.help();
    return static_cast<int>(ErrorKind::kUsage);
  }
  if (HasUnknownSubcommand(app, line.own)) return ReportUnknownSubcommand(app, line.own.front());

  try {
    app.parse(std::vector<std::string>(line.own.rbegin(), line.own.rend()));
  } catch (const CLI::Success& request) {  // --help and --version
    app.exit(request);
    exit_code = 0;
  } catch (const CLI::ParseError& error) {
    const int usage = ReportParseError(app, error);
    return exit_code != 0 ? exit_code : usage;
  }
  FlushOutput();
  return exit_code;
}

int Main(int argc, char** argv) {
  int exit_code = 0;
  try {
    return Dispatch(SplitCommandLine(argc, argv), exit_code);
  } catch (const Error& error) {
    PrintError(error.what());
    return exit_code != 0 ? exit_code : error.exit_code();
  } catch (const std::exception& error) {
    PrintError(std::string("internal error: ") + error.what() +
               "\nThis is a defect of Firn; please report it with the command that shows it.");
    return exit_code != 0 ? exit_code : static_cast<int>(ErrorKind::kInternal);
  }
}

}  // namespace
}  // namespace firn

int main(int argc, char** argv) {
  firn::FillStandardDescriptors();
  return firn::Main(argc, argv);
}
