# firn_add_unit_test(NAME LIBRARY [CONCURRENT] [CONFINED] [EXHAUSTIVE] SOURCE...): a program of
# GoogleTest tests that ctest calls NAME_unit, or NAME_concurrent where it also belongs to what
# ThreadSanitizer runs.
# Where scripts/test runs all presets, units are tested with release too where they are
# CONFINED: some of the tests are skipped in sanitized programs, whose runtimes do what they forbid;
# EXHAUSTIVE: the tests try fewer cases in sanitized programs, which are slow.
function(firn_add_unit_test name library)
  cmake_parse_arguments(PARSE_ARGV 2 arg "CONCURRENT;CONFINED;EXHAUSTIVE" "" "")
  set(test ${name}_unit)
  set(labels unit)
  if(NOT arg_CONFINED AND NOT arg_EXHAUSTIVE)
    list(APPEND labels sanitized)
  endif()
  if(arg_CONCURRENT)
    set(test ${name}_concurrent)
    list(APPEND labels concurrent)
  endif()
  add_executable(firn_${test}_test ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(firn_${test}_test PRIVATE ${library} GTest::gtest_main)
  add_test(NAME ${test} COMMAND firn_${test}_test)
  set_tests_properties(${test} PROPERTIES LABELS "${labels}" TIMEOUT 600)
endfunction()
