#include "builder/bytecode.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>
#include <utility>
#include <vector>

#include "builder/child_process.h"
#include "builder/compile_modules.h"
#include "builder/python_environment.h"
#include "builder/python_tree.h"
#include "builder/utf8.h"
#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

constexpr char kHint[] =
    "Mend the environment's Python, or build with --no-compile: each import will then be slower.";
constexpr size_t kMaxLogLength = 2000;

void WriteFile(const std::string& path, std::string_view content) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) throw SystemError(ErrorKind::kOutput, errno, "cannot create").WithPath(path);
  const FileDescriptor file(fd);
  try {
    WriteAt(fd, 0, std::as_bytes(std::span(content)));
  } catch (const Error& error) {
    throw error.WithPath(path);
  }
}

std::string LastOutput(const std::string& log) {
  const FileDescriptor fd(open(log.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return {};
  std::string text(kMaxLogLength, '\0');
  const uint64_t size = FileSize(fd.get());
  const uint64_t start = size > kMaxLogLength ? size - kMaxLogLength : 0;
  text.resize(ReadAt(fd.get(), start, std::as_writable_bytes(std::span(text))));
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

// The conversation with one run of compile_modules.py.
class Compilation {
 public:
  Compilation(std::string python, const std::vector<PythonModule>& modules,
              const ImportPaths& import_paths, const BytecodeOptions& options,
              const std::string& work)
      : python_(std::move(python)), options_(options), work_(work), done_(modules.size()) {
    std::string list;
    for (const PythonModule& module : modules) {
      list += options.directory + "/" + module.path + '\0';
      list += options.prefix + "/" + import_paths.Of(module.path) + '\0';
    }
    WriteFile(work_ + "/list", list);
    WriteFile(work_ + "/compile_modules.py", kCompileModulesScript);
  }

  void Run() {
    const std::string log = work_ + "/log";
    ChildProcess python({.arguments = {options_.directory + "/" + python_, "-S", "-s", "-B",
                                       work_ + "/compile_modules.py", work_ + "/list", work_,
                                       std::to_string(options_.jobs)},
                         .environment = PythonEnvironment(),
                         .directory = work_,
                         .error_log = log});
    const int status = python.ReadLines([&](const std::string& line) { TakeLine(line); },
                                        [&] { options_.progress(done_count_, done_.size()); });
    const bool ended_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!unable_.empty()) throw Failure("cannot compile modules: " + unable_, "");
    if (!ended_well || error_ || cache_tag_.empty() || done_count_ != done_.size()) {
      throw Failure("failed to compile the modules", LastOutput(log));
    }
  }

  const std::string& version() const { return version_; }
  const std::string& cache_tag() const { return cache_tag_; }
  bool compiled(size_t index) const { return done_[index]; }

 private:
  void TakeLine(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string first = line.substr(0, space);
    const std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
    if (first == "unable") {
      unable_ = rest;
    } else if (cache_tag_.empty()) {
      version_ = first;
      cache_tag_ = rest;
      if (!IsFileName(cache_tag_)) throw Failure("gives a strange cache tag", cache_tag_);
    } else {
      TakeResult(first, rest);
    }
  }

  void TakeResult(const std::string& number, const std::string& result) {
    size_t index = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), index);
    if (error != std::errc() || end != number.data() + number.size() || index >= done_.size()) {
      throw Failure("prints what it should not", number + " " + result);
    }
    ++done_count_;
    done_[index] = result == "ok";
    if (result == "error") error_ = true;
    if (result == "full") {
      throw Error(ErrorKind::kOutput, "no space left for compiled modules",
                  "Free space there, or set TMPDIR to a directory with more.")
          .WithPath(work_);
    }
    options_.progress(done_count_, done_.size());
  }

  static bool IsFileName(const std::string& text) {
    return !text.empty() && text.size() < 64 &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c != '/'; });
  }

  Error Failure(const std::string& message, const std::string& output) const {
    std::string text = "the environment's Python " + message;
    if (!output.empty()) text += ":\n" + output;
    return Error(ErrorKind::kInput, text, kHint).WithPath(options_.directory + "/" + python_);
  }

  const std::string python_;
  const BytecodeOptions& options_;
  const std::string& work_;
  std::vector<bool> done_;  // true: compiled
  uint64_t done_count_ = 0;
  bool error_ = false;
  std::string version_;
  std::string cache_tag_;
  std::string unable_;
};

SourceStamp StampOf(const std::string& path) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) {
    throw SystemError(ErrorKind::kInternal, errno, "cannot stat").WithPath(path);
  }
  return SourceStamp::Of(status);
}

}  // namespace

std::optional<Manifest::Python> CompileModules(TreeNode& root, const BytecodeOptions& options,
                                               const TemporaryDirectory& directory) {
  const std::string python =
      options.python.empty() ? FindPython(root, options.directory) : options.python;
  if (python.empty()) return std::nullopt;
  const std::vector<PythonModule> modules = FindModules(root, options.directory);
  Compilation compilation(python, modules, ImportPaths(root), options, directory.path());
  compilation.Run();

  const FileDescriptor tree =
      OpenFile(options.directory, O_RDONLY | O_DIRECTORY, ErrorKind::kInput);
  DropTimestampBytecode(root, tree.get());

  Manifest::Python result;
  result.version = compilation.version();
  for (size_t i = 0; i < modules.size(); ++i) {
    const PythonModule& module = modules[i];
    TreeNode* cache = compilation.compiled(i) ? CacheDirectory(*module.parent) : nullptr;
    if (cache == nullptr) {
      result.not_compiled.push_back(EscapeForText(module.path));
      continue;
    }
    const std::string content = directory.path() + "/" + std::to_string(i);
    PutFile(*cache, CachedName(module.file, compilation.cache_tag()), content, StampOf(content));
    ++result.compiled;
  }
  return result;
}

}  // namespace firn
