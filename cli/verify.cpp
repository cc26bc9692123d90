#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "builder/inspect/image_sections.h"
#include "builder/inspect/package.h"
#include "cli/commands.h"
#include "cli/image_file.h"
#include "cli/image_trust.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "format/error.h"
#include "format/verify.h"

namespace firn {
namespace {

constexpr char kVerifyFooter[] =
    "Checks every byte: the footer, the image id, the digest of every section, the checksums of\n"
    "every extent, the SHA-256 of every file, and that nothing else is in the file. Each finding\n"
    "is a line: the offset in the image, the path in it where it is a file's, what is wrong.\n"
    "\n"
    "With --trusted-keys also tells who signed it: a key of that directory must have, in the "
    "image\n"
    "or in IMAGE.sig.\n"
    "\n"
    "With --deep also each structure of the file system by itself: every inode, directory, block "
    "list,\n"
    "fragment, id, extended attribute and entry of the export table, whether they and the "
    "appendix\n"
    "agree, and every path that damage touches.\n"
    "\n"
    "Exit codes: 0 every byte is what it must be; 5 something is wrong, or this is no image; 11 "
    "no\n"
    "trusted key signed it.\n"
    "\n"
    "Examples:\n"
    "  firn verify science.firn\n"
    "  firn verify science.firn --trusted-keys /etc/firn/keys\n"
    "  firn verify --deep archive.firn\n"
    "  firn verify --json --jobs 4 science.firn | jq '.findings[].path'";

struct VerifyArguments {
  std::string image;
  std::string trusted_keys;
  std::string signature_file;
  unsigned jobs = 0;
  bool deep = false;
  bool json = false;
  bool quiet = false;
};

// Each path that a finding is about, once.
std::set<std::string> TouchedPaths(const VerifyReport& report) {
  std::set<std::string> paths;
  for (const VerifyFinding& finding : report.findings) {
    if (!finding.path.empty()) paths.insert(finding.path);
  }
  return paths;
}

// Records of packages, which the builder writes and reads.
std::vector<NamedPaths> PathsOfPackages(int fd, const Appendix& appendix) {
  const Section* section = appendix.core().Find(kPackagesSection);
  if (section == nullptr) return {};
  NamedPaths named{"section packages", section->offset, {}};
  const PackageList list = ReadPackages(fd, appendix);
  for (const Package& package : list.packages) named.paths.push_back(package.location);
  named.paths.insert(named.paths.end(), list.unreadable.begin(), list.unreadable.end());
  return {std::move(named)};
}

void PrintReportJson(const VerifyReport& report, const ImageTrust& trust,
                     const VerifyArguments& arguments) {
  nlohmann::ordered_json json = {
      {"image", arguments.image},
      {"ok", report.ok()},
      {"id", nullptr},
      {"bytes", report.bytes},
      {"sections", report.sections},
      {"extents", report.extents},
      {"files", report.files},
      {"signatures", SignaturesToJson(trust)},
      {"trusted", nullptr},
      {"findings", nlohmann::ordered_json::array()},
  };
  if (report.id) json["id"] = FormatImageId(*report.id);
  if (!arguments.trusted_keys.empty()) {
    json["trusted"] = trust.is_trusted();
    if (!trust.is_trusted()) json["untrusted_because"] = trust.Reason(arguments.trusted_keys);
  }
  for (const VerifyFinding& finding : report.findings) {
    nlohmann::ordered_json entry = {{"offset", finding.offset}, {"message", finding.message}};
    if (!finding.path.empty()) entry["path"] = finding.path;
    json["findings"].push_back(std::move(entry));
  }
  if (report.findings_left_out > 0) json["findings_left_out"] = report.findings_left_out;
  if (arguments.deep) {
    json["inodes"] = report.inodes;
    json["paths"] = TouchedPaths(report);
    json["notes"] = report.notes;
  }
  // Paths may hold bytes that JSON cannot.
  PrintJson(json);
}

void PrintPaths(const std::set<std::string>& paths) {
  std::cout << Grouped(paths.size()) << " paths are touched:\n";
  for (const std::string& path : paths) std::cout << "  " << Printable(path) << '\n';
}

void PrintText(const VerifyReport& report, const VerifyArguments& arguments) {
  const std::string& image = arguments.image;
  for (const VerifyFinding& finding : report.findings) {
    std::cout << image << ": at offset " << finding.offset << ": ";
    if (!finding.path.empty()) std::cout << Printable(finding.path) << ": ";
    std::cout << Printable(finding.message) << '\n';
  }
  const std::string looked_at = Grouped(report.bytes) + " bytes, " + Grouped(report.sections) +
                                " sections, " + Grouped(report.extents) + " extents, " +
                                Grouped(report.files) + " files" +
                                (arguments.deep ? ", " + Grouped(report.inodes) + " inodes" : "");
  for (const std::string& note : report.notes) {
    std::cout << image << ": note: " << Printable(note) << '\n';
  }
  if (report.ok()) {
    std::cout << image << ": good: " << looked_at << '\n' << FormatImageId(*report.id) << '\n';
  } else {
    std::cout << image
              << ": DAMAGED: " << Grouped(report.findings.size() + report.findings_left_out)
              << " findings in " << looked_at << '\n';
    if (arguments.deep) PrintPaths(TouchedPaths(report));
    std::cout << "Fetch the image again or restore it from a copy.\n";
  }
}

// Damage, also of signatures, is worse than a signature that is not there.
int ExitCodeOf(const VerifyReport& report, const ImageTrust& trust, bool must_be_trusted) {
  if (!report.ok() || !trust.damages.empty()) return static_cast<int>(ErrorKind::kDamaged);
  const bool is_enough = !must_be_trusted || trust.is_trusted();
  return is_enough ? 0 : static_cast<int>(ErrorKind::kUntrusted);
}

void RunVerify(const VerifyArguments& arguments, int& exit_code) {
  const bool must_be_trusted = !arguments.trusted_keys.empty();
  TrustedKeys trusted;
  if (must_be_trusted) trusted = TrustedKeys::Load(arguments.trusted_keys);
  VerifyReport report;
  {
    ProgressBar bar(!arguments.quiet && !arguments.json);
    VerifyOptions options;
    options.jobs = arguments.jobs;
    options.deep = arguments.deep;
    options.named_paths = PathsOfPackages;
    options.progress = [&bar](uint64_t done, uint64_t total) {
      bar.Update("verifying", done, total, ProgressBar::Unit::kBytes);
    };
    report = Verify(OpenImageFile(arguments.image), arguments.image, options);
  }
  ImageTrust trust;
  if (report.id) {
    const std::string detached = arguments.signature_file.empty() ? DetachedPathOf(arguments.image)
                                                                  : arguments.signature_file;
    trust = JudgeSignatures(arguments.image, *report.id, report.signatures, detached, &trusted);
  }
  exit_code = ExitCodeOf(report, trust, must_be_trusted);
  if (arguments.json) {
    PrintReportJson(report, trust, arguments);
    return;
  }
  if (!arguments.quiet || !report.ok()) PrintText(report, arguments);
  if (!arguments.quiet) PrintSignatures(trust);
  for (const std::string& damage : trust.damages) std::cout << damage << '\n';
  if (must_be_trusted && !trust.is_trusted()) {
    std::cout << arguments.image << ": NOT TRUSTED: " << trust.Reason(arguments.trusted_keys)
              << '\n';
  }
}

}  // namespace

void AddVerifyCommand(CLI::App& app, int& exit_code) {
  const auto arguments = std::make_shared<VerifyArguments>();
  arguments->jobs = std::max(1u, std::thread::hardware_concurrency());
  CLI::App* verify = app.add_subcommand("verify", "Check every byte of an image");
  verify->footer(kVerifyFooter);
  verify->add_option("IMAGE", arguments->image, "The image file")->required();
  verify->add_flag("--deep", arguments->deep,
                   "Check each structure of the file system too, and name every damaged path");
  verify
      ->add_option("--trusted-keys", arguments->trusted_keys,
                   "A key in this directory (its files *.pub) must have signed it")
      ->option_text("DIR");
  verify
      ->add_option("--signature", arguments->signature_file,
                   "Detached signatures [IMAGE.sig, if there]")
      ->option_text("FILE");
  verify->add_option("-j,--jobs", arguments->jobs, "Threads [one a processor]")
      ->option_text("N")
      ->check(CLI::Range(1, 1024));
  verify->add_flag("--json", arguments->json, "Print the report as JSON");
  verify->add_flag("-q,--quiet", arguments->quiet, "Print findings only, no progress");
  verify->callback([arguments, &exit_code] { RunVerify(*arguments, exit_code); });
}

}  // namespace firn
