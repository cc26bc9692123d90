#include "builder/build_settings.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <optional>
#include <string_view>

#include "builder/naming.h"
#include "builder/utf8.h"
#include "format/error.h"

namespace firn {
namespace {

constexpr uint32_t kMinBlockSize = 4096;
constexpr uint32_t kMaxBlockSize = 1u << 20;
constexpr int kMaxLevel = 22;
constexpr unsigned kMaxJobs = 1024;
// Where SOURCE_DATE_EPOCH is not set. 1980: zip files, and so wheels, know no earlier time.
constexpr int64_t kDefaultTime = 315532800;

template <typename T>
bool ParseNumber(std::string_view text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

int64_t ImageTime() {
  const char* epoch = std::getenv("SOURCE_DATE_EPOCH");
  if (epoch == nullptr || *epoch == '\0') return kDefaultTime;
  uint32_t time = 0;
  if (!ParseNumber<uint32_t>(epoch, time)) {
    throw Error(ErrorKind::kUsage,
                "SOURCE_DATE_EPOCH is '" + std::string(epoch) +
                    "', which is not a number of seconds from 0 to 4294967295",
                "Set it to one (date +%s), or unset it.");
  }
  return time;
}

// Processors that this process may use: a batch system gives a job less than the node has.
unsigned ProcessorCount() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

}  // namespace

uint32_t ParseBlockSize(std::string_view text) {
  std::string_view digits = text;
  uint32_t unit = 1;
  if (digits.ends_with('K') || digits.ends_with('k')) unit = 1u << 10;
  if (digits.ends_with('M') || digits.ends_with('m')) unit = 1u << 20;
  if (unit != 1) digits.remove_suffix(1);
  uint32_t number = 0;
  const bool parsed = ParseNumber(digits, number);
  const uint64_t size = uint64_t{number} * unit;
  if (!parsed || size < kMinBlockSize || size > kMaxBlockSize || (size & (size - 1)) != 0) {
    throw Error(ErrorKind::kUsage,
                "'" + EscapeForText(text) +
                    "' is not a block size: a power of two from 4K to 1M (4K, 128K, 1M)");
  }
  return static_cast<uint32_t>(size);
}

std::string CheckedPrefix(const std::string& prefix) {
  if (const std::optional<std::string> why = WhyNotPrefix(prefix)) {
    throw Error(ErrorKind::kUsage, "the prefix '" + EscapeForText(prefix) + "' " + *why,
                "Give the absolute path at which the environment is to be seen with --prefix.");
  }
  return NormalizedPrefix(prefix);
}

std::string CheckedName(const std::string& name) {
  if (!IsImageName(name)) {
    throw Error(ErrorKind::kUsage,
                "'" + EscapeForText(name) +
                    "' cannot be the image's name: it takes 1 to 255 bytes of printable UTF-8 "
                    "without '/'",
                "Give another one with --name.");
  }
  return name;
}

unsigned ResolveJobs(unsigned jobs) {
  if (jobs > kMaxJobs) {
    throw Error(ErrorKind::kUsage,
                "--jobs is " + std::to_string(jobs) + "; it takes a number from 1 to 1024");
  }
  return jobs != 0 ? jobs : std::min(ProcessorCount(), kMaxJobs);
}

BuildSettings ResolveSettings(const BuildOptions& options, const std::string& real_directory) {
  if (options.level < 1 || options.level > kMaxLevel) {
    throw Error(ErrorKind::kUsage,
                "the level is " + std::to_string(options.level) + "; zstd has levels from 1 to 22");
  }
  BuildSettings settings;
  settings.jobs = ResolveJobs(options.jobs);
  settings.name =
      CheckedName(options.name.value_or(std::filesystem::path(real_directory).filename().string()));
  settings.prefix = CheckedPrefix(options.prefix.value_or(real_directory));
  settings.time = ImageTime();
  return settings;
}

}  // namespace firn
