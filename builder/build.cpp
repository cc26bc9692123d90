#include "builder/build.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "builder/build_settings.h"
#include "builder/bytecode.h"
#include "builder/content_order.h"
#include "builder/environment_kind.h"
#include "builder/interrupt.h"
#include "builder/layer.h"
#include "builder/merged_images.h"
#include "builder/naming_output.h"
#include "builder/python_tree.h"
#include "builder/temporary_directory.h"
#include "builder/tree_walk.h"
#include "firn_version.h"
#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

FileDescriptor OpenDirectory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) return FileDescriptor(fd);
  const int error = errno;
  if (error == ENOENT) {
    throw Error(ErrorKind::kInput, "does not exist", "Give the directory of an environment.")
        .WithPath(path);
  }
  if (error == ENOTDIR) {
    throw Error(ErrorKind::kInput, "is not a directory", "Give the directory of an environment.")
        .WithPath(path);
  }
  throw SystemError(ErrorKind::kInput, error, "cannot open",
                    "Make it readable for the user who builds, or build as its owner.")
      .WithPath(path);
}

std::string RealPath(const std::string& path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  if (error) {
    throw SystemError(ErrorKind::kInput, error.value(), "has no real path").WithPath(path);
  }
  return real.string();
}

// The file that is being written, and the one that it replaces: both may lie in the directory.
std::vector<SourceStamp> OutputStamps(const OutputFile& output) {
  std::vector<SourceStamp> stamps;
  struct stat status;
  if (fstat(output.fd(), &status) == 0) stamps.push_back(SourceStamp::Of(status));
  if (lstat(output.path().c_str(), &status) == 0) stamps.push_back(SourceStamp::Of(status));
  return stamps;
}

uint64_t SumOfSizes(const TreeNode& node) {
  uint64_t sum = 0;
  if (node.type == FileType::kRegular && node.hard_link == nullptr) sum += node.stamp.size;
  for (const auto& child : node.children) sum += SumOfSizes(*child);
  return sum;
}

}  // namespace

BuildSummary Build(const BuildOptions& options,
                   const std::function<void(const BuildProgress&)>& progress) {
  const auto start = std::chrono::steady_clock::now();
  // What is read from: of a layer its changes alone.
  const std::string& source = options.layer ? options.layer->changes : options.directory;
  const FileDescriptor directory = OpenDirectory(source);
  const std::string real_directory = RealPath(options.directory);
  const BuildSettings settings = ResolveSettings(options, real_directory);
  const Profile profile = ReadProfiles(options.profiles);

  OutputFile output(options.output, options.force);

  BuildProgress walked{.stage = BuildStage::kWalk};
  WalkedTree tree = WalkTree(directory.get(), source,
                             {.keep_modes = options.keep_modes,
                              .skip_special = options.skip_special,
                              .whiteouts = options.layer.has_value(),
                              .left_out = OutputStamps(output),
                              .poll = [&] {
                                ThrowIfInterrupted();
                                ++walked.done;
                                progress(walked);
                              }});
  std::optional<TemporaryDirectory> bytecode;
  Manifest manifest = options.manifest;
  if (options.compile) {
    bytecode.emplace();
    manifest.python = CompileModules(*tree.root,
                                     {.directory = real_directory,
                                      .prefix = settings.prefix,
                                      .python = options.layer ? FindPythonIn(real_directory) : "",
                                      .jobs = settings.jobs,
                                      .progress =
                                          [&](uint64_t done, uint64_t total) {
                                            ThrowIfInterrupted();
                                            progress({BuildStage::kCompile, done, total});
                                          }},
                                     *bytecode);
  }
  std::optional<MergedImages> base;
  if (options.layer) {
    base.emplace(options.layer->bases);
    KeepDifferences(*tree.root, directory.get(), *base, options.layer->is_whole,
                    ThrowIfInterrupted);
    // Its name alone: where it stands differs from host to host.
    manifest.base = {.id = FormatImageId(base->top().id()),
                     .path = std::filesystem::path(base->top().path()).filename().string()};
  }
  LinkHardLinks(*tree.root);

  const AppliedProfile applied = ApplyProfile(profile, *tree.root);
  const ImageWriterOptions writer_options{.block_size = options.block_size,
                                          .level = options.level,
                                          .jobs = settings.jobs,
                                          .time = settings.time,
                                          .source_directory = directory.get(),
                                          .source_name = source,
                                          .profile = applied.text,
                                          .sections = options.sections,
                                          .order = OrderContents(*tree.root, applied.front)};
  manifest.name = settings.name;
  manifest.prefix = settings.prefix;
  if (manifest.kind == EnvironmentKind::kOther) {
    manifest.kind = FindEnvironmentKind(real_directory);
  }
  manifest.builder = "firn " FIRN_VERSION;
  BuildProgress written{.stage = BuildStage::kWrite, .total = SumOfSizes(*tree.root)};
  BuildSummary summary;
  const auto report = [&](const WriteProgress& at) {
    ThrowIfInterrupted();
    written.done = at.bytes;
    progress(written);
  };
  summary.image = NamingOutput(output, [&] {
    return WriteImage(output.fd(), *tree.root, writer_options, std::move(manifest), report);
  });
  if (options.check) options.check(output.temporary_path());
  output.Commit();
  summary.output = options.output;
  summary.skipped_special = tree.skipped_special;
  summary.profile_files = applied.front.size();
  summary.profile_paths_missing = applied.paths_missing;
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return summary;
}

}  // namespace firn
