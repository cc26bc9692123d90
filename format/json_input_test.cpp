#include "format/json_input.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace firn {
namespace {

using nlohmann::json;

std::string Nested(size_t levels, const std::string& innermost = "1") {
  return std::string(levels, '[') + innermost + std::string(levels, ']');
}

TEST(JsonInput, TakesWhatPeopleWrite) {
  EXPECT_EQ(ParseJson(R"({"a": [1, {"b": "]}"}]})"), (json{{"a", {1, {{"b", "]}"}}}}}));
  EXPECT_EQ(ParseJson<nlohmann::ordered_json>(R"({"z": 1, "a": 2})").dump(), R"({"z":1,"a":2})");
  EXPECT_EQ(ParseJson(Nested(kMaxJsonDepth)).size(), 1u);
}

TEST(JsonInput, RefusesWhatIsNone) {
  for (const char* text : {"", "{", "[1", "]", "\"", "\"\\", "{\"a\":}", "[1]]"}) {
    EXPECT_TRUE(ParseJson(text).is_discarded()) << text;
  }
}

TEST(JsonInput, RefusesWhatNestsTooDeep) {
  EXPECT_TRUE(ParseJson(Nested(kMaxJsonDepth + 1)).is_discarded());
  // As deep as a message, or a section, can be: parsed, its copy would take all of the stack.
  EXPECT_TRUE(ParseJson(Nested(size_t{1} << 20)).is_discarded());
  std::string objects;
  for (size_t i = 0; i <= kMaxJsonDepth; ++i) objects += R"({"a":)";
  EXPECT_TRUE(ParseJson(objects + "1" + std::string(kMaxJsonDepth + 1, '}')).is_discarded());
}

TEST(JsonInput, NumbersOfMessagesAreIntegers) {
  EXPECT_EQ(ParseJsonMessage(R"({"a":1,"b":-2,"c":18446744073709551615,"d":[3]})"),
            (json{{"a", 1}, {"b", -2}, {"c", UINT64_MAX}, {"d", {3}}}));
  for (const char* number : {"1.5", "1e9", "18446744073709551616", "-9223372036854775809"}) {
    const json message = ParseJsonMessage(std::string(R"({"a":)") + number + "}");
    EXPECT_THROW(message.at("a").get<int64_t>(), json::exception) << number;
  }
  EXPECT_TRUE(ParseJsonMessage("{").is_discarded());
  EXPECT_TRUE(ParseJsonMessage(Nested(kMaxJsonDepth + 1)).is_discarded());
}

TEST(JsonInput, BracketsInTextAreNone) {
  const std::string text = "[\"" + std::string(1000, '[') + "\\\"" + std::string(1000, '{') + "\"]";
  EXPECT_EQ(ParseJson(text).at(0).get<std::string>().size(), 2001u);
  EXPECT_TRUE(NestsDeeperThan("\"\\\\\"" + Nested(3), 2));
}

}  // namespace
}  // namespace firn
