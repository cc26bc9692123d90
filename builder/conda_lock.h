#ifndef FIRN_BUILDER_CONDA_LOCK_H_
#define FIRN_BUILDER_CONDA_LOCK_H_

#include <string>

namespace firn {

// Why a text of `conda list --explicit` is no lock, as "line 3: REASON"; empty where it is one.
std::string FindUnlockedUrl(const std::string& text);

// What a lock has for one platform, as two texts for the tools that install.
struct CondaLockPart {
  std::string explicit_list;  // as of conda list --explicit
  std::string requirements;   // packages of pip's, with hashes; may be empty
};

// conda-lock.yml. `platform`: "linux-64". Throws kInput where the text is none, has nothing for
// the platform, or names a package without a hash.
CondaLockPart ReadCondaLock(const std::string& text, const std::string& path,
                            const std::string& platform);

// Does an environment.yml have packages of pip's, which conda cannot lock?
bool HasPipSection(const std::string& text, const std::string& path);

// What is installed in a prefix, of its conda-meta, as an explicit list in order of the URLs.
std::string ListExplicit(const std::string& prefix, const std::string& platform);

// "linux-64": conda's name of the machine.
std::string CondaPlatform();

}  // namespace firn

#endif  // FIRN_BUILDER_CONDA_LOCK_H_
