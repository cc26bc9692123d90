#include "cli/new_image_options.h"

namespace firn {

void AddNewImageOptions(CLI::App& command, std::string& output, unsigned& jobs, bool& force) {
  command.add_option("-o,--output", output, "The image to write")->option_text("NEW")->required();
  command.add_option("--jobs,-j", jobs, "Threads [one a processor]")
      ->option_text("N")
      ->check(CLI::PositiveNumber);
  command.add_flag("--force", force, "Replace NEW if it exists");
}

void AddSummaryOptions(CLI::App& command, bool& json, bool& quiet) {
  command.add_flag("--json", json, "Print the summary as JSON");
  command.add_flag("--quiet,-q", quiet, "Print errors only");
}

}  // namespace firn
