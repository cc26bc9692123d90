#include "cli/suggest.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace firn {
namespace {

// Optimal string alignment distance.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> distance(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        distance[i][j] = i + j;
        continue;
      }
      const size_t replaced = distance[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      distance[i][j] = std::min({distance[i - 1][j] + 1, distance[i][j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        distance[i][j] = std::min(distance[i][j], distance[i - 2][j - 2] + 1);
      }
    }
  }
  return distance[a.size()][b.size()];
}

}  // namespace

std::string Suggest(std::string_view typed, const std::vector<std::string>& names) {
  if (typed.empty() || typed.size() > 64) return {};
  std::vector<std::string> starting;
  std::copy_if(names.begin(), names.end(), std::back_inserter(starting),
               [&](const std::string& name) { return name.starts_with(typed); });
  if (starting.size() == 1) return starting.front();

  std::string best;
  size_t best_distance = 0;
  for (const std::string& name : names) {
    const size_t distance = EditDistance(typed, name);
    const bool nearer = distance < best_distance ||
                        (distance == best_distance && best.front() != typed.front() &&
                         name.front() == typed.front());  // the first letter is seldom wrong
    if (best.empty() || nearer) {
      best = name;
      best_distance = distance;
    }
  }
  // A third of the letters wrong is a slip of the fingers; more is another word.
  const size_t allowed = std::max<size_t>(1, std::max(typed.size(), best.size()) / 3);
  return best_distance <= allowed ? best : std::string();
}

}  // namespace firn
