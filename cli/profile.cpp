#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/job.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/session_options.h"
#include "cli/text.h"
#include "format/error.h"
#include "format/file.h"
#include "format/profile.h"
#include "mountd/recording.h"

namespace firn {
namespace {

constexpr char kProfileFooter[] =
    "Runs CMD as 'firn run' does, on a session of its own whose caches are empty, and writes down\n"
    "what CMD and all its children ask of the image: names looked up, found or not, directories\n"
    "listed, parts of files read, in order. 'firn build --profile' and 'firn optimize' put that\n"
    "in front of an image, where it is read ahead when the image is mounted.\n"
    "\n"
    "With --merge, the arguments are profiles, which become one.\n"
    "\n"
    "Exit codes: CMD's own, the profile is written all the same; 125 firn profile failed,\n"
    "126 CMD cannot be executed, 127 not found.\n"
    "\n"
    "Examples:\n"
    "  firn profile science.firn -- /opt/envs/science/bin/python3 -c 'import numpy, scipy'\n"
    "  firn profile science.firn -o start.profile -- /opt/envs/science/bin/jupyter-lab --version\n"
    "  firn profile --merge train.profile start.profile -o all.profile";

struct ProfileArguments {
  std::vector<std::string> files;  // the image, or with merge profiles
  std::string prefix;
  std::string output;
  bool merge = false;
  bool force = false;
  bool json = false;
  SessionOptions session;
};

std::string DefaultOutput(const std::string& image) {
  return std::filesystem::path(image).filename().replace_extension(".profile").string();
}

void WriteProfile(const std::string& path, bool replace, const Profile& profile) {
  const std::string text = profile.ToText();
  OutputFile output(path, replace);
  WriteAt(output.fd(), 0, std::as_bytes(std::span(text)));
  output.Commit();
}

void PrintSummary(const std::string& path, const Profile& profile,
                  std::optional<int> command_exit_code, bool as_json) {
  uint64_t lookups = 0;
  uint64_t misses = 0;
  uint64_t lists = 0;
  uint64_t bytes = 0;
  for (const ProfileEntry& entry : profile.entries()) {
    lookups += entry.action == ProfileAction::kLookup;
    misses += entry.action == ProfileAction::kMiss;
    lists += entry.action == ProfileAction::kList;
    bytes += entry.length;
  }
  if (as_json) {
    nlohmann::ordered_json json = {{"profile", path},
                                   {"lookups", lookups},
                                   {"misses", misses},
                                   {"listings", lists},
                                   {"bytes_read", bytes}};
    if (command_exit_code) json["exit_code"] = *command_exit_code;
    PrintJson(json);
    return;
  }
  // Standard output is the command's.
  (command_exit_code ? std::cerr : std::cout)
      << Printable(path) << ": " << Grouped(lookups) << " lookups, " << Grouped(misses)
      << " misses, " << Grouped(lists) << " listings, " << FormatBytes(bytes) << " read\n";
}

void Merge(const ProfileArguments& arguments) {
  if (arguments.output.empty()) {
    throw Error(ErrorKind::kUsage, "no file to write the merged profile to", "Give it with -o.");
  }
  std::vector<Profile> profiles;
  for (const std::string& file : arguments.files) profiles.push_back(Profile::ReadFile(file));
  const Profile merged = Profile::Merge(profiles);
  WriteProfile(arguments.output, arguments.force, merged);
  PrintSummary(arguments.output, merged, std::nullopt, arguments.json);
}

void Record(const ProfileArguments& arguments, const std::vector<std::string>& command,
            int& exit_code) {
  exit_code = kRunFailed;
  if (arguments.files.size() != 1) {
    throw Error(ErrorKind::kUsage,
                "expected one image, found " + std::to_string(arguments.files.size()),
                "A profile is of one image; with --merge the arguments are profiles.");
  }
  JobArguments job{.images = arguments.files, .prefixes = {}, .command = command};
  if (!arguments.prefix.empty()) job.prefixes.push_back(arguments.prefix);
  CheckJob(job, "profile");
  const std::string path =
      arguments.output.empty() ? DefaultOutput(arguments.files.front()) : arguments.output;
  // To fail before the command has run for hours.
  { const OutputFile probe(path, arguments.force); }

  const Recording recording = RecordJob([&](int record_fd) {
    LaunchOptions launch = arguments.session.ToLaunchOptions();
    launch.record_fd = record_fd;
    RunJob(job, launch, /*may_use_node=*/false, exit_code);
  });
  exit_code = recording.exit_code;
  if (!recording.ran) return;
  if (!recording.profile) {
    exit_code = kRunFailed;
    throw Error(ErrorKind::kInput, "the command asked nothing of the image",
                "Record a command that uses files of the image, at its prefix.");
  }
  WriteProfile(path, arguments.force, *recording.profile);
  PrintSummary(path, *recording.profile, exit_code, arguments.json);
}

}  // namespace

void AddProfileCommand(CLI::App& app, const std::vector<std::string>& command, int& exit_code) {
  const auto arguments = std::make_shared<ProfileArguments>();
  CLI::App* profile = app.add_subcommand("profile", "Record what a command touches in an image");
  profile->footer(kProfileFooter);
  profile->add_option("IMAGE", arguments->files, "The image; with --merge, profiles")->required();
  profile
      ->add_option("-o,--output", arguments->output,
                   "The profile to write [IMAGE's name with .profile]")
      ->option_text("FILE");
  profile->add_flag("--merge", arguments->merge, "Make one profile of several");
  profile
      ->add_option("--prefix", arguments->prefix,
                   "Where to show the image, instead of the prefix it was built for")
      ->option_text("DIR");
  profile->add_flag("--force", arguments->force, "Replace the profile if it exists");
  profile->add_flag("--json", arguments->json, "Print the summary as JSON");
  AddSessionOptions(*profile, arguments->session);
  profile->callback([arguments, &command, &exit_code] {
    if (arguments->merge) {
      Merge(*arguments);
    } else {
      Record(*arguments, command, exit_code);
    }
  });
}

}  // namespace firn
