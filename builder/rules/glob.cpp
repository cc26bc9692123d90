#include "builder/rules/glob.h"

#include <cstddef>
#include <vector>

namespace firn {
namespace {

// The length of the set at the front of `glob`, brackets and all; 0 where there is none.
size_t SetLength(std::string_view glob) {
  if (!glob.starts_with('[')) return 0;
  size_t at = 1;
  if (at < glob.size() && (glob[at] == '!' || glob[at] == '^')) ++at;
  if (at < glob.size() && glob[at] == ']') ++at;
  const size_t end = glob.find(']', at);
  return end == std::string_view::npos ? 0 : end + 1;
}

bool SetContains(std::string_view set, char c) {
  set = set.substr(1, set.size() - 2);
  const bool negated = set.starts_with('!') || set.starts_with('^');
  if (negated) set.remove_prefix(1);
  bool found = false;
  for (size_t i = 0; i < set.size(); ++i) {
    if (i + 2 < set.size() && set[i + 1] == '-') {
      found |= set[i] <= c && c <= set[i + 2];
      i += 2;
    } else {
      found |= set[i] == c;
    }
  }
  return found != negated;
}

// One step of a glob: what it may stand for, and how much of the glob it takes.
struct Step {
  enum class Kind { kCharacter, kAny, kSet, kStar, kDeepStar, kDirectories } kind;
  std::string_view text;
};

std::vector<Step> StepsOf(std::string_view glob) {
  std::vector<Step> steps;
  while (!glob.empty()) {
    Step step{.kind = Step::Kind::kCharacter, .text = glob.substr(0, 1)};
    if (glob.starts_with("**/")) {
      step = {.kind = Step::Kind::kDirectories, .text = glob.substr(0, 3)};
    } else if (glob.starts_with("**")) {
      step = {.kind = Step::Kind::kDeepStar, .text = glob.substr(0, 2)};
    } else if (glob[0] == '*') {
      step.kind = Step::Kind::kStar;
    } else if (glob[0] == '?') {
      step.kind = Step::Kind::kAny;
    } else if (const size_t length = SetLength(glob); length > 0) {
      step = {.kind = Step::Kind::kSet, .text = glob.substr(0, length)};
    }
    steps.push_back(step);
    glob.remove_prefix(step.text.size());
  }
  return steps;
}

}  // namespace

// The set of positions in the path that the steps so far can end at: no backtracking, whatever the
// glob.
bool GlobMatches(std::string_view glob, std::string_view path) {
  std::vector<bool> at(path.size() + 1, false);
  at[0] = true;
  for (const Step& step : StepsOf(glob)) {
    std::vector<bool> next(path.size() + 1, false);
    bool reached = false;  // a star was entered here or before, and may go on
    for (size_t i = 0; i <= path.size(); ++i) {
      const bool one = i < path.size() && at[i];
      switch (step.kind) {
        case Step::Kind::kCharacter:
          if (one && path[i] == step.text[0]) next[i + 1] = true;
          break;
        case Step::Kind::kAny:
          if (one && path[i] != '/') next[i + 1] = true;
          break;
        case Step::Kind::kSet:
          if (one && path[i] != '/' && SetContains(step.text, path[i])) next[i + 1] = true;
          break;
        case Step::Kind::kStar:
          reached = (reached && i > 0 && path[i - 1] != '/') || at[i];
          if (reached) next[i] = true;
          break;
        case Step::Kind::kDeepStar:
          reached = reached || at[i];
          if (reached) next[i] = true;
          break;
        case Step::Kind::kDirectories:
          if (at[i] || (reached && i > 0 && path[i - 1] == '/')) next[i] = true;
          reached = reached || at[i];
          break;
      }
    }
    at = std::move(next);
  }
  return at[path.size()];
}

}  // namespace firn
