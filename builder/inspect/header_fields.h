#ifndef FIRN_BUILDER_INSPECT_HEADER_FIELDS_H_
#define FIRN_BUILDER_INSPECT_HEADER_FIELDS_H_

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace firn {

// "Key: value" lines up to the first empty one, as Python's METADATA, R's DESCRIPTION and dpkg's
// status have them; a line that starts with a blank goes on the one before. Takes any bytes: lines
// that are neither are passed over. The text must outlive it.
class HeaderFields {
 public:
  explicit HeaderFields(std::string_view text);

  // The first value of a key, whatever its case, without blanks around it and with its lines
  // joined by line feeds; empty where there is none.
  std::string Get(std::string_view key) const;
  std::vector<std::string> GetAll(std::string_view key) const;

 private:
  std::vector<std::pair<std::string_view, std::string_view>> fields_;  // values as they stand
};

// Calls `take` for each paragraph: what empty lines divide.
void ForEachParagraph(std::string_view text, const std::function<void(std::string_view)>& take);

// Without blanks and line ends around it.
std::string_view Trimmed(std::string_view text);

}  // namespace firn

#endif  // FIRN_BUILDER_INSPECT_HEADER_FIELDS_H_
