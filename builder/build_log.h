#ifndef FIRN_BUILDER_BUILD_LOG_H_
#define FIRN_BUILDER_BUILD_LOG_H_

#include <functional>
#include <string>
#include <string_view>

#include "format/file.h"

namespace firn {

// What the tools of a build print: shown as it comes, and kept in a file beside the image, as it
// differs from run to run. Not thread-safe.
class BuildLog {
 public:
  // `path`: of the file, which is replaced; empty: none is written. `show` gets each line.
  BuildLog(const std::string& path, std::function<void(std::string_view line)> show);

  // A line without its end. Throws kOutput.
  void Write(std::string_view line);
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::function<void(std::string_view)> show_;
  FileDescriptor file_;
};

}  // namespace firn

#endif  // FIRN_BUILDER_BUILD_LOG_H_
