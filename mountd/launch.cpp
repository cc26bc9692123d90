#include "mountd/launch.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

#include "firn_version.h"
#include "mountd/subprocess.h"

namespace firn {
namespace {

std::vector<std::string> CommonArguments(const FileDescriptor& image, const std::string& image_name,
                                         const Pipe& ready, const LaunchOptions& options) {
  std::vector<std::string> argv = {FindFirnd(), "--image-fd=" + std::to_string(image.get()),
                                   "--image-name=" + image_name,
                                   "--ready-fd=" + std::to_string(ready.write_end.get())};
  if (!options.config.empty()) argv.push_back("--config=" + options.config);
  if (options.foreign) argv.emplace_back("--foreign");
  if (options.view) argv.push_back("--view=" + std::string(ToString(*options.view)));
  if (options.cache_bytes != 0)
    argv.push_back("--cache-size=" + std::to_string(options.cache_bytes));
  if (options.threads != 0) argv.push_back("--threads=" + std::to_string(options.threads));
  if (options.verify) argv.push_back("--verify=" + std::string(ToString(*options.verify)));
  if (options.prefetch) argv.emplace_back(*options.prefetch ? "--prefetch" : "--no-prefetch");
  if (options.record_fd >= 0) argv.push_back("--record-fd=" + std::to_string(options.record_fd));
  if (!options.log_file.empty()) argv.push_back("--log-file=" + options.log_file);
  return argv;
}

SessionAddress Start(const std::vector<std::string>& argv, std::vector<int> inherited, Pipe ready) {
  inherited.push_back(ready.write_end.get());
  const pid_t starter = Spawn(argv, {.inherited = std::move(inherited)});
  if (starter < 0) {
    throw SystemError(ErrorKind::kNoReply, -starter, "cannot start firnd").WithPath(argv.front());
  }
  ready.write_end.Close();
  const std::string line = ReadLine(ready.read_end.get());
  WaitForExit(starter);
  return ParseReadiness(line);
}

}  // namespace

std::string FindFirnd() {
  const char* given = std::getenv("FIRND");
  if (given != nullptr && given[0] != '\0') return given;
  std::error_code ignored;
  const std::filesystem::path own =
      std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  const std::vector<std::filesystem::path> candidates = {
      own / "firnd", own / ".." / "mountd" / "firnd", own / ".." / "sbin" / "firnd",
      std::filesystem::path(FIRN_SBINDIR) / "firnd"};
  for (const std::filesystem::path& candidate : candidates) {
    if (access(candidate.c_str(), X_OK) == 0) return candidate.lexically_normal().string();
  }
  throw Error(ErrorKind::kNoReply, "cannot find firnd beside firn or in " FIRN_SBINDIR,
              "Install Firn whole, or set FIRND to the path of firnd.");
}

SessionAddress LaunchSession(const FileDescriptor& image, const std::string& image_name,
                             const std::string& mount_point, const LaunchOptions& options) {
  Pipe ready = MakePipe();
  std::vector<std::string> argv = CommonArguments(image, image_name, ready, options);
  argv.insert(argv.end(), {"--", mount_point});
  return Start(argv, {image.get()}, std::move(ready));
}

SessionAddress LaunchSessionOn(const JobMount& job, const FileDescriptor& image,
                               const std::string& image_name, const std::string& shown_at,
                               const LaunchOptions& options) {
  Pipe ready = MakePipe();
  std::vector<std::string> argv = CommonArguments(image, image_name, ready, options);
  std::vector<int> inherited = {image.get()};
  const auto give = [&](const char* option, int fd) {
    if (fd < 0) return;
    argv.push_back(option + std::to_string(fd));
    inherited.push_back(fd);
  };
  give("--fuse-fd=", job.fuse.get());
  give("--root-fd=", job.root.get());
  give("--user-namespace-fd=", job.user_namespace.get());
  if (options.record_fd >= 0) inherited.push_back(options.record_fd);
  if (options.for_everybody) argv.emplace_back("--for-everybody");
  argv.insert(argv.end(), {"--", shown_at});
  return Start(argv, std::move(inherited), std::move(ready));
}

}  // namespace firn
