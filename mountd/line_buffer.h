#ifndef FIRN_MOUNTD_LINE_BUFFER_H_
#define FIRN_MOUNTD_LINE_BUFFER_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace firn {

// The control protocol's framing: messages are lines. Bytes come in as they were received, lines
// go out whole.
class LineBuffer {
 public:
  // `limit`: bytes that a line may have.
  explicit LineBuffer(size_t limit) : limit_(limit) {}

  void Append(std::string_view bytes) { bytes_ += bytes; }

  // The next line without its newline, once it is whole.
  std::optional<std::string> NextLine();

  // Has a line grown past the limit? Nothing good will come any more.
  bool overlong() const { return bytes_.find('\n') == std::string::npos && bytes_.size() > limit_; }

 private:
  const size_t limit_;
  std::string bytes_;
};

}  // namespace firn

#endif  // FIRN_MOUNTD_LINE_BUFFER_H_
