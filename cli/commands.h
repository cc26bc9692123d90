#ifndef FIRN_CLI_COMMANDS_H_
#define FIRN_CLI_COMMANDS_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace firn {

// Each adds one subcommand to `app`. Its callback does the work, throws Error, and leaves in
// `exit_code` what the program is to return; an Error's own code is returned only where the
// callback has left 0 there. `exit_code` outlives `app`.
void AddAttachCommand(CLI::App& app, int& exit_code);
void AddBuildCommand(CLI::App& app, int& exit_code);
void AddCheckCommand(CLI::App& app, int& exit_code);
void AddDetachCommand(CLI::App& app, int& exit_code);
void AddDiffCommand(CLI::App& app, int& exit_code);
void AddExportCommand(CLI::App& app, int& exit_code);
void AddFlattenCommand(CLI::App& app, int& exit_code);
void AddEnvCommand(CLI::App& app, int& exit_code);
void AddHealthCommand(CLI::App& app, int& exit_code);
void AddInspectCommand(CLI::App& app, int& exit_code);
void AddKeygenCommand(CLI::App& app, int& exit_code);
void AddLogCommand(CLI::App& app, int& exit_code);
void AddMountCommand(CLI::App& app, int& exit_code);
void AddOptimizeCommand(CLI::App& app, int& exit_code);
void AddRecipeCommand(CLI::App& app, int& exit_code);
void AddShellCommand(CLI::App& app, int& exit_code);
void AddSignCommand(CLI::App& app, int& exit_code);
void AddStatusCommand(CLI::App& app, int& exit_code);
void AddUnmountCommand(CLI::App& app, int& exit_code);
void AddVerifyCommand(CLI::App& app, int& exit_code);

// `command`: what stands behind `--`, which is the job's and no option of ours. It outlives `app`.
void AddProfileCommand(CLI::App& app, const std::vector<std::string>& command, int& exit_code);
void AddRunCommand(CLI::App& app, const std::vector<std::string>& command, int& exit_code);

}  // namespace firn

#endif  // FIRN_CLI_COMMANDS_H_
