#ifndef FIRN_MOUNTD_JSON_LINE_H_
#define FIRN_MOUNTD_JSON_LINE_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace firn {

// `value` on one line. Paths need not be UTF-8, JSON must be: other bytes are replaced.
std::string JsonLine(const nlohmann::json& value);

}  // namespace firn

#endif  // FIRN_MOUNTD_JSON_LINE_H_
