#include <unistd.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "builder/export/package_formats.h"
#include "builder/export/tree_export.h"
#include "builder/inspect/image_sections.h"
#include "builder/interrupt.h"
#include "cli/commands.h"
#include "cli/image_file.h"
#include "cli/open_image.h"
#include "cli/text.h"
#include "format/appendix.h"
#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

constexpr char kExportFooter[] =
    "Formats:\n"
    "  requirements.txt  the Python packages, with the hashes that the image's lock files have\n"
    "  pylock.toml       the same as PEP 751 has it\n"
    "  environment.yml   for conda, packages of pip included\n"
    "  explicit          the URLs of the conda packages\n"
    "  cyclonedx         the bill of materials\n"
    "  tar               the tree as a tar archive; compressed as OUT ends: .gz, .xz, .zst\n"
    "  dir               the tree as a directory OUT, which must be new or empty\n"
    "\n"
    "Examples:\n"
    "  firn export science.firn --format requirements.txt\n"
    "  firn export science.firn --format tar -o science.tar.zst\n"
    "  firn export science.firn --format dir -o ./science";

struct ExportArguments {
  std::string image;
  std::string format;
  std::string output;
  bool force = false;
  bool foreign = false;
};

void Warn(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) {
    std::cerr << "firn: warning: " << Printable(warning) << '\n';
  }
}

void ReportSkipped(const ExportedTree& exported) {
  if (exported.skipped == 0) return;
  Warn({std::to_string(exported.skipped) +
        " special files are left out: tar has no sockets, and device nodes are for root to make"});
}

std::string PackagesText(const ExportArguments& arguments, int fd, const Appendix& appendix,
                         std::vector<std::string>& warnings) {
  if (arguments.format == "cyclonedx") return ReadTextSection(fd, appendix, kSbomSection);
  const PackageList list = ReadPackages(fd, appendix);
  if (arguments.format == "explicit") return ExplicitText(list, warnings);
  if (arguments.format == "environment.yml") {
    const Manifest manifest = appendix.ReadManifest(fd);
    return EnvironmentYaml(list, manifest.name, manifest.python ? manifest.python->version : "",
                           warnings);
  }
  const LockPins pins = ReadLockPins(ReadLocks(fd, appendix), warnings);
  return arguments.format == "pylock.toml" ? PylockText(list, pins, warnings)
                                           : RequirementsText(list, pins, warnings);
}

void ExportPackages(const ExportArguments& arguments) {
  const FileDescriptor fd = OpenImageFile(arguments.image);
  const Appendix appendix = Appendix::ReadImage(fd.get(), arguments.image);
  std::vector<std::string> warnings;
  const std::string text = PackagesText(arguments, fd.get(), appendix, warnings);
  if (arguments.output.empty() || arguments.output == "-") {
    std::cout << text;
  } else {
    OutputFile output(arguments.output, arguments.force);
    WriteAt(output.fd(), 0, std::as_bytes(std::span(text)));
    output.Commit();
  }
  Warn(warnings);
}

TarFilter FilterOf(const std::string& output) {
  if (output.ends_with(".gz") || output.ends_with(".tgz")) return TarFilter::kGzip;
  if (output.ends_with(".xz")) return TarFilter::kXz;
  if (output.ends_with(".zst")) return TarFilter::kZstd;
  return TarFilter::kNone;
}

void ExportTree(const ExportArguments& arguments) {
  const InterruptGuard interrupts;
  const OpenedImage opened = OpenTree(arguments.image, arguments.foreign);
  if (arguments.format == "dir") {
    if (arguments.output.empty()) {
      throw Error(ErrorKind::kUsage, "a directory needs a name", "Give it with -o.");
    }
    return ReportSkipped(ExportDirectory(*opened.image, arguments.output, ThrowIfInterrupted));
  }
  if (arguments.output.empty() || arguments.output == "-") {
    if (isatty(STDOUT_FILENO) != 0) {
      throw Error(ErrorKind::kUsage, "an archive is not for a terminal",
                  "Give a file with -o, or lead the output into one.");
    }
    return ReportSkipped(
        ExportTar(*opened.image, STDOUT_FILENO, TarFilter::kNone, ThrowIfInterrupted));
  }
  OutputFile output(arguments.output, arguments.force);
  const ExportedTree exported =
      ExportTar(*opened.image, output.fd(), FilterOf(arguments.output), ThrowIfInterrupted);
  output.Commit();
  ReportSkipped(exported);
}

void RunExport(const ExportArguments& arguments) {
  if (arguments.format == "tar" || arguments.format == "dir") {
    ExportTree(arguments);
  } else {
    ExportPackages(arguments);
  }
}

}  // namespace

void AddExportCommand(CLI::App& app, int&) {
  const auto arguments = std::make_shared<ExportArguments>();
  CLI::App* command = app.add_subcommand("export", "Write what an image holds for other tools");
  command->footer(kExportFooter);
  command->add_option("IMAGE", arguments->image, "The image file")->required();
  command->add_option("--format", arguments->format, "What to write (see below)")
      ->option_text("FORMAT")
      ->required()
      ->check(CLI::IsMember({"requirements.txt", "pylock.toml", "environment.yml", "explicit",
                             "cyclonedx", "tar", "dir"}));
  command->add_option("-o,--output", arguments->output, "Where to [standard output]")
      ->option_text("OUT");
  command->add_flag("--force", arguments->force, "Replace a file that exists");
  command->add_flag("--foreign", arguments->foreign,
                    "Take other SquashFS files too, for tar and dir");
  command->callback([arguments] { RunExport(*arguments); });
}

}  // namespace firn
