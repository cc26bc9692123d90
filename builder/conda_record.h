#ifndef FIRN_BUILDER_CONDA_RECORD_H_
#define FIRN_BUILDER_CONDA_RECORD_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace firn {

// The files of conda-meta that say what is installed, "conda-meta/zlib-1.3-h_0.json", in the order
// of their names.
std::vector<std::string> CondaRecordsIn(const std::string& tree);

// What one of them says; discarded where it is no JSON or cannot be read.
nlohmann::ordered_json ReadCondaRecord(const std::string& tree, const std::string& record);

}  // namespace firn

#endif  // FIRN_BUILDER_CONDA_RECORD_H_
