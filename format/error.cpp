#include "format/error.h"

#include <system_error>
#include <utility>

namespace firn {
namespace {

std::string Compose(const std::string& message, const std::string& remedy, const std::string& path,
                    std::optional<uint64_t> offset) {
  std::string text;
  if (!path.empty()) text += path + ": ";
  if (offset) text += "at offset " + std::to_string(*offset) + ": ";
  text += message;
  if (!remedy.empty()) text += "\n" + remedy;
  return text;
}

}  // namespace

Error::Error(ErrorKind kind, std::string message, std::string remedy)
    : Error(kind, std::move(message), std::move(remedy), {}, std::nullopt) {}

Error::Error(ErrorKind kind, std::string message, std::string remedy, std::string path,
             std::optional<uint64_t> offset)
    : std::runtime_error(Compose(message, remedy, path, offset)),
      kind_(kind),
      message_(std::move(message)),
      remedy_(std::move(remedy)),
      path_(std::move(path)),
      offset_(offset) {}

Error Error::WithPath(std::string_view path) const {
  if (!path_.empty()) return *this;
  return Error(kind_, message_, remedy_, std::string(path), offset_);
}

Error Error::WithOffset(uint64_t offset) const {
  if (offset_) return *this;
  return Error(kind_, message_, remedy_, path_, offset);
}

Error Error::About(std::string_view object) const {
  return Error(kind_, std::string(object) + ": " + message_, remedy_, path_, offset_);
}

Error SystemError(ErrorKind kind, int error_number, std::string_view message, std::string remedy) {
  std::string text(message);
  text += ": " + std::generic_category().message(error_number);
  return Error(kind, std::move(text), std::move(remedy));
}

Error DamagedError(std::string message, std::optional<uint64_t> offset) {
  const Error error(ErrorKind::kDamaged, std::move(message),
                    "The file is damaged; fetch it again or restore it from a copy.");
  return offset ? error.WithOffset(*offset) : error;
}

}  // namespace firn
