#ifndef FIRN_CLI_NEW_IMAGE_OPTIONS_H_
#define FIRN_CLI_NEW_IMAGE_OPTIONS_H_

#include <CLI/CLI.hpp>
#include <string>

namespace firn {

// Of subcommands that write an image anew: -o, --jobs, --force.
void AddNewImageOptions(CLI::App& command, std::string& output, unsigned& jobs, bool& force);

// Of those that print a summary of it: --json, --quiet.
void AddSummaryOptions(CLI::App& command, bool& json, bool& quiet);

}  // namespace firn

#endif  // FIRN_CLI_NEW_IMAGE_OPTIONS_H_
