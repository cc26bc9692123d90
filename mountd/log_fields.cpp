#include "mountd/log_fields.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace firn {
namespace {

LogFields context_fields;
// spdlog knows no fields, but its sinks and formatters run in the thread that logs.
thread_local const LogFields* line_fields = nullptr;

bool IsFieldName(const std::string& name) {
  constexpr size_t kLongestName = 32;
  const auto is_allowed = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  return !name.empty() && name.size() <= kLongestName &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

bool IsTaken(const std::string& name) {
  const auto is_named = [&](const LogField& field) { return field.name == name; };
  return name == "time" || name == "level" || name == "message" || name == "pid" ||
         std::any_of(context_fields.begin(), context_fields.end(), is_named);
}

}  // namespace

nlohmann::json LogFieldsToJson(const LogFields& fields) {
  nlohmann::json object = nlohmann::json::object();
  for (const LogField& field : fields) {
    std::visit([&](const auto& value) { object[field.name] = value; }, field.value);
  }
  return object;
}

LogFields LogFieldsFrom(const nlohmann::json& message) {
  LogFields fields;
  const auto object = message.find("fields");
  if (object == message.end() || !object->is_object()) return fields;
  for (const auto& [name, value] : object->items()) {
    if (!IsFieldName(name) || IsTaken(name)) continue;
    if (value.is_number_unsigned()) fields.emplace_back(name, value.get<uint64_t>());
    if (value.is_string()) fields.emplace_back(name, value.get<std::string>());
  }
  return fields;
}

void SetLogContext(LogFields fields) { context_fields = std::move(fields); }

LineFields::LineFields(const LogFields& fields) : before_(std::exchange(line_fields, &fields)) {}

LineFields::~LineFields() { line_fields = before_; }

void VisitLogFields(const std::function<void(const LogField&)>& visit) {
  for (const LogField& field : context_fields) visit(field);
  if (line_fields == nullptr) return;
  for (const LogField& field : *line_fields) visit(field);
}

}  // namespace firn
