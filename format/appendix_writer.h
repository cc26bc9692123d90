#ifndef FIRN_FORMAT_APPENDIX_WRITER_H_
#define FIRN_FORMAT_APPENDIX_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "format/digest.h"
#include "format/squashfs_writer.h"

namespace firn {

struct WrittenAppendix {
  Digest image_id;
  uint64_t file_length = 0;
};

// What goes into the appendix beside what follows from the SquashFS part.
struct AppendixContents {
  struct Other {
    std::string name;
    std::vector<std::byte> content;
  };
  std::string_view manifest_yaml;
  std::string_view profile;  // text of firn-profile(5); empty: no such section
  std::vector<Other> others = {};
};

// Appends the sections, the core table and the footer to a file that holds the SquashFS part,
// which is read back and hashed by `jobs` threads. `poll` is called now and then by the calling
// thread and may throw to give up.
WrittenAppendix WriteAppendix(int fd, const SquashfsPart& part, const AppendixContents& contents,
                              unsigned jobs, const std::function<void()>& poll);

}  // namespace firn

#endif  // FIRN_FORMAT_APPENDIX_WRITER_H_
