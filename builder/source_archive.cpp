#include <filesystem>
#include <string>
#include <vector>

#include "builder/archive.h"
#include "builder/source_parts.h"

namespace firn {
namespace {

namespace fs = std::filesystem;

// `tar -czf env.tar.gz env`: the environment is one directory further down.
void TakeOutOfItsDirectory(const std::string& tree) {
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(tree)) entries.push_back(entry.path());
  if (entries.size() != 1 || fs::is_symlink(entries[0]) || !IsEnvironment(entries[0].string())) {
    return;
  }
  // Not the name of anything in it.
  const fs::path aside = tree + "/.firn-unpacked";
  fs::rename(entries[0], aside);
  for (const auto& entry : fs::directory_iterator(aside)) {
    fs::rename(entry.path(), fs::path(tree) / entry.path().filename());
  }
  fs::remove(aside);
}

}  // namespace

RealisedSource RealiseArchive(const SourceJob& job) {
  UnpackArchive(job.source.path, job.tree, job.poll);
  TakeOutOfItsDirectory(job.tree);
  RealisedSource realised;
  realised.rebuild = {.kind = SourceKind::kArchive,
                      .path = fs::path(job.source.path).filename().string()};
  return realised;
}

}  // namespace firn
