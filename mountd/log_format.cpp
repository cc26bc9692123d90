#include "mountd/log_format.h"

#include <fmt/core.h>
#include <spdlog/pattern_formatter.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>

#include "mountd/log_fields.h"

namespace firn {
namespace {

constexpr char kTextPattern[] = "%Y-%m-%dT%H:%M:%S.%e%z firnd[%P] %l: %v";

// RFC 3339, in UTC, to the microsecond.
std::string FormatLogTime(std::chrono::system_clock::time_point time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const time_t whole = std::chrono::system_clock::to_time_t(seconds);
  const auto rest = std::chrono::duration_cast<std::chrono::microseconds>(time - seconds).count();
  struct tm parts {};
  gmtime_r(&whole, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     rest);
}

class TextLineFormatter : public spdlog::formatter {
 public:
  explicit TextLineFormatter(LogFrame frame)
      : frame_(frame),
        pattern_(frame == LogFrame::kWhole ? kTextPattern : "%v", spdlog::pattern_time_type::local,
                 frame == LogFrame::kWhole ? "\n" : "") {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
    const std::string text = OnOneLine({message.payload.data(), message.payload.size()});
    spdlog::details::log_msg one_line = message;
    one_line.payload = text;
    pattern_.format(one_line, line);
  }

  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<TextLineFormatter>(frame_);
  }

 private:
  const LogFrame frame_;
  spdlog::pattern_formatter pattern_;
};

class JsonLineFormatter : public spdlog::formatter {
 public:
  explicit JsonLineFormatter(LogFrame frame) : frame_(frame) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& line) override {
    const spdlog::string_view_t level = spdlog::level::to_string_view(message.level);
    nlohmann::ordered_json object = {
        {"time", FormatLogTime(message.time)},
        {"level", std::string_view(level.data(), level.size())},
        {"message", std::string_view(message.payload.data(), message.payload.size())},
        {"pid", getpid()}};
    VisitLogFields([&](const LogField& field) {
      std::visit([&](const auto& value) { object[field.name] = value; }, field.value);
    });
    std::string text = object.dump(-1, ' ', /*ensure_ascii=*/false,
                                   nlohmann::ordered_json::error_handler_t::replace);
    if (frame_ == LogFrame::kWhole) text += '\n';
    line.append(text.data(), text.data() + text.size());
  }

  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonLineFormatter>(frame_);
  }

 private:
  const LogFrame frame_;
};

}  // namespace

std::unique_ptr<spdlog::formatter> MakeLogFormatter(LogFormat format, LogFrame frame) {
  if (format == LogFormat::kJson) return std::make_unique<JsonLineFormatter>(frame);
  return std::make_unique<TextLineFormatter>(frame);
}

std::string OnOneLine(std::string_view text) {
  std::string line;
  line.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      line += "; ";
    } else if (byte < 0x20 || byte == 0x7f) {
      line += fmt::format("\\x{:02x}", byte);
    } else {
      line += c;
    }
  }
  return line;
}

}  // namespace firn
