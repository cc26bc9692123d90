#include "format/yaml_document.h"

#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <vector>

#include "format/utf8.h"

namespace firn {
namespace {

// Follows a document while it is parsed, before anything is made of it, and ends that by an
// exception where a limit is passed.
class YamlLimits final : public YAML::EventHandler {
 public:
  YamlLimits(size_t max_values, size_t text_length)
      : max_values_(max_values), max_events_(4 * text_length + 16) {}

  const std::optional<YAML::Mark>& root() const { return root_; }

  void OnDocumentStart(const YAML::Mark& mark) override { Count(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { AddValue(mark, anchor, 0); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                const std::string& value) override {
    root_ = root_.value_or(mark);
    AddValue(mark, anchor, value.size());
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    root_ = root_.value_or(mark);
    Count(mark);
    const auto known = anchored_.find(anchor);
    if (known == anchored_.end()) Fail(mark, "an alias stands inside what it stands for");
    aliased_ += known->second;
    if (aliased_ > kMaxYamlAliased) Fail(mark, "aliases stand for too much");
    Weigh(known->second);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, anchor);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, anchor);
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Container {
    YAML::anchor_t anchor;
    size_t weight;  // of its values, their bytes included
  };

  [[noreturn]] static void Fail(const YAML::Mark& mark, const char* message) {
    throw YAML::ParserException(mark, message);
  }

  void Count(const YAML::Mark& mark) {
    if (++events_ > max_events_) Fail(mark, "it has no end");
  }

  void CountValue(const YAML::Mark& mark) {
    Count(mark);
    if (++values_ > max_values_) Fail(mark, "too many values");
  }

  void Weigh(size_t weight) {
    if (!open_.empty()) open_.back().weight += weight;
  }

  void AddValue(const YAML::Mark& mark, YAML::anchor_t anchor, size_t bytes) {
    CountValue(mark);
    if (anchor != YAML::NullAnchor) anchored_[anchor] = 1 + bytes;
    Weigh(1 + bytes);
  }

  void Open(const YAML::Mark& mark, YAML::anchor_t anchor) {
    root_ = root_.value_or(mark);
    CountValue(mark);
    if (open_.size() == kMaxYamlDepth) Fail(mark, "nested too deep");
    open_.push_back({anchor, 1});
  }

  void Close() {
    const Container closed = open_.back();
    open_.pop_back();
    if (closed.anchor != YAML::NullAnchor) anchored_[closed.anchor] = closed.weight;
    Weigh(closed.weight);
  }

  const size_t max_values_;
  const size_t max_events_;
  size_t events_ = 0;
  size_t values_ = 0;
  size_t aliased_ = 0;
  std::vector<Container> open_;
  std::map<YAML::anchor_t, size_t> anchored_;  // what an alias of it weighs
  std::optional<YAML::Mark> root_;             // of what is more than nothing
};

// Other bytes would come out as other characters when they are written.
void RequireUtf8(const std::string& text) {
  const size_t good = Utf8Prefix(text);
  if (good == text.size()) return;
  YAML::Mark mark;
  mark.pos = static_cast<int>(good);
  mark.line = static_cast<int>(std::count(text.begin(), text.begin() + mark.pos, '\n'));
  throw YAML::ParserException(mark, "it is not UTF-8");
}

}  // namespace

YamlDocument LoadYamlDocument(const std::string& text, size_t max_values) {
  RequireUtf8(text);
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  YamlLimits first(max_values, text.size());
  YamlDocument document;
  if (!parser.HandleNextDocument(first) || !first.root()) return document;
  YamlLimits second(max_values, text.size());
  if (parser.HandleNextDocument(second)) document.another = second.root();
  document.root = YAML::Load(text);
  return document;
}

}  // namespace firn
