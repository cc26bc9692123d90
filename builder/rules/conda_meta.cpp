#include "builder/rules/conda_meta.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "format/digest.h"
#include "format/error.h"

namespace firn {
namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> RecordPaths(RuleWork& work) {
  std::vector<std::string> paths;
  for (const TreeEntry& file : work.Files([](const TreeEntry& entry) {
         return ParentOf(entry.path) == "conda-meta" && entry.path.ends_with(".json");
       })) {
    paths.push_back(file.path);
  }
  return paths;
}

std::optional<Json> TryParseRecord(const RuleWork& work, const std::string& path) {
  const std::optional<std::string> content = work.Read(path);
  Json record = content ? Json::parse(*content, nullptr, false) : Json();
  if (!record.is_object()) return std::nullopt;
  return record;
}

Json ParseRecord(const RuleWork& work, const std::string& path) {
  if (std::optional<Json> record = TryParseRecord(work, path)) return *std::move(record);
  throw Error(ErrorKind::kInput, "expected a JSON object that describes a conda package",
              "Make the environment anew, or set rules: {relocate: false, clean: false}.")
      .WithPath(work.At(path));
}

std::string TextAt(const Json& object, const char* key) {
  const auto at = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && at != object.end() && at->is_string() ? at->get<std::string>()
                                                                     : std::string();
}

Json* PathsOf(Json& record) {
  const auto data = record.find("paths_data");
  if (data == record.end() || !data->is_object()) return nullptr;
  const auto paths = data->find("paths");
  return paths != data->end() && paths->is_array() ? &*paths : nullptr;
}

bool CorrectFiles(RuleWork& work, Json& record) {
  Json* paths = PathsOf(record);
  if (paths == nullptr) return false;
  bool corrected = false;
  for (Json& file : *paths) {
    const std::string path = TextAt(file, "_path");
    if (!work.changed().contains(path)) continue;
    const std::optional<std::string> content = work.Read(path);
    if (!content) continue;
    file["sha256_in_prefix"] = ToHex(Sha256Of(std::as_bytes(std::span(*content))));
    corrected = true;
  }
  return corrected;
}

bool ForgetPlaces(Json& record) {
  const Json before = record;
  if (record.contains("extracted_package_dir")) record["extracted_package_dir"] = "";
  if (record.contains("package_tarball_full_path")) {
    record["package_tarball_full_path"] = NameOf(TextAt(record, "package_tarball_full_path"));
  }
  if (record.contains("link") && record["link"].is_object()) {
    record["link"] = {{"source", ""}, {"type", 1}};
  }
  return record != before;
}

}  // namespace

std::vector<PrefixedFile> ReadPrefixedFiles(RuleWork& work) {
  std::vector<PrefixedFile> files;
  for (const std::string& name : RecordPaths(work)) {
    Json record = ParseRecord(work, name);
    const Json* paths = PathsOf(record);
    if (paths == nullptr) continue;
    for (const Json& file : *paths) {
      PrefixedFile found{.path = NormalPath(TextAt(file, "_path")),
                         .placeholder = TextAt(file, "prefix_placeholder"),
                         .binary = TextAt(file, "file_mode") == "binary"};
      const bool inside = !found.path.empty() && !found.path.starts_with("/") &&
                          found.path != ".." && !found.path.starts_with("../");
      if (inside && !found.placeholder.empty()) files.push_back(std::move(found));
    }
  }
  return files;
}

void NormaliseCondaRecords(RuleWork& work, bool clean) {
  for (const std::string& name : RecordPaths(work)) {
    // What is only corrected may stay as it is where it cannot be read.
    std::optional<Json> record = clean ? ParseRecord(work, name) : TryParseRecord(work, name);
    if (!record) continue;
    const bool corrected = CorrectFiles(work, *record);
    const bool forgotten = clean && ForgetPlaces(*record);
    if (!corrected && !forgotten) continue;
    work.Write(name, record->dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  }
}

void NormaliseCondaHistory(RuleWork& work) {
  constexpr char kHistory[] = "conda-meta/history";
  const std::optional<std::string> history = work.Read(kHistory);
  if (!history) return;
  std::string made;
  for (size_t at = 0; at < history->size();) {
    const size_t end = std::min(history->find('\n', at), history->size());
    const std::string line = history->substr(at, end - at);
    at = end + 1;
    if (line.starts_with("# cmd:")) continue;
    made += line.starts_with("==> ") ? "==> 1980-01-01 00:00:00 <==" : line;
    made += '\n';
  }
  if (made != *history) work.Write(kHistory, made);
}

}  // namespace firn
