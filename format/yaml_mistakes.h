#ifndef FIRN_FORMAT_YAML_MISTAKES_H_
#define FIRN_FORMAT_YAML_MISTAKES_H_

#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "format/error.h"

namespace firn {

// For unit tests: the lines of the message that `parse` ends with, one a mistake, without the
// file's name; none where it throws nothing.
template <typename Parse>
std::vector<std::string> MistakesOf(const Parse& parse) {
  std::vector<std::string> mistakes;
  try {
    parse();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    std::istringstream lines(error.message());
    std::string line;
    std::getline(lines, line);
    while (std::getline(lines, line)) mistakes.push_back(line);
  }
  return mistakes;
}

}  // namespace firn

#endif  // FIRN_FORMAT_YAML_MISTAKES_H_
