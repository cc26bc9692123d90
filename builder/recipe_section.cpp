#include "builder/recipe_section.h"

#include <fcntl.h>

#include <filesystem>
#include <span>
#include <vector>

#include "builder/recipe_text.h"
#include "builder/utf8.h"
#include "format/digest.h"
#include "format/file.h"

namespace firn {
namespace {

std::string LastPart(const std::string& path) {
  return path.find('/') == std::string::npos ? path
                                             : std::filesystem::path(path).filename().string();
}

Digest DigestOfFile(const std::string& path) {
  const FileDescriptor file = OpenFile(path, O_RDONLY, ErrorKind::kInput);
  Sha256 digest;
  std::vector<std::byte> buffer(size_t{1} << 20);
  uint64_t offset = 0;
  while (const size_t got = ReadAt(file.get(), offset, buffer)) {
    digest.Update(std::span(buffer).first(got));
    offset += got;
  }
  return digest.Finish();
}

std::string DigestLine(const std::string& name, const Digest& digest) {
  return "# " + EscapeForText(name) + " is sha256:" + ToHex(digest) + "\n";
}

}  // namespace

std::string RecipeSection(const Recipe& recipe, const RealisedSource& source) {
  std::string text = "# firn build takes this beside the files that firn inspect --lock gives.\n";
  for (const RealisedSource::LockFile& lock : source.locks) {
    text += DigestLine(lock.name, Sha256Of(std::as_bytes(std::span(lock.content))));
  }
  Recipe neutral = recipe;
  neutral.source.path = ".";
  if (recipe.source.kind == SourceKind::kArchive) {
    text += DigestLine(LastPart(recipe.source.path), DigestOfFile(recipe.source.path));
  }
  if (recipe.source.kind != SourceKind::kDirectory) {
    neutral.source.path = source.rebuild.path;
    neutral.source.kind = source.rebuild.kind;
  }
  neutral.source.resolve = false;
  neutral.source.python = LastPart(recipe.source.python);
  neutral.base = LastPart(recipe.base);
  neutral.profile = LastPart(recipe.profile);
  return text + ToYaml(neutral);
}

}  // namespace firn
