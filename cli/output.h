#ifndef FIRN_CLI_OUTPUT_H_
#define FIRN_CLI_OUTPUT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace firn {

// What subcommands print on standard output.

// For scripts: indented; bytes that are not UTF-8 are replaced.
void PrintJson(const nlohmann::ordered_json& json);

// For people: the label in a column of its own.
void PrintField(std::string_view label, const std::string& value);

}  // namespace firn

#endif  // FIRN_CLI_OUTPUT_H_
