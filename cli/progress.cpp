#include "cli/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace firn {
namespace {

constexpr auto kBeforeFirst = std::chrono::seconds(1);
constexpr auto kBetween = std::chrono::milliseconds(100);
constexpr size_t kBarWidth = 30;
constexpr size_t kDefaultColumns = 80;

size_t TerminalColumns() {
  struct winsize size {};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kDefaultColumns;
  return size.ws_col;
}

void Print(std::string_view text) {
  // Nobody is told of a terminal that went away.
  [[maybe_unused]] const ssize_t put = write(STDERR_FILENO, text.data(), text.size());
}

std::string FormatAmount(uint64_t amount, ProgressBar::Unit unit) {
  return unit == ProgressBar::Unit::kBytes ? FormatBytes(amount) : std::to_string(amount);
}

}  // namespace

ProgressBar::ProgressBar(bool enabled)
    : enabled_(enabled && isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      next_(start_ + kBeforeFirst) {}

ProgressBar::~ProgressBar() {
  if (shown_) Print("\r\x1b[K");
}

bool ProgressBar::IsDue() {
  if (!enabled_) return false;
  const Clock::time_point now = Clock::now();
  if (now < next_) return false;
  next_ = now + kBetween;
  shown_ = true;
  return true;
}

void ProgressBar::Show(const std::string& line) {
  if (IsDue()) Print("\r" + line.substr(0, TerminalColumns() - 1) + "\x1b[K");
}

void ProgressBar::Update(std::string_view what, uint64_t done, uint64_t total, Unit unit) {
  if (!IsDue()) return;
  Print("\r" + FormatProgress(what, done, total, unit, TerminalColumns()) + "\x1b[K");
}

std::string FormatProgress(std::string_view what, uint64_t done, uint64_t total,
                           ProgressBar::Unit unit, size_t columns) {
  std::string line(what);
  if (total == 0) {
    line += " " + FormatAmount(done, unit);
  } else {
    const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    const auto filled = static_cast<size_t>(part * kBarWidth);
    line += " [" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + "] " +
            std::to_string(static_cast<int>(part * 100)) + " % of " + FormatAmount(total, unit);
  }
  // The last column stays free: a terminal may wrap the line there.
  if (line.size() >= columns) line.resize(columns > 0 ? columns - 1 : 0);
  return line;
}

std::string FormatBytes(uint64_t bytes) {
  constexpr std::array<const char*, 6> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  // What would round to 1024.0 is 1.0 of the next unit.
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %s", value, kUnits[unit]);
  return text;
}

}  // namespace firn
