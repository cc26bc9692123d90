#ifndef FIRN_BUILDER_RULES_PATH_TEXT_H_
#define FIRN_BUILDER_RULES_PATH_TEXT_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

// Paths within texts and binaries.
namespace firn {

// Position of the next place from `start` on where `text` names `path` or what lies below it: not
// "/opt/env2" nor "/data/opt/env" for "/opt/env". npos for none.
size_t FindPath(std::string_view text, std::string_view path, size_t start = 0);

// `text` with each such place naming `to` instead; nullopt where there is none.
std::optional<std::string> ReplacePath(std::string_view text, std::string_view from,
                                       std::string_view to);

// Replaces `from` by `to` in strings of a binary that end in a NUL, in place, the rest of each
// filled with NULs. Where `from` once took `room` bytes, a padded string may grow to that again.
enum class BinaryReplacement { kNone, kDone, kTooLong };
BinaryReplacement ReplaceInBinary(std::string& content, std::string_view from, std::string_view to,
                                  size_t room);

// Has it a NUL, or is it larger than what rules read as text?
bool IsBinary(std::string_view content);

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_PATH_TEXT_H_
