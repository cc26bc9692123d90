#ifndef FIRN_BUILDER_TEMPORARY_DIRECTORY_H_
#define FIRN_BUILDER_TEMPORARY_DIRECTORY_H_

#include <string>

namespace firn {

// A private directory (0700) under $TMPDIR or /tmp, removed with all that is in it on destruction.
class TemporaryDirectory {
 public:
  // Throws kOutput.
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }  // absolute

 private:
  std::string path_;
};

}  // namespace firn

#endif  // FIRN_BUILDER_TEMPORARY_DIRECTORY_H_
