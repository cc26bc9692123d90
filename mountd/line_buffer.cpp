#include "mountd/line_buffer.h"

namespace firn {

std::optional<std::string> LineBuffer::NextLine() {
  const size_t newline = bytes_.find('\n');
  if (newline == std::string::npos) return std::nullopt;
  std::string line = bytes_.substr(0, newline);
  bytes_.erase(0, newline + 1);
  return line;
}

}  // namespace firn
