#ifndef FIRN_FORMAT_PROFILE_H_
#define FIRN_FORMAT_PROFILE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace firn {

// A longer text is refused: 16 MiB hold what hundreds of programs touch.
inline constexpr size_t kMaxProfileLength = size_t{16} << 20;

// What a program did with an image.
enum class ProfileAction {
  kLookup,  // found the path
  kMiss,    // asked for the path, which is not there
  kList,    // listed the directory
  kRead     // read bytes of the file
};

struct ProfileEntry {
  ProfileAction action = ProfileAction::kLookup;
  std::string path;     // from the image's root, without a slash at either end; "." is the root
  uint64_t offset = 0;  // of kRead: bytes [offset, offset + length)
  uint64_t length = 0;

  bool operator==(const ProfileEntry&) const = default;
};

// What a program touched when it started, in order. It names paths and ranges, not places in an
// image, so that it serves images that are built later too. firn-profile(5) has the text format.
// A plain value.
class Profile {
 public:
  Profile() = default;
  explicit Profile(std::vector<ProfileEntry> entries) : entries_(std::move(entries)) {}

  // `name` is that of the text, for messages. Throws kInput that names the line for anything but a
  // whole profile: one of another version or longer than kMaxProfileLength, a damaged line, a path
  // that leads outside.
  static Profile Parse(std::string_view text, const std::string& name);
  // The same for a file, of which no more than kMaxProfileLength bytes are read.
  static Profile ReadFile(const std::string& path);

  std::string ToText() const;

  // One after the other, without what an earlier one has already done.
  static Profile Merge(std::span<const Profile> profiles);

  const std::vector<ProfileEntry>& entries() const { return entries_; }

 private:
  std::vector<ProfileEntry> entries_;
};

}  // namespace firn

#endif  // FIRN_FORMAT_PROFILE_H_
