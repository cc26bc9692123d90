#ifndef FIRN_MOUNTD_UNDERLAY_H_
#define FIRN_MOUNTD_UNDERLAY_H_

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace firn {

// An underlay makes a directory appear that the caller cannot make on the host: in the job's mount
// namespace a tmpfs takes the place of a directory, and shows that directory's entries and the new
// one beside them.

struct UnderlayEntry {
  enum class Kind { kDirectory, kSymlink, kOther };
  std::string name;
  Kind kind = Kind::kOther;
  std::string link_target;  // of a symlink
};

// What is to be made in the tmpfs.
struct UnderlayStep {
  enum class Action {
    kBindDirectory,  // an empty directory, the host's bound onto it with all that is mounted below
    kBindFile,       // an empty file, the host's bound onto it
    kSymlink,        // a symlink to `link_target`
    kMakeDirectory,  // an empty directory that the host has not
  };
  Action action = Action::kMakeDirectory;
  std::string path;  // relative to the tmpfs
  std::string link_target;

  friend bool operator==(const UnderlayStep&, const UnderlayStep&) = default;
};

struct UnderlayPlan {
  std::string place;  // the directory that the tmpfs replaces, absolute and without symlinks
  std::vector<UnderlayStep> steps;

  // Nothing can be mounted over the root directory: the tmpfs becomes a new root instead.
  bool ReplacesRoot() const { return place == "/"; }
};

// Plans the tmpfs at `place` with `missing` (components of the new path below it, at least one) and
// the entries of the host's directory. An entry with the name of the first component, a dangling
// symlink, gives way.
UnderlayPlan PlanUnderlay(std::string place, const std::vector<std::string>& missing,
                          std::vector<UnderlayEntry> entries);

// Carries a plan out in the caller's mount namespace, which must be a private one. The tmpfs stays
// writable until SealUnderlay(). Throws kSystem. The working directory stays where it was, which
// may now be a directory that the new one hides.
void PlaceUnderlay(const std::string& place, const std::vector<std::string>& missing);

// Makes the tmpfs at `place` read-only: what is written there would never reach the host.
void SealUnderlay(const std::string& place);

}  // namespace firn

#endif  // FIRN_MOUNTD_UNDERLAY_H_
