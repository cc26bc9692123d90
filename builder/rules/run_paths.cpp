#include "builder/rules/run_paths.h"

#include <optional>

#include "builder/rules/elf_dynamic.h"
#include "format/parallel.h"

namespace firn {
namespace {

bool MayBeLinked(const TreeEntry& file) {
  return file.size > 64 && (file.executable || file.path.find(".so") != std::string::npos);
}

}  // namespace

void MakeRunPathsRelative(RuleWork& work, const std::vector<std::string>& places) {
  const std::vector<TreeEntry> files = work.Files(MayBeLinked);
  std::vector<std::optional<ElfDynamic>> found(files.size());
  ParallelFor(work.tree().jobs, files.size(), [&](uint64_t i) {
    std::optional<ElfDynamic> dynamic = ReadElfDynamic(work.At(files[i].path));
    if (dynamic && !dynamic->run_path.empty()) found[i] = std::move(dynamic);
  });
  for (size_t i = 0; i < files.size(); ++i) {
    if (!found[i]) continue;
    std::optional<std::string> made;
    for (const std::string& place : places) {
      const std::string& now = made ? *made : found[i]->run_path;
      if (auto next = RelativeRunPath(now, place, ParentOf(files[i].path))) made = std::move(next);
    }
    if (!made) continue;
    const std::optional<std::string> content = work.Read(files[i].path);
    if (!content) continue;
    if (made->size() > found[i]->run_path.size() || found[i]->shared_text) {
      work.report.bound.push_back(files[i].path);
      continue;
    }
    std::string changed = *content;
    made->resize(found[i]->run_path.size(), '\0');
    changed.replace(found[i]->run_path_offset, made->size(), *made);
    work.Write(files[i].path, changed);
    ++work.report.relocated;
  }
}

}  // namespace firn
