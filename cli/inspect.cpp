#include <CLI/CLI.hpp>
#include <iomanip>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/image_file.h"
#include "cli/image_trust.h"
#include "cli/inspect_environment.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "format/appendix.h"
#include "format/digest.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr char kInspectFooter[] =
    "Reads only the appendix at the end of the file: the sections' digests are checked as far as\n"
    "they are read, the SquashFS part is not; that is what 'firn verify' does.\n"
    "\n"
    "Examples:\n"
    "  firn inspect science.firn\n"
    "  firn inspect --json science.firn | jq -r .id\n"
    "  firn inspect --manifest science.firn\n"
    "  firn inspect --packages science.firn\n"
    "  firn inspect --needs science.firn\n"
    "  firn inspect --lock=uv.lock science.firn > uv.lock\n"
    "  firn inspect --section digests science.firn > digests.bin";

constexpr uint64_t kMaxSectionLength = uint64_t{1} << 30;

struct InspectOptions {
  std::string image;
  std::string section;
  bool manifest = false;
  bool packages = false;
  bool needs = false;
  bool sbom = false;
  bool recipe = false;
  std::string lock;  // the one to print; "*": the only one, or the names of all
  bool json = false;
};

std::string Hex(const Digest& digest) { return "sha256:" + ToHex(digest); }

uint64_t AppendixLength(const Appendix& appendix) {
  return appendix.file_length() - appendix.core().squashfs_length;
}

std::string SizeText(uint64_t bytes) {
  std::string text = FormatBytes(bytes);
  if (bytes >= 1024) text += " (" + Grouped(bytes) + " bytes)";
  return text;
}

nlohmann::ordered_json PythonJson(const Manifest::Python& python) {
  return {{"version", python.version},
          {"compiled", python.compiled},
          {"not_compiled", python.not_compiled}};
}

// Whom to trust is asked of 'firn verify', which looks at all that was signed.
nlohmann::ordered_json SignaturesJson(const ImageTrust& trust) {
  nlohmann::ordered_json json = SignaturesToJson(trust);
  for (auto& signature : json) signature.erase("trusted");
  return json;
}

void PrintSignatureFields(const ImageTrust& trust, const std::string& image) {
  const char* label = "signatures";
  for (const ImageTrust::Signature& signature : trust.signatures) {
    std::string text = FormatKey(signature.key);
    if (signature.place != image) text += " in " + Printable(signature.place);
    if (!signature.is_right) text += ": does NOT hold for this image";
    PrintField(std::exchange(label, ""), text);
  }
  for (const auto& findings : {trust.damages, trust.others}) {
    for (const std::string& finding : findings) {
      PrintField(std::exchange(label, ""), Printable(finding));
    }
  }
}

void PrintImageJson(int fd, const Appendix& appendix, const Manifest& manifest,
                    const InspectOptions& options) {
  const Manifest::Contents& contents = manifest.contents;
  nlohmann::ordered_json json = {
      {"image", options.image},
      {"id", FormatImageId(appendix.id())},
      {"name", manifest.name},
      {"prefix", manifest.prefix},
      {"builder", manifest.builder},
      {"time", manifest.time},
      {"format", kFormatVersion},
      {"bytes", appendix.file_length()},
      {"squashfs_bytes", appendix.core().squashfs_length},
      {"appendix_bytes", AppendixLength(appendix)},
      {"signatures_bytes", appendix.footer().signatures_length},
      {"compression",
       {{"name", manifest.compression},
        {"level", manifest.compression_level},
        {"block_size", manifest.block_size},
        {"library", manifest.compression_library}}},
      {"contents",
       {{"files", contents.files},
        {"directories", contents.directories},
        {"symlinks", contents.symlinks},
        {"others", contents.others},
        {"hard_links", contents.hard_links},
        {"bytes", contents.bytes}}},
  };
  if (manifest.python) json["python"] = PythonJson(*manifest.python);
  const ImageTrust trust = ReadImageSignatures(fd, appendix);
  json["signatures"] = SignaturesJson(trust);
  json["signature_findings"] = trust.damages;
  for (const std::string& other : trust.others) json["signature_findings"].push_back(other);
  json["sections"] = nlohmann::ordered_json::array();
  for (const Section& section : appendix.core().sections) {
    json["sections"].push_back({{"name", section.name},
                                {"offset", section.offset},
                                {"bytes", section.length},
                                {"digest", Hex(section.digest)}});
  }
  // Paths may hold bytes that JSON cannot.
  PrintJson(json);
}

void PrintContents(const Manifest& manifest, uint64_t file_length) {
  const Manifest::Contents& contents = manifest.contents;
  std::string text = Grouped(contents.files) + " files, " + Grouped(contents.directories) +
                     " directories, " + Grouped(contents.symlinks) + " symlinks";
  if (contents.others > 0) text += ", " + Grouped(contents.others) + " special files";
  if (contents.hard_links > 0) text += ", " + Grouped(contents.hard_links) + " hard links";
  PrintField("contents", text);
  text = SizeText(contents.bytes);
  if (contents.bytes > 0) {
    char ratio[32];
    std::snprintf(ratio, sizeof ratio, ", stored 1 : %.2f",
                  static_cast<double>(contents.bytes) / static_cast<double>(file_length));
    text += ratio;
  }
  PrintField("", text);
}

void PrintPython(const Manifest::Python& python) {
  PrintField("python",
             Printable(python.version) + ", " + Grouped(python.compiled) + " modules compiled");
  for (const std::string& path : python.not_compiled) {
    PrintField("", "not compiled: " + Printable(path));
  }
}

void PrintText(int fd, const Appendix& appendix, const Manifest& manifest) {
  PrintField("name", Printable(manifest.name));
  PrintField("prefix", Printable(manifest.prefix));
  PrintField("id", FormatImageId(appendix.id()));
  PrintSignatureFields(ReadImageSignatures(fd, appendix), appendix.path());
  PrintField("built by", Printable(manifest.builder));
  PrintField("file times", FormatUtc(manifest.time));
  PrintField("size", SizeText(appendix.file_length()));
  PrintField("", "SquashFS part " + SizeText(appendix.core().squashfs_length));
  PrintField("", "appendix " + SizeText(AppendixLength(appendix)));
  PrintField("compression", Printable(manifest.compression) + " level " +
                                std::to_string(manifest.compression_level) + ", blocks of " +
                                FormatBytes(manifest.block_size) + ", library " +
                                Printable(manifest.compression_library));
  PrintContents(manifest, appendix.file_length());
  if (manifest.python) PrintPython(*manifest.python);
  const char* label = "sections";
  for (const Section& section : appendix.core().sections) {
    PrintField(std::exchange(label, ""), Printable(section.name) + ": " + SizeText(section.length) +
                                             " at " + std::to_string(section.offset) + ", " +
                                             Hex(section.digest));
  }
}

void PrintSection(int fd, const Appendix& appendix, const std::string& name) {
  if (appendix.core().Find(name) == nullptr) {
    std::string names;
    for (const Section& section : appendix.core().sections) {
      names += (names.empty() ? "" : ", ") + Printable(section.name);
    }
    throw Error(ErrorKind::kUsage, "the image has no section '" + name + "'",
                "It has these: " + names + ".")
        .WithPath(appendix.path());
  }
  const std::vector<std::byte> bytes = appendix.ReadSection(fd, name, kMaxSectionLength);
  std::cout.write(reinterpret_cast<const char*>(bytes.data()),
                  static_cast<std::streamsize>(bytes.size()));
}

void Inspect(const InspectOptions& options) {
  const FileDescriptor fd = OpenImageFile(options.image);
  const Appendix appendix = Appendix::ReadImage(fd.get(), options.image);
  if (!options.section.empty()) {
    PrintSection(fd.get(), appendix, options.section);
  } else if (options.manifest) {
    std::cout << PrintableLines(appendix.ReadManifestYaml(fd.get()));
  } else if (options.packages) {
    PrintPackages(fd.get(), appendix, options.json);
  } else if (options.needs) {
    PrintNeeds(fd.get(), appendix, options.json);
  } else if (options.sbom) {
    PrintSbom(fd.get(), appendix);
  } else if (options.recipe) {
    PrintRecipe(fd.get(), appendix, options.json);
  } else if (!options.lock.empty()) {
    PrintLocks(fd.get(), appendix, options.lock == "*" ? "" : options.lock, options.json);
  } else if (options.json) {
    PrintImageJson(fd.get(), appendix, appendix.ReadManifest(fd.get()), options);
  } else {
    PrintText(fd.get(), appendix, appendix.ReadManifest(fd.get()));
  }
}

}  // namespace

void AddInspectCommand(CLI::App& app, int&) {
  const auto options = std::make_shared<InspectOptions>();
  CLI::App* inspect = app.add_subcommand("inspect", "Show what an image is and holds");
  inspect->footer(kInspectFooter);
  inspect->add_option("IMAGE", options->image, "The image file")->required();
  CLI::Option* json = inspect->add_flag("--json", options->json, "Print as JSON");
  // One of these at a time.
  const std::vector<CLI::Option*> parts = {
      inspect->add_flag("--packages", options->packages, "List the packages"),
      inspect->add_flag("--needs", options->needs, "Show what the machine must have"),
      inspect->add_flag("--sbom", options->sbom, "Print the bill of materials (CycloneDX JSON)"),
      inspect->add_flag("--recipe", options->recipe, "Print the recipe that it was built by"),
      inspect
          ->add_flag("--lock{*}", options->lock,
                     "Print the lock file, or the names of several, or that of this name")
          ->option_text("[=NAME]"),
      inspect
          ->add_flag("--manifest", options->manifest, "Print the manifest as it is stored (YAML)")
          ->excludes(json),
      inspect->add_option("--section", options->section, "Print the bytes of one section")
          ->option_text("NAME")
          ->excludes(json),
  };
  for (CLI::Option* part : parts) {
    for (CLI::Option* other : parts) {
      if (other != part) part->excludes(other);
    }
  }
  inspect->callback([options] { Inspect(*options); });
}

}  // namespace firn
