#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "builder/conda_base.h"
#include "builder/conda_lock.h"
#include "builder/layer_changes.h"
#include "builder/pixi_lock.h"
#include "builder/source_base.h"
#include "builder/source_parts.h"
#include "format/error.h"

namespace firn {
namespace {

namespace fs = std::filesystem;

constexpr char kGetConda[] =
    "Install micromamba (one program, https://mamba.readthedocs.io), mamba or conda (Miniforge), "
    "and have it in PATH. pixi gets it by: pixi global install micromamba";

std::string FindCondaTool(const SourceJob& job) {
  const std::string& tool = job.source.tool;
  const std::vector<std::string> able{"conda", "mamba", "micromamba"};
  if (tool.empty()) return job.tools.FindFirst(able, kGetConda);
  if (std::find(able.begin(), able.end(), tool) == able.end()) {
    throw Error(ErrorKind::kUsage,
                "expected conda, mamba or micromamba as the tool for this source, found " + tool)
        .WithPath(job.source.path);
  }
  return job.tools.FindFirst({tool}, kGetConda);
}

// Tools take a directory that is there for an environment only with this mark.
void MarkAsEnvironment(const std::string& tree) {
  if (fs::exists(tree + "/conda-meta/history")) return;
  fs::create_directory(tree + "/conda-meta");
  WriteScratchFile(tree + "/conda-meta/history", "");
}

// Over a base, only what it lacks: tools differ in what they make of packages that are there.
void InstallExplicit(const SourceJob& job, const std::string& tool, std::string list) {
  if (ShowsBase(job.tree)) {
    CondaAddition addition = CompareWithBase(job.tree, list, job.source.path);
    job.tools.Note("firn: the base has " + std::to_string(addition.kept) + " of " +
                   std::to_string(addition.kept + addition.added) + " packages, and " +
                   std::to_string(addition.replaced.size()) + " in another build");
    RemoveCondaPackages(job.tree, addition.replaced, job.poll);
    if (addition.added == 0) return;
    list = std::move(addition.list);
  }
  const std::string file = job.scratch + "/explicit.txt";
  WriteScratchFile(file, list);
  MarkAsEnvironment(job.tree);
  std::vector<std::string> words{tool, "install", "--yes", "--prefix", job.tree};
  words.insert(words.end(), job.source.options.begin(), job.source.options.end());
  words.insert(words.end(), {"--file", file});
  job.tools.Run({.words = std::move(words)});
}

// Packages of PyPI, by the environment's own pip, or by uv where it has none.
void InstallPythonPackages(const SourceJob& job, const std::string& requirements) {
  const std::string python = job.tree + "/bin/python";
  const std::string file = job.scratch + "/requirements.txt";
  WriteScratchFile(file, requirements);
  if (!fs::exists(python)) {
    throw Error(ErrorKind::kInput, "has packages of pip's, but no Python for them",
                "Lock it again with python and pip among conda's packages.")
        .WithPath(job.source.path);
  }
  if (DistributionNames(job.tree).contains("pip")) {
    job.tools.Run({.words = {python, "-m", "pip", "install", "--no-deps", "--require-hashes",
                             "--no-compile", "-r", file}});
    return;
  }
  const std::string uv = job.tools.FindFirst(
      {"uv"}, "Lock it again with pip among conda's packages, or install uv (pip install uv).");
  job.tools.Run({.words = {uv, "pip", "install", "--python", python, "--no-deps",
                           "--require-hashes", "-r", file}});
}

RealisedSource RealiseExplicit(const SourceJob& job, std::string list) {
  const std::string unlocked = FindUnlockedUrl(list);
  if (!unlocked.empty()) {
    throw Error(ErrorKind::kInput, "expected a lock, found on " + unlocked,
                "Make one of the environment that you have:\n  conda list --explicit --md5")
        .WithPath(job.source.path);
  }
  InstallExplicit(job, FindCondaTool(job), list);
  RealisedSource realised;
  const std::string name = fs::path(job.source.path).filename().string();
  realised.locks.push_back({name, std::move(list)});
  realised.rebuild = {.kind = SourceKind::kCondaExplicit, .path = name};
  return realised;
}

RealisedSource RealiseCondaLock(const SourceJob& job, std::string text) {
  const CondaLockPart part = ReadCondaLock(text, job.source.path, CondaPlatform());
  InstallExplicit(job, FindCondaTool(job), part.explicit_list);
  if (!part.requirements.empty()) InstallPythonPackages(job, part.requirements);
  RealisedSource realised;
  const std::string name = fs::path(job.source.path).filename().string();
  realised.locks.push_back({name, std::move(text)});
  realised.rebuild = {.kind = SourceKind::kCondaLock, .path = name};
  return realised;
}

// By conda's own tools, as it names every file: pixi itself installs below its project only, and
// would have to be told of a prefix elsewhere.
RealisedSource RealisePixiLock(const SourceJob& job) {
  const fs::path lock(job.source.path);
  if (!IsThere(lock)) {
    throw Error(ErrorKind::kInput, "expected a lock, found none beside the manifest",
                "Lock it:\n  pixi lock --manifest-path " + lock.parent_path().string() +
                    "\nby pixi (https://pixi.sh; the pixi of PyPI is another program).")
        .WithPath(lock.string());
  }
  std::string text = ReadSourceFile(lock.string());
  const CondaLockPart part = ReadPixiLock(text, lock.string(), "default", CondaPlatform());
  InstallExplicit(job, FindCondaTool(job), part.explicit_list);
  if (!part.requirements.empty()) InstallPythonPackages(job, part.requirements);
  RealisedSource realised;
  realised.locks.push_back({"pixi.lock", std::move(text)});
  for (const char* manifest : {"pixi.toml", "pyproject.toml"}) {
    const fs::path file = lock.parent_path() / manifest;
    if (IsThere(file)) realised.locks.push_back({manifest, ReadSourceFile(file.string())});
  }
  realised.rebuild = {.kind = SourceKind::kPixiLock, .path = "pixi.lock"};
  return realised;
}

RealisedSource RealiseEnvironmentFile(const SourceJob& job, std::string text) {
  const std::string& path = job.source.path;
  const std::string command = "conda-lock -f " + path + " -p " + CondaPlatform();
  if (!job.source.resolve) {
    throw UnlockedError(path, "found an environment.yml, which is none", command);
  }
  if (HasPipSection(text, path)) {
    throw Error(ErrorKind::kInput, "has packages of pip's, which conda cannot lock",
                "Lock it, and build the lock:\n  " + command)
        .WithPath(path);
  }
  const std::string tool = FindCondaTool(job);
  if (ShowsBase(job.tree)) CompareWithBase(job.tree, "", path);
  MarkAsEnvironment(job.tree);
  // conda has a command of its own for these files, the others do not.
  std::vector<std::string> words{tool};
  if (fs::path(tool).filename() == "conda") {
    words.insert(words.end(), {"env", "update"});
  } else {
    words.insert(words.end(), {"install", "--yes"});
  }
  words.insert(words.end(), {"--prefix", job.tree});
  words.insert(words.end(), job.source.options.begin(), job.source.options.end());
  words.insert(words.end(), {"--file", path});
  job.tools.Run({.words = std::move(words)});
  RealisedSource realised;
  realised.locks.push_back({"explicit.txt", ListExplicit(job.tree, CondaPlatform())});
  realised.locks.push_back({fs::path(path).filename().string(), std::move(text)});
  realised.rebuild = {.kind = SourceKind::kCondaExplicit, .path = "explicit.txt"};
  return realised;
}

}  // namespace

RealisedSource RealiseConda(const SourceJob& job) {
  if (job.source.kind == SourceKind::kPixiLock) return RealisePixiLock(job);
  std::string text = ReadSourceFile(job.source.path);
  switch (job.source.kind) {
    case SourceKind::kCondaExplicit:
      return RealiseExplicit(job, std::move(text));
    case SourceKind::kCondaLock:
      return RealiseCondaLock(job, std::move(text));
    default:
      return RealiseEnvironmentFile(job, std::move(text));
  }
}

}  // namespace firn
