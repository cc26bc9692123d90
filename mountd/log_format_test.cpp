#include "mountd/log_format.h"

#include <gtest/gtest.h>
#include <spdlog/details/log_msg.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "mountd/log_fields.h"

namespace firn {
namespace {

std::string FormatLine(LogFormat format, LogFrame frame, const std::string& text) {
  using std::chrono::system_clock;
  // 2009-02-13 23:31:30 UTC, which date(1) has for @1234567890.
  const auto time = system_clock::from_time_t(1234567890) + std::chrono::microseconds(45);
  const spdlog::details::log_msg message(time, spdlog::source_loc{}, "firnd", spdlog::level::warn,
                                         text);
  spdlog::memory_buf_t line;
  MakeLogFormatter(format, frame)->format(message, line);
  return {line.data(), line.size()};
}

TEST(LogFormat, JsonHasOneObjectWithTheFieldsOfTheLine) {
  const LogFields fields = {{"operation", "read"}, {"inode", uint64_t{7}}};
  const LineFields of_this_line(fields);
  const std::string line = FormatLine(LogFormat::kJson, LogFrame::kWhole, "a \"b\"\nc\xff");
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const nlohmann::json object = nlohmann::json::parse(line);
  EXPECT_EQ(object, (nlohmann::json{{"time", "2009-02-13T23:31:30.000045Z"},
                                    {"level", "warning"},
                                    {"message", "a \"b\"\nc\xef\xbf\xbd"},
                                    {"pid", getpid()},
                                    {"operation", "read"},
                                    {"inode", 7}}));
}

TEST(LogFormat, FieldsEndWithTheirLine) {
  {
    const LogFields fields = {{"inode", uint64_t{7}}};
    const LineFields of_another_line(fields);
  }
  const std::string line = FormatLine(LogFormat::kJson, LogFrame::kBare, "text");
  EXPECT_FALSE(nlohmann::json::parse(line).contains("inode"));
  EXPECT_TRUE(line.ends_with('}'));
}

TEST(LogFields, GoFromOneProcessToAnother) {
  const LogFields fields = {{"operation", "read"}, {"inode", uint64_t{1} << 63}};
  const LogFields there = LogFieldsFrom({{"fields", LogFieldsToJson(fields)}});
  EXPECT_EQ(LogFieldsToJson(there), (nlohmann::json{{"operation", "read"}, {"inode", 1ull << 63}}));
}

// The other process reads images that anybody may have made.
TEST(LogFields, TakeNoOthersPlace) {
  SetLogContext({{"image", "/image"}});
  const LogFields fields = LogFieldsFrom(nlohmann::json::parse(R"({"fields": {
      "time": "x", "level": "x", "message": "x", "pid": 1, "image": "x", "a=b\nMESSAGE": "x",
      "": "x", "list": [1, 2], "negative": -1, "inode": 7}})"));
  SetLogContext({});
  EXPECT_EQ(LogFieldsToJson(fields), (nlohmann::json{{"inode", 7}}));
  for (const nlohmann::json& wrong : {nlohmann::json::object(), nlohmann::json{{"fields", 7}},
                                      nlohmann::json{{"fields", {1, 2}}}}) {
    EXPECT_TRUE(LogFieldsFrom(wrong).empty());
  }
}

TEST(LogFormat, TextIsOneLineWhateverTheMessageHolds) {
  const std::string line =
      FormatLine(LogFormat::kText, LogFrame::kWhole, "path\r\n2026 firnd[1] error: \x1b[2J forged");
  EXPECT_TRUE(line.ends_with("warning: path\\x0d; 2026 firnd[1] error: \\x1b[2J forged\n")) << line;
  EXPECT_NE(line.find("firnd[" + std::to_string(getpid()) + "]"), std::string::npos) << line;
}

TEST(LogFormat, SyslogGetsTheMessageAlone) {
  EXPECT_EQ(FormatLine(LogFormat::kText, LogFrame::kBare, "a message"), "a message");
}

}  // namespace
}  // namespace firn
