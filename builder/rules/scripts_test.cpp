#include "builder/rules/scripts.h"

#include <gtest/gtest.h>

#include "builder/rules/rule_fixture.h"
#include "builder/temporary_directory.h"

namespace firn {
namespace {

const std::vector<std::string> kBins{"/env/bin"};
constexpr char kFinding[] = "\"$(dirname -- \"$(realpath -- \"$0\")\")\"/";

std::string PreambleOf(const std::string& name, const std::string& options = "") {
  return "#!/bin/sh\n'''exec' " + std::string(kFinding) + "'" + name + "'" + options +
         " \"$0\" \"$@\"\n' '''\n";
}

TEST(ScriptsTest, PythonIsFoundBesideTheScript) {
  EXPECT_EQ(WithFindingPreamble("#!/env/bin/python3.11\nimport x\n", kBins),
            PreambleOf("python3.11") + "import x\n");
  EXPECT_EQ(WithFindingPreamble("#! /env/bin/python -sE\r\nimport x\n", kBins),
            PreambleOf("python", " -sE") + "import x\n");
  // What installers write for long paths.
  EXPECT_EQ(WithFindingPreamble("#!/bin/sh\n'''exec' \"/env/bin/python\" \"$0\" \"$@\"\n' '''\nx\n",
                                kBins),
            PreambleOf("python") + "x\n");
  EXPECT_EQ(WithFindingPreamble("#!/bin/sh\n'''exec' /env/bin/python -I \"$0\" \"$@\"\n' '''\nx\n",
                                kBins),
            PreambleOf("python", " -I") + "x\n");
}

TEST(ScriptsTest, AnEncodingStaysWithinTheFirstTwoLines) {
  EXPECT_EQ(WithFindingPreamble("#!/env/bin/python\n# -*- coding: latin-1 -*-\nx\n", kBins),
            "#!/bin/sh\n# -*- coding: latin-1 -*-\n'''exec' " + std::string(kFinding) +
                "'python' \"$0\" \"$@\"\n' '''\n# -*- coding: latin-1 -*-\nx\n");
}

TEST(ScriptsTest, OthersStayAsTheyAre) {
  EXPECT_EQ(WithFindingPreamble("#!/usr/bin/env python3\n", kBins), std::nullopt);
  EXPECT_EQ(WithFindingPreamble("#!/other/bin/python3\n", kBins), std::nullopt);
  EXPECT_EQ(WithFindingPreamble("#!/env/bin/Rscript\n", kBins), std::nullopt);
  EXPECT_EQ(WithFindingPreamble("no script", kBins), std::nullopt);
  EXPECT_EQ(WithFindingPreamble("", kBins), std::nullopt);
  EXPECT_EQ(WithFindingPreamble("#!/env/bin/python3 '; rm'\n", kBins), std::nullopt);
  EXPECT_EQ(
      WithFindingPreamble("#!/env/bin/python\n\"\"\"Doc.\"\"\"\nfrom __future__ import x\n", kBins),
      std::nullopt);
  EXPECT_EQ(WithFindingPreamble(PreambleOf("python3"), kBins), std::nullopt);
}

class FreeScriptsTest : public RuleTest {
 protected:
  // What the script prints when it is run through a symlink in another directory.
  std::string Run(const std::string& path, const std::string& arguments) const {
    const TemporaryDirectory place;
    std::filesystem::create_symlink(directory_ + "/" + path, place.path() + "/link");
    const std::string command =
        "'" + place.path() + "/link' " + arguments + " >'" + place.path() + "/out' 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << path;
    std::ostringstream out;
    out << std::ifstream(place.path() + "/out").rdbuf();
    return out.str();
  }
};

TEST_F(FreeScriptsTest, TheyRunWhereverTheyAre) {
  struct Language {
    const char* interpreter;
    const char* script;
  };
  const std::vector<Language> languages{
      {"/usr/bin/python3",
       "from __future__ import annotations\nimport sys\nprint(*sys.argv[1:])\n"},
      {"/usr/bin/perl", "use strict; print join(' ', @ARGV), \"\\n\";\n"},
      {"/bin/bash", "a=(\"$@\"); echo \"${a[@]}\"\n"},
      {"/bin/dash", "echo \"$@\"\n"},
  };
  size_t tried = 0;
  for (const Language& language : languages) {
    if (!std::filesystem::exists(language.interpreter)) continue;
    const std::string name = NameOf(language.interpreter);
    PutLink("bin/" + name, language.interpreter);
    Put("bin/of-" + name, "#!/old/place/bin/" + name + "\n" + language.script, 0755);
    ++tried;
  }
  Put("bin/not-executable", "#!/old/place/bin/python3\n");
  RuleWork work(tree_);
  FreeScripts(work, {"/old/place", "/new/prefix"});
  EXPECT_EQ(work.report.scripts, tried);
  ASSERT_GE(tried, 2u);
  for (const Language& language : languages) {
    const std::string path = "bin/of-" + NameOf(language.interpreter);
    if (!Has(path)) continue;
    EXPECT_EQ(Run(path, "'a  b' c"), "a  b c\n") << path;
  }
  EXPECT_EQ(Get("bin/not-executable"), "#!/old/place/bin/python3\n");
}

}  // namespace
}  // namespace firn
