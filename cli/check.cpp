#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "builder/inspect/host.h"
#include "builder/inspect/image_sections.h"
#include "cli/commands.h"
#include "cli/image_file.h"
#include "cli/output.h"
#include "cli/text.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr char kCheckFooter[] =
    "Compares what the programs and libraries of the image need with this machine: architecture,\n"
    "processor, dynamic loader, libraries and the versions of their symbols. Nothing is run.\n"
    "\n"
    "Exit codes: 0 the machine has all that the image needs; 7 something is missing.\n"
    "\n"
    "Examples:\n"
    "  firn check science.firn\n"
    "  firn check --json science.firn | jq '.missing[].name'";

struct CheckArguments {
  std::string image;
  bool json = false;
  bool quiet = false;
};

nlohmann::ordered_json MissingJson(const std::vector<MissingNeed>& missing) {
  auto json = nlohmann::ordered_json::array();
  for (const MissingNeed& need : missing) {
    json.push_back({{"kind", need.kind},
                    {"name", need.name},
                    {"message", need.message},
                    {"remedy", need.remedy},
                    {"needed_by", need.needed_by.paths},
                    {"files", need.needed_by.files}});
  }
  return json;
}

void PrintMissing(const std::vector<MissingNeed>& missing, const std::string& image) {
  for (const MissingNeed& need : missing) {
    std::cout << image << ": " << Printable(need.message) << '\n';
    if (!need.remedy.empty()) std::cout << "  " << need.remedy << '\n';
    for (const std::string& path : need.needed_by.paths) {
      std::cout << "  needed by " << Printable(path) << '\n';
    }
    const uint64_t more = need.needed_by.files - need.needed_by.paths.size();
    if (more > 0) std::cout << "  needed by " << Grouped(more) << " more files\n";
  }
}

void RunCheck(const CheckArguments& arguments, int& exit_code) {
  const FileDescriptor fd = OpenImageFile(arguments.image);
  const Appendix appendix = Appendix::ReadImage(fd.get(), arguments.image);
  const Needs needs = ReadNeeds(fd.get(), appendix);
  const std::vector<MissingNeed> missing = FindMissing(needs, ThisHost());
  if (arguments.json) {
    PrintJson({{"image", arguments.image},
               {"id", FormatImageId(appendix.id())},
               {"ok", missing.empty()},
               {"elf_files", needs.files},
               {"missing", MissingJson(missing)}});
  } else {
    PrintMissing(missing, arguments.image);
    if (missing.empty() && !arguments.quiet) {
      std::cout << arguments.image << ": this machine has what its " << Grouped(needs.files)
                << " programs and libraries need\n";
    }
  }
  if (!missing.empty()) exit_code = static_cast<int>(ErrorKind::kSystem);
}

}  // namespace

void AddCheckCommand(CLI::App& app, int& exit_code) {
  const auto arguments = std::make_shared<CheckArguments>();
  CLI::App* check = app.add_subcommand("check", "Does this machine have what an image needs?");
  check->footer(kCheckFooter);
  check->add_option("IMAGE", arguments->image, "The image file")->required();
  check->add_flag("--json", arguments->json, "Print the findings as JSON");
  check->add_flag("-q,--quiet", arguments->quiet, "Print only what is missing");
  check->callback([arguments, &exit_code] { RunCheck(*arguments, exit_code); });
}

}  // namespace firn
