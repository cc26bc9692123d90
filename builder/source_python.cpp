#include <fcntl.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "builder/python_lock.h"
#include "builder/source_base.h"
#include "builder/source_parts.h"
#include "builder/staging.h"
#include "format/error.h"
#include "format/file.h"

namespace firn {
namespace {

namespace fs = std::filesystem;

constexpr char kGetUv[] =
    "Install uv (pip install uv, pipx install uv, or https://docs.astral.sh/uv), and have it in "
    "PATH.";
constexpr char kGetUvOrPip[] =
    "Install uv (pip install uv, pipx install uv, or https://docs.astral.sh/uv), or Python with "
    "pip "
    "(Debian: apt install python3-pip), and have it in PATH.";

std::string FileName(const std::string& path) { return fs::path(path).filename().string(); }

void RequireTool(const SourceJob& job, std::initializer_list<std::string_view> able) {
  const std::string& tool = job.source.tool;
  if (tool.empty() || std::find(able.begin(), able.end(), tool) != able.end()) return;
  std::string names;
  for (const std::string_view name : able)
    names += (names.empty() ? "" : " or ") + std::string(name);
  throw Error(ErrorKind::kUsage,
              "expected " + names + " as the tool for this source, found " + tool)
      .WithPath(job.source.path);
}

void Append(std::vector<std::string>& words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
}

std::vector<std::string> PythonOption(const SourceJob& job) {
  if (job.source.python.empty()) return {};
  return {"--python", job.source.python};
}

// Of packages that have no wheel, those that are in the environment: they were built, now or when
// the tool's cache was filled.
std::vector<std::string> InstalledOf(const std::vector<std::string>& names,
                                     const std::string& tree) {
  std::vector<std::string> installed;
  if (names.empty()) return installed;
  std::error_code ignored;
  for (const auto& directory : fs::directory_iterator(tree + "/lib", ignored)) {
    for (const auto& entry : fs::directory_iterator(directory.path() / "site-packages", ignored)) {
      const std::string file = entry.path().filename().string();
      if (!file.ends_with(".dist-info")) continue;
      const std::string name = NormalPackageName(file.substr(0, file.find('-')));
      const auto found = std::find_if(names.begin(), names.end(), [&](const std::string& other) {
        return NormalPackageName(other) == name;
      });
      if (found != names.end()) installed.push_back(*found);
    }
  }
  return installed;
}

void MakeVenvByUv(const SourceJob& job, const std::string& uv) {
  std::vector<std::string> words{uv, "venv", "--no-project", "--allow-existing"};
  Append(words, PythonOption(job));
  words.push_back(job.tree);
  job.tools.Run({.words = std::move(words)});
}

void SyncByUv(const SourceJob& job, const std::string& uv, const std::string& lock,
              const std::vector<std::string>& options) {
  std::vector<std::string> words{uv, "pip"};
  if (ShowsBase(job.tree)) {
    // What the base has besides the lock stays.
    Append(words, {"install", "--no-deps", "-r", lock});
  } else {
    MakeVenvByUv(job, uv);
    Append(words, {"sync", lock});
  }
  Append(words, {"--python", job.tree + "/bin/python"});
  Append(words, options);
  Append(words, job.source.options);
  job.tools.Run({.words = std::move(words), .directory = fs::path(lock).parent_path().string()});
}

// --- requirements.txt ---

std::string FindPython(const SourceJob& job) {
  const std::string& asked = job.source.python;
  std::vector<std::string> names{asked};
  if (asked.empty()) {
    names = {"python3", "python"};
  } else if (asked.find_first_not_of("0123456789.") == std::string::npos) {
    names = {"python" + asked};
  }
  return job.tools.FindFirst(names, kGetUvOrPip);
}

void InstallByPip(const SourceJob& job, const std::string& python, const std::string& lock) {
  if (!ShowsBase(job.tree)) {
    job.tools.Run({.words = {python, "-m", "venv", "--without-pip", job.tree}});
  }
  std::vector<std::string> words{python,
                                 "-m",
                                 "pip",
                                 "--python",
                                 job.tree + "/bin/python",
                                 "install",
                                 "--require-hashes",
                                 "--no-deps",
                                 "--no-compile",
                                 "--no-warn-script-location"};
  Append(words, job.source.options);
  Append(words, {"-r", lock});
  job.tools.Run({.words = std::move(words), .directory = fs::path(lock).parent_path().string()});
}

// What `pip install --dry-run --report` says would be installed, as requirements with hashes.
std::string LockOfReport(const std::string& report, const std::string& path) {
  std::string lock;
  try {
    for (const auto& package : nlohmann::json::parse(report).at("install")) {
      const auto& metadata = package.at("metadata");
      const auto& hashes = package.at("download_info").at("archive_info").at("hashes");
      lock += metadata.at("name").get<std::string>() +
              "==" + metadata.at("version").get<std::string>() +
              " --hash=sha256:" + hashes.at("sha256").get<std::string>() + "\n";
    }
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kInput,
                "pip resolved it to something that has no hash: " + std::string(error.what()),
                "Requirements that are directories or repositories cannot be locked.")
        .WithPath(path);
  }
  return lock;
}

std::string ResolveByPip(const SourceJob& job, const std::string& python,
                         const std::string& requirements) {
  const std::string report = job.scratch + "/report.json";
  job.tools.Run({.words = {python, "-m", "pip", "install", "--dry-run", "--ignore-installed",
                           "--report", report, "-r", requirements}});
  return LockOfReport(ReadSourceFile(report), requirements);
}

std::string ResolveByUv(const SourceJob& job, const std::string& uv,
                        const std::string& requirements) {
  const std::string lock = job.scratch + "/resolved.txt";
  std::vector<std::string> words{
      uv, "pip", "compile", "--no-header", "--no-annotate", "--generate-hashes", "--quiet"};
  Append(words, PythonOption(job));
  Append(words, {"-o", lock, requirements});
  job.tools.Run(
      {.words = std::move(words), .directory = fs::path(requirements).parent_path().string()});
  return ReadSourceFile(lock);
}

// A project whose own directory is not written to while its wheel is built.
class UntouchedProject {
 public:
  UntouchedProject(const std::string& directory, const std::string& tree) {
    // The tree would be hidden by what is mounted over the project.
    if ((tree + "/").starts_with(directory + "/")) {
      throw Error(ErrorKind::kUsage, "the prefix " + tree + " lies in the project",
                  "Build for a --prefix elsewhere: the project's directory is not written to.")
          .WithPath(directory);
    }
    overlay_.emplace(OpenFile(directory, O_PATH | O_DIRECTORY, ErrorKind::kInput), directory,
                     directory);
  }

 private:
  std::optional<Staging> overlay_;
};

}  // namespace

RealisedSource RealiseUvProject(const SourceJob& job) {
  RequireTool(job, {"uv"});
  const std::string& project = job.source.path;
  const std::string lock = project + "/uv.lock";
  if (!IsThere(project + "/pyproject.toml")) {
    throw Error(ErrorKind::kInput, "expected pyproject.toml beside uv.lock, found none")
        .WithPath(project);
  }
  if (!IsThere(lock) && !job.source.resolve) {
    throw UnlockedError(project + "/pyproject.toml", "found no uv.lock beside it",
                        "uv lock --project " + project);
  }
  const std::string uv = job.tools.FindFirst({"uv"}, kGetUv);
  const UntouchedProject untouched(fs::canonical(project).string(), job.tree);
  if (!IsThere(lock)) {
    std::vector<std::string> words{uv, "lock"};
    Append(words, PythonOption(job));
    job.tools.Run({.words = std::move(words), .directory = project});
  }
  RealisedSource realised;
  realised.locks.push_back({"uv.lock", ReadSourceFile(lock)});
  for (const char* name : {"pyproject.toml", ".python-version"}) {
    if (!IsThere(project + "/" + name)) continue;
    realised.locks.push_back({name, ReadSourceFile(project + "/" + name)});
  }
  const LockedPackages locked = ReadUvLock(realised.locks[0].content, lock);
  std::vector<std::string> words{uv, "sync", "--frozen", "--no-editable"};
  std::optional<VenvFace> base;
  if (ShowsBase(job.tree)) {
    base.emplace(job.tree);
    // What the base has besides the lock stays.
    Append(words, {"--inexact", "--python", job.tree + "/bin/python"});
  } else {
    Append(words, PythonOption(job));
  }
  Append(words, job.source.options);
  job.tools.Run({.words = std::move(words),
                 .directory = project,
                 .environment = {"UV_PROJECT_ENVIRONMENT=" + job.tree}});
  realised.not_reproducible = InstalledOf(locked.sdist_only, job.tree);
  realised.rebuild = {.kind = SourceKind::kUvProject, .path = "."};
  return realised;
}

RealisedSource RealisePylock(const SourceJob& job) {
  RequireTool(job, {"uv"});
  RealisedSource realised;
  realised.locks.push_back({FileName(job.source.path), ReadSourceFile(job.source.path)});
  const LockedPackages locked = ReadPylock(realised.locks[0].content, job.source.path);
  SyncByUv(job, job.tools.FindFirst({"uv"}, kGetUv), job.source.path, {});
  realised.not_reproducible = InstalledOf(locked.sdist_only, job.tree);
  realised.rebuild = {.kind = SourceKind::kPylock, .path = realised.locks[0].name};
  return realised;
}

RealisedSource RealiseRequirements(const SourceJob& job) {
  RequireTool(job, {"uv", "pip"});
  const std::string& path = job.source.path;
  std::string content = ReadSourceFile(path);
  const std::string unlocked = FindUnlockedRequirement(content);
  if (!unlocked.empty() && !job.source.resolve) {
    throw UnlockedError(path, "found on " + unlocked,
                        "uv pip compile --generate-hashes " + path + " -o locked.txt");
  }
  std::optional<std::string> uv;
  if (job.source.tool != "pip") uv = job.tools.Find("uv");
  if (job.source.tool == "uv" && !uv) uv = job.tools.FindFirst({"uv"}, kGetUv);
  const std::string python = uv ? std::string() : FindPython(job);
  std::string lock = path;
  if (!unlocked.empty()) {
    content = uv ? ResolveByUv(job, *uv, path) : ResolveByPip(job, python, path);
    lock = job.scratch + "/requirements.txt";
    WriteScratchFile(lock, content);
  }
  if (uv) {
    SyncByUv(job, *uv, lock, {"--require-hashes"});
  } else {
    InstallByPip(job, python, lock);
  }
  RealisedSource realised;
  const std::string name = unlocked.empty() ? FileName(path) : "requirements.txt";
  realised.locks.push_back({name, std::move(content)});
  realised.rebuild = {.kind = SourceKind::kRequirements, .path = name};
  return realised;
}

}  // namespace firn
