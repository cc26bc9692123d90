#include "format/yaml_reader.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "format/error.h"
#include "format/yaml_mistakes.h"

namespace firn {
namespace {

enum class Colour { kNone, kRed, kBlue };

std::optional<Colour> ParseColour(const std::string& text) {
  if (text == "red") return Colour::kRed;
  if (text == "blue") return Colour::kBlue;
  return std::nullopt;
}

struct Settings {
  uint32_t count = 7;
  bool on = false;
  std::string path = "/default";
  std::string word = "none";
  Colour colour = Colour::kNone;
  std::vector<std::string> list;
  std::map<std::string, std::string> map;
};

class SettingsReader : public YamlTableReader<SettingsReader> {
 public:
  using YamlTableReader<SettingsReader>::YamlTableReader;
};

constexpr std::array<SettingsReader::Key<Settings>, 7> kSettingsKeys{{
    {"count", [](SettingsReader& reader, const YamlReader::Value& value,
                 Settings& to) { reader.ReadNumber(value, 1, 100, to.count); }},
    {"on", [](SettingsReader& reader, const YamlReader::Value& value,
              Settings& to) { reader.ReadBool(value, to.on); }},
    {"path", [](SettingsReader& reader, const YamlReader::Value& value,
                Settings& to) { reader.ReadAbsolutePath(value, to.path); }},
    {"word",
     [](SettingsReader& reader, const YamlReader::Value& value, Settings& to) {
       reader.ReadText(
           value, "expected a short word", [](const std::string& text) { return text.size() < 9; },
           to.word);
     }},
    {"colour", [](SettingsReader& reader, const YamlReader::Value& value,
                  Settings& to) { reader.ReadName(value, "red or blue", ParseColour, to.colour); }},
    {"list",
     [](SettingsReader& reader, const YamlReader::Value& value, Settings& to) {
       reader.VisitList(value, "expected a list of words", [&](const YamlReader::Value& item) {
         if (const auto text = reader.ScalarIn(item, "expected a word")) to.list.push_back(*text);
       });
     }},
    {"map",
     [](SettingsReader& reader, const YamlReader::Value& value, Settings& to) {
       reader.VisitMap(value, "expected names with values",
                       [&](const YamlReader::Value& key, const YamlReader::Value& item) {
                         to.map[key.node.Scalar()] = item.node.Scalar();
                       });
     }},
}};

Settings ParseSettings(const std::string& yaml) {
  SettingsReader reader("file.yaml");
  Settings settings;
  reader.ReadDocument<Settings>(yaml, kSettingsKeys, settings);
  reader.ThrowMistakes("the file", "Correct it.");
  EXPECT_EQ(reader.mistake_count(), 0u);
  return settings;
}

// The mistakes in that text, without the file's name.
std::vector<std::string> YamlMistakes(const std::string& yaml) {
  return MistakesOf([&] { ParseSettings(yaml); });
}

TEST(YamlReader, ReadsWhatIsRight) {
  const Settings settings = ParseSettings(
      "count: 42\non: true\npath: /a b\nword: short\ncolour: blue\nlist: [a, 'b']\n"
      "map: {x: 1, y: z}\n");
  EXPECT_EQ(settings.count, 42u);
  EXPECT_TRUE(settings.on);
  EXPECT_EQ(settings.path, "/a b");
  EXPECT_EQ(settings.word, "short");
  EXPECT_EQ(settings.colour, Colour::kBlue);
  EXPECT_EQ(settings.list, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(settings.map, (std::map<std::string, std::string>{{"x", "1"}, {"y", "z"}}));
}

TEST(YamlReader, WithoutContentEverythingIsAsItWas) {
  for (const char* yaml : {"", "# nothing\n", "---\n", "~\n", "list: []\nmap: {}\n"}) {
    const Settings settings = ParseSettings(yaml);
    EXPECT_EQ(settings.count, 7u) << yaml;
    EXPECT_EQ(settings.path, "/default") << yaml;
    EXPECT_TRUE(settings.list.empty()) << yaml;
  }
}

TEST(YamlReader, GathersAllMistakesWithTheirPlaces) {
  EXPECT_EQ(YamlMistakes("count: 0\non: yes\npath: relative\nword: much too long\ncolour: green\n"
                         "list: x\nmap: [1]\nother: 1\n"),
            (std::vector<std::string>{
                "file.yaml:1:8: expected a number from 1 to 100, found '0'",
                "file.yaml:2:5: expected true or false, found 'yes'",
                "file.yaml:3:7: expected an absolute path, found 'relative'",
                "file.yaml:4:7: expected a short word, found 'much too long'",
                "file.yaml:5:9: expected red or blue, found 'green'",
                "file.yaml:6:7: expected a list of words, found 'x'",
                "file.yaml:7:6: expected names with values, found a list",
                "file.yaml:8:1: unknown key 'other'; known are count, on, path, word, colour, "
                "list, map"}));
}

TEST(YamlReader, SaysHowManyMistakesThereAre) {
  const auto message = [](const std::string& yaml) {
    try {
      ParseSettings(yaml);
    } catch (const Error& error) {
      EXPECT_EQ(error.remedy(), "Correct it.");
      return error.message().substr(0, error.message().find('\n'));
    }
    return std::string();
  };
  EXPECT_EQ(message("count: x\n"), "the file has a mistake:");
  EXPECT_EQ(message("count: x\non: 1\n"), "the file has 2 mistakes:");
}

TEST(YamlReader, ANumberIsDecimalPlainAndInItsRange) {
  for (const char* text :
       {"0x10", "1.0", "-1", "101", "'5'", "1e1", "99999999999999999999", "5 5"}) {
    const auto mistakes = YamlMistakes(std::string("count: ") + text + "\n");
    ASSERT_EQ(mistakes.size(), 1u) << text;
    EXPECT_NE(mistakes[0].find("expected a number from 1 to 100"), std::string::npos) << text;
  }
  EXPECT_EQ(ParseSettings("count: 007\n").count, 7u);
  EXPECT_EQ(ParseSettings("count: 100\n").count, 100u);
}

TEST(YamlReader, ValuesThatAreNoneAreNamed) {
  EXPECT_EQ(
      YamlMistakes("count:\n"),
      std::vector<std::string>{"file.yaml:1:1: expected a number from 1 to 100, found nothing"});
  EXPECT_EQ(
      YamlMistakes("count: [1]\n"),
      std::vector<std::string>{"file.yaml:1:8: expected a number from 1 to 100, found a list"});
  EXPECT_EQ(
      YamlMistakes("word: {a: 1}\n"),
      std::vector<std::string>{"file.yaml:1:7: expected a short word, found keys with values"});
  EXPECT_EQ(
      YamlMistakes("on: 'true'\n"),
      std::vector<std::string>{"file.yaml:1:5: expected true or false, found the text 'true'"});
  EXPECT_EQ(YamlMistakes("on:\ncolour: [red]\npath: [/]\n").size(), 3u);
  // An empty item of a list stands where the list does.
  EXPECT_EQ(YamlMistakes("list:\n  - a\n  -\n"),
            std::vector<std::string>{"file.yaml:2:3: expected a word, found nothing"});
}

TEST(YamlReader, AValueCannotForgeALineOfTheMessage) {
  const auto mistakes = YamlMistakes("colour: \"a\\nb\\e[2J\\x7f\"\n");
  ASSERT_EQ(mistakes.size(), 1u);
  EXPECT_EQ(mistakes[0], "file.yaml:1:9: expected red or blue, found the text 'a; b\\x1b[2J\\x7f'");
  const auto cut = YamlMistakes("colour: " + std::string(1000, 'x') + "\n");
  ASSERT_EQ(cut.size(), 1u);
  EXPECT_LT(cut[0].size(), 130u);
}

TEST(YamlReader, KeysAreTextsThatStandOnce) {
  EXPECT_EQ(YamlMistakes("count: 1\ncount: 2\n"),
            std::vector<std::string>{"file.yaml:2:1: the key 'count' stands on line 1 already"});
  EXPECT_EQ(YamlMistakes("map: {x: 1, x: 2}\n"),
            std::vector<std::string>{"file.yaml:1:13: the key 'x' stands on line 1 already"});
  const auto mistakes = YamlMistakes("? [a]\n: 1\n");
  ASSERT_EQ(mistakes.size(), 1u);
  EXPECT_NE(mistakes[0].find("expected one of the keys count, on"), std::string::npos);
  EXPECT_NE(mistakes[0].find("found a list"), std::string::npos);
}

TEST(YamlReader, TheWholeIsOneMapping) {
  const auto text = YamlMistakes("just text\n");
  ASSERT_EQ(text.size(), 1u);
  EXPECT_NE(text[0].find("expected keys with values (count, on"), std::string::npos);
  EXPECT_NE(text[0].find("found 'just text'"), std::string::npos);
  const auto documents = YamlMistakes("count: 1\n---\ncount: 2\n");
  ASSERT_EQ(documents.size(), 1u);
  EXPECT_NE(documents[0].find("expected one document"), std::string::npos);
  const auto broken = YamlMistakes("count: [1\n");
  ASSERT_EQ(broken.size(), 1u);
  EXPECT_NE(broken[0].find("not YAML: "), std::string::npos);
  EXPECT_EQ(broken[0].substr(0, 10), "file.yaml:");
}

}  // namespace
}  // namespace firn
