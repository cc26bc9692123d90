#ifndef FIRN_CLI_PROGRESS_H_
#define FIRN_CLI_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace firn {

// A line on the terminal that says how far a long work is: shown once it has taken a second, and
// only where stderr is a terminal. Not thread-safe.
class ProgressBar {
 public:
  enum class Unit { kCount, kBytes };

  // `enabled`: false for --quiet and the like.
  explicit ProgressBar(bool enabled);
  // Wipes the line.
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Cheap enough to be called for every file. `total` 0: not known.
  void Update(std::string_view what, uint64_t done, uint64_t total, Unit unit);
  // A line of another program's as it is.
  void Show(const std::string& line);

 private:
  // Is it time for another line?
  bool IsDue();

  using Clock = std::chrono::steady_clock;

  bool enabled_;
  bool shown_ = false;
  const Clock::time_point start_;
  Clock::time_point next_;
};

// The line for a terminal of that many columns, without "\r".
std::string FormatProgress(std::string_view what, uint64_t done, uint64_t total,
                           ProgressBar::Unit unit, size_t columns);

// "512 B", "1.4 MiB", "2.0 GiB".
std::string FormatBytes(uint64_t bytes);

}  // namespace firn

#endif  // FIRN_CLI_PROGRESS_H_
