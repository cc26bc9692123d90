#ifndef FIRN_BUILDER_SOURCE_PARTS_H_
#define FIRN_BUILDER_SOURCE_PARTS_H_

#include <filesystem>
#include <functional>
#include <string>

#include "builder/source.h"
#include "builder/source_tool.h"

namespace firn {

// How each kind of source is realised; Realise() calls them.

struct SourceJob {
  const RecipeSource& source;
  const std::string& tree;     // to fill
  const std::string& scratch;  // an empty directory for files that are not to stay
  SourceTools& tools;
  const std::function<void()>& poll;
};

RealisedSource RealiseUvProject(const SourceJob& job);
RealisedSource RealisePylock(const SourceJob& job);
RealisedSource RealiseRequirements(const SourceJob& job);  // by uv or pip
RealisedSource RealiseConda(const SourceJob& job);         // all four kinds
RealisedSource RealiseArchive(const SourceJob& job);

// False where that cannot be told, too.
bool IsThere(const std::filesystem::path& path);

// The whole file. Throws kInput.
std::string ReadSourceFile(const std::string& path);

// Throws kInput where there is a file already.
void WriteScratchFile(const std::string& path, const std::string& content);

// For an input that is no lock: `found` ("…, found a requirement without a hash") and the command
// that makes one.
Error UnlockedError(const std::string& path, const std::string& found, const std::string& command);

}  // namespace firn

#endif  // FIRN_BUILDER_SOURCE_PARTS_H_
