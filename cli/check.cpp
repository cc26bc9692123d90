#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "builder/inspect/host.h"
#include "builder/inspect/image_sections.h"
#include "builder/interrupt.h"
#include "builder/recipe_text.h"
#include "cli/commands.h"
#include "cli/image_checks.h"
#include "cli/image_file.h"
#include "cli/output.h"
#include "cli/text.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr char kCheckFooter[] =
    "Compares what the programs and libraries of the image need with this machine: architecture,\n"
    "processor, dynamic loader, libraries and the versions of their symbols. Then runs the checks\n"
    "of the image's recipe in it, as 'firn build' did: without network, with an empty home.\n"
    "\n"
    "Exit codes: 0 the machine has all that the image needs, and its checks pass; 7 something is\n"
    "missing; 10 a check failed.\n"
    "\n"
    "Examples:\n"
    "  firn check science.firn\n"
    "  firn check --json science.firn | jq '.missing[].name'";

constexpr uint64_t kMaxRecipeLength = 16 << 20;

struct CheckArguments {
  std::string image;
  bool json = false;
  bool quiet = false;
  bool needs_only = false;
};

// Nothing where the image has none: no recipe that names one, and no Python to import from.
std::optional<ImageChecks> ReadChecks(int fd, const Appendix& appendix) {
  ImageChecks checks;
  if (appendix.core().Find(kRecipeSection) != nullptr) {
    const auto bytes = appendix.ReadSection(fd, kRecipeSection, kMaxRecipeLength);
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const Recipe recipe = ParseRecipe(text, appendix.path() + " (section recipe)", "/");
    checks = {.default_checks = recipe.default_checks, .checks = recipe.checks};
  }
  const Manifest manifest = appendix.ReadManifest(fd);
  if (manifest.kind == EnvironmentKind::kOther && !manifest.python) checks.default_checks = false;
  if (!checks.default_checks && checks.checks.empty()) return std::nullopt;
  return checks;
}

// What is amiss; nothing where every check passes.
std::optional<Error> FailureOf(const CheckArguments& arguments, const ImageChecks& checks) {
  const InterruptGuard interrupts;
  const bool silent = arguments.json || arguments.quiet;
  try {
    RunChecks(
        arguments.image, checks,
        [&](std::string_view line) {
          if (!silent) std::cout << Printable(line) << '\n';
        },
        ThrowIfInterrupted);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kCheck) throw;
    return error;
  }
  return std::nullopt;
}

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
  if (!arguments.json) {
    PrintMissing(missing, arguments.image);
    if (missing.empty() && !arguments.quiet) {
      std::cout << arguments.image << ": this machine has what its " << Grouped(needs.files)
                << " programs and libraries need\n";
    }
  }
  std::optional<ImageChecks> checks;
  if (!arguments.needs_only) checks = ReadChecks(fd.get(), appendix);
  std::optional<Error> failure;
  if (checks) failure = FailureOf(arguments, *checks);
  if (arguments.json) {
    nlohmann::ordered_json json = {{"image", arguments.image},
                                   {"id", FormatImageId(appendix.id())},
                                   {"ok", missing.empty() && !failure},
                                   {"elf_files", needs.files},
                                   {"missing", MissingJson(missing)}};
    if (checks) json["checks"] = {{"ok", !failure}};
    if (failure) json["checks"]["message"] = failure->message();
    PrintJson(json);
  }
  if (!missing.empty()) exit_code = static_cast<int>(ErrorKind::kSystem);
  if (failure && arguments.json && exit_code == 0) exit_code = failure->exit_code();
  if (failure && !arguments.json) throw *failure;
}

}  // namespace

void AddCheckCommand(CLI::App& app, int& exit_code) {
  const auto arguments = std::make_shared<CheckArguments>();
  CLI::App* check = app.add_subcommand("check", "Does this machine have what an image needs?");
  check->footer(kCheckFooter);
  check->add_option("IMAGE", arguments->image, "The image file")->required();
  check->add_flag("--needs-only", arguments->needs_only, "Run nothing of the image");
  check->add_flag("--json", arguments->json, "Print the findings as JSON");
  check->add_flag("-q,--quiet", arguments->quiet, "Print only what is missing");
  check->callback([arguments, &exit_code] { RunCheck(*arguments, exit_code); });
}

}  // namespace firn
