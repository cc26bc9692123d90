#ifndef FIRN_MOUNTD_CARRIED_ERROR_H_
#define FIRN_MOUNTD_CARRIED_ERROR_H_

#include <nlohmann/json_fwd.hpp>

#include "format/error.h"

namespace firn {

// An Error as one process tells it to another: kind, message, path, offset and remedy are kept.
nlohmann::json ErrorToJson(const Error& error);
// Throws nlohmann::json::exception for what ErrorToJson() never gave.
Error ErrorFromJson(const nlohmann::json& carried);

}  // namespace firn

#endif  // FIRN_MOUNTD_CARRIED_ERROR_H_
