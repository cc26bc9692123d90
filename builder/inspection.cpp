#include "builder/inspection.h"

namespace firn {

Inspection Inspect(const std::string&, const Recipe&, unsigned, const std::function<void()>&) {
  return {};
}

}  // namespace firn
