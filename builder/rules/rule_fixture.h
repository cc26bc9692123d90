#ifndef FIRN_BUILDER_RULES_RULE_FIXTURE_H_
#define FIRN_BUILDER_RULES_RULE_FIXTURE_H_

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "builder/rules/rule_work.h"
#include "builder/temporary_directory.h"

namespace firn {

// For unit tests: a tree in a temporary directory, which was at /old/place and is to be at
// /new/prefix.
class RuleTest : public testing::Test {
 protected:
  RuleTest() {
    recipe_.prefix = "/new/prefix";
    tree_.path = directory_;
    tree_.original = "/old/place";
    tree_.image = "science";
    tree_.rebuild = "firn build science.yaml";
  }

  void Put(const std::string& path, const std::string& content, mode_t mode = 0644) const {
    const std::filesystem::path at = directory_ + "/" + path;
    std::filesystem::create_directories(at.parent_path());
    std::ofstream(at, std::ios::binary) << content;
    chmod(at.c_str(), mode);
  }
  std::string Get(const std::string& path) const {
    std::ostringstream content;
    content << std::ifstream(directory_ + "/" + path, std::ios::binary).rdbuf();
    return content.str();
  }
  bool Has(const std::string& path) const {
    return std::filesystem::exists(std::filesystem::symlink_status(directory_ + "/" + path));
  }
  void PutLink(const std::string& path, const std::string& target) const {
    const std::filesystem::path at = directory_ + "/" + path;
    std::filesystem::create_directories(at.parent_path());
    std::filesystem::create_symlink(target, at);
  }

  const TemporaryDirectory made_;
  const std::string directory_ = std::filesystem::canonical(made_.path()).string();
  Recipe recipe_;
  std::string said_;
  BuildLog log_{"", [this](std::string_view line) { said_ += std::string(line) + "\n"; }};
  RuledTree tree_{.path = {},
                  .original = {},
                  .image = {},
                  .rebuild = {},
                  .changes = {},
                  .recipe = recipe_,
                  .build_places = {},
                  .jobs = 2,
                  .log = log_,
                  .poll = [] {}};
};

}  // namespace firn

#endif  // FIRN_BUILDER_RULES_RULE_FIXTURE_H_
