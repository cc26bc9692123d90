#include "builder/source.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <span>

#include "builder/source_base.h"
#include "builder/source_parts.h"
#include "builder/temporary_directory.h"
#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

constexpr size_t kLongestLock = size_t{256} << 20;

RealisedSource RealiseBy(const SourceJob& job) {
  switch (job.source.kind) {
    case SourceKind::kUvProject:
      return RealiseUvProject(job);
    case SourceKind::kPylock:
      return RealisePylock(job);
    case SourceKind::kRequirements:
      return RealiseRequirements(job);
    case SourceKind::kCondaEnvironment:
    case SourceKind::kCondaExplicit:
    case SourceKind::kCondaLock:
    case SourceKind::kPixiLock:
      return RealiseConda(job);
    case SourceKind::kArchive:
      return RealiseArchive(job);
    case SourceKind::kDirectory:
      break;
  }
  throw Error(ErrorKind::kInternal, "a directory is no source to be realised")
      .WithPath(job.source.path);
}

}  // namespace

bool IsThere(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

std::string ReadSourceFile(const std::string& path) {
  const FileDescriptor file = OpenFile(path, O_RDONLY | O_NONBLOCK, ErrorKind::kInput);
  struct stat status {};
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    throw Error(ErrorKind::kInput, "expected a regular file, found another kind").WithPath(path);
  }
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size > kLongestLock) {
    throw Error(ErrorKind::kInput, "expected a lock of at most 256 MiB, found a longer file")
        .WithPath(path);
  }
  std::string text(size, '\0');
  text.resize(ReadAt(file.get(), 0, std::as_writable_bytes(std::span(text))));
  return text;
}

void WriteScratchFile(const std::string& path, const std::string& content) {
  const FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.valid()) throw SystemError(ErrorKind::kOutput, errno, "cannot create").WithPath(path);
  WriteAt(file.get(), 0, std::as_bytes(std::span(content)));
}

Error UnlockedError(const std::string& path, const std::string& found, const std::string& command) {
  return Error(ErrorKind::kInput, "expected a lock, " + found,
               "Lock it:\n  " + command +
                   "\nor let the build do that with --resolve; the image then holds the lock.")
      .WithPath(path);
}

RealisedSource Realise(const RecipeSource& source, const std::string& tree, BuildLog& log,
                       const std::function<void()>& poll) {
  if ((source.path + "/").starts_with(tree + "/")) {
    throw Error(ErrorKind::kUsage, "lies at the prefix " + tree + ", where the build would hide it",
                "Build for another --prefix, or put the source elsewhere.")
        .WithPath(source.path);
  }
  const TemporaryDirectory scratch;
  const std::string temporary = scratch.path() + "/tmp";
  std::filesystem::create_directory(temporary);
  if (ShowsBase(tree)) AllowInstalls(tree);
  SourceTools tools(tree, temporary, log, poll);
  RealisedSource realised = RealiseBy(
      {.source = source, .tree = tree, .scratch = scratch.path(), .tools = tools, .poll = poll});
  std::set<std::string> built = tools.built();
  built.insert(realised.not_reproducible.begin(), realised.not_reproducible.end());
  realised.not_reproducible.assign(built.begin(), built.end());
  realised.build_places = {scratch.path()};
  const bool is_project = std::filesystem::is_directory(source.path);
  if (is_project) realised.build_places.push_back(source.path);
  return realised;
}

}  // namespace firn
