#ifndef FIRN_MOUNTD_LOG_FIELDS_H_
#define FIRN_MOUNTD_LOG_FIELDS_H_

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace firn {

// What a line of the log says to programs, beside its message: a member of the JSON object, or the
// journal's field FIRN_NAME.
struct LogField {
  LogField(std::string_view field_name, std::string text)
      : name(field_name), value(std::move(text)) {}
  LogField(std::string_view field_name, uint64_t number) : name(field_name), value(number) {}

  std::string name;  // lower-case letters and underscores
  std::variant<uint64_t, std::string> value;
};

using LogFields = std::vector<LogField>;

// How a process tells its lines' fields to the one that writes them: the "fields" of a message.
nlohmann::json LogFieldsToJson(const LogFields& fields);
// Those of a message that may be anything: what is no field is left out, and what would take the
// place of the line's own members or of the context.
LogFields LogFieldsFrom(const nlohmann::json& message);

// The fields of every line from now on. To be called before other threads log.
void SetLogContext(LogFields fields);

// While it lives, the fields of what its thread logs. `fields` outlive it.
class LineFields {
 public:
  explicit LineFields(const LogFields& fields);
  ~LineFields();
  LineFields(const LineFields&) = delete;
  LineFields& operator=(const LineFields&) = delete;

 private:
  const LogFields* before_;
};

// Those of the line that the calling thread is logging, the context's first.
void VisitLogFields(const std::function<void(const LogField&)>& visit);

}  // namespace firn

#endif  // FIRN_MOUNTD_LOG_FIELDS_H_
