#include "cli/output.h"

#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>

namespace firn {

void PrintJson(const nlohmann::ordered_json& json) {
  std::cout << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}

void PrintField(std::string_view label, const std::string& value) {
  std::cout << std::left << std::setw(13) << label << value << '\n';
}

}  // namespace firn
