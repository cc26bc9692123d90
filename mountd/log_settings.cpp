#include "mountd/log_settings.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace firn {
namespace {

using namespace std::string_view_literals;

constexpr std::array kLevelTable = {
    std::pair{LogLevel::kError, "error"sv}, std::pair{LogLevel::kWarning, "warning"sv},
    std::pair{LogLevel::kInfo, "info"sv}, std::pair{LogLevel::kDebug, "debug"sv}};
constexpr std::array kFormatTable = {std::pair{LogFormat::kText, "text"sv},
                                     std::pair{LogFormat::kJson, "json"sv}};
constexpr std::array kDestinationTable = {
    std::pair{LogDestination::kStderr, "stderr"sv}, std::pair{LogDestination::kSyslog, "syslog"sv},
    std::pair{LogDestination::kJournal, "journal"sv}, std::pair{LogDestination::kFile, "file"sv}};

template <typename Table, typename Value>
std::string_view NameIn(const Table& table, Value value) {
  const auto found = std::find_if(std::begin(table), std::end(table),
                                  [&](const auto& entry) { return entry.first == value; });
  return found == std::end(table) ? "default"sv : found->second;
}

template <typename Value, typename Table>
std::optional<Value> ValueIn(const Table& table, std::string_view name) {
  for (const auto& [value, value_name] : table) {
    if (value_name == name) return value;
  }
  return std::nullopt;
}

}  // namespace

std::string_view ToString(LogLevel level) { return NameIn(kLevelTable, level); }
std::string_view ToString(LogFormat format) { return NameIn(kFormatTable, format); }
std::string_view ToString(LogDestination destination) {
  return NameIn(kDestinationTable, destination);
}

std::optional<LogLevel> ParseLogLevel(std::string_view name) {
  return ValueIn<LogLevel>(kLevelTable, name);
}
std::optional<LogFormat> ParseLogFormat(std::string_view name) {
  return ValueIn<LogFormat>(kFormatTable, name);
}
std::optional<LogDestination> ParseLogDestination(std::string_view name) {
  return ValueIn<LogDestination>(kDestinationTable, name);
}

}  // namespace firn
