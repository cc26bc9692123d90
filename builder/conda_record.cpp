#include "builder/conda_record.h"

#include <cstdint>
#include <optional>

#include "builder/inspect/tree_file.h"
#include "format/json_input.h"

namespace firn {
namespace {

// It lists every file of the package, some of which have tens of thousands.
constexpr uint64_t kCondaRecordLimit = uint64_t{256} << 20;

}  // namespace

std::vector<std::string> CondaRecordsIn(const std::string& tree) {
  std::vector<std::string> records;
  for (const std::string& name : NamesIn(tree + "/conda-meta")) {
    if (name.ends_with(".json")) records.push_back("conda-meta/" + name);
  }
  return records;
}

nlohmann::ordered_json ReadCondaRecord(const std::string& tree, const std::string& record) {
  const auto text = ReadTreeFile(tree + "/" + record, kCondaRecordLimit);
  return ParseJson<nlohmann::ordered_json>(text.value_or(""));
}

}  // namespace firn
