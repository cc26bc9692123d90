# Parsing the library headers below takes longer than compiling most files that include them, so
# each target parses them once.
set(FIRN_STANDARD_HEADERS
  <algorithm> <array> <cstdint> <filesystem> <functional> <map> <memory> <optional> <span> <string>
  <string_view> <vector>)

function(firn_precompile target)
  target_precompile_headers(${target} PRIVATE ${FIRN_STANDARD_HEADERS} ${ARGN})
endfunction()
