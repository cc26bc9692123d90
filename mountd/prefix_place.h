#ifndef FIRN_MOUNTD_PREFIX_PLACE_H_
#define FIRN_MOUNTD_PREFIX_PLACE_H_

#include <string>
#include <string_view>
#include <vector>

namespace firn {

// Throws kUsage where an image cannot be shown at `prefix`: not absolute, with "." or ".." in it,
// the root directory, or in /proc, /sys or /dev, which every program needs as they are.
void CheckPrefix(const std::string& prefix);

// `prefix` without doubled or trailing slashes.
std::string NormalPrefix(const std::string& prefix);

// Does `path` equal `directory` or lie below it? Both absolute, compared as text.
bool IsAtOrBelow(std::string_view path, std::string_view directory);

// Sees to it that the directories exist at which images are shown, in the caller's private mount
// namespace. Not thread-safe.
class PrefixPlacer {
 public:
  // Returns the directory `prefix` as an absolute path without symlinks. Where it is missing it is
  // made on the host if the caller may do that, as a job's other writes beside it then still reach
  // the host; else by an underlay. Throws kMountPoint or kSystem.
  std::string Ensure(const std::string& prefix);

  // Makes the underlays read-only, once nothing more is to be made in them.
  void Seal() const;

  // The directories that an underlay replaces, "/" among them.
  const std::vector<std::string>& underlays() const { return underlays_; }

 private:
  std::vector<std::string> underlays_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_PREFIX_PLACE_H_
