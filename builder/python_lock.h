#ifndef FIRN_BUILDER_PYTHON_LOCK_H_
#define FIRN_BUILDER_PYTHON_LOCK_H_

#include <string>
#include <vector>

namespace firn {

// Lock files of Python packages, read to see what they lock; installing is their tools' work.

struct LockedPackages {
  std::vector<std::string> sdist_only;  // names of packages without a wheel
};

// pylock.toml and uv.lock. `path` for messages. Throw kInput where the text is none, or names a
// file without a hash.
LockedPackages ReadPylock(const std::string& text, const std::string& path);
LockedPackages ReadUvLock(const std::string& text, const std::string& path);

// The first requirement of a requirements.txt that is not locked by a version and hashes, as
// "line 3: REASON"; empty where all are.
std::string FindUnlockedRequirement(const std::string& text);

// The name of a package as its metadata's directory may have it: "Foo.Bar-x" is "foo_bar_x".
std::string NormalPackageName(const std::string& name);

}  // namespace firn

#endif  // FIRN_BUILDER_PYTHON_LOCK_H_
