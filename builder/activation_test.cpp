#include "builder/activation.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "builder/temporary_directory.h"
#include "format/error.h"

namespace firn {
namespace {

class ActivationTest : public ::testing::Test {
 protected:
  void Put(const std::string& path, const std::string& content) {
    const std::filesystem::path file = prefix_.path() + "/" + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << content;
  }
  void Script(const std::string& name, const std::string& content) {
    Put("etc/conda/activate.d/" + name, content);
  }
  Activation Record() {
    BuildLog log({}, [this](std::string_view line) { shown_.append(line).append("\n"); });
    return RecordActivation(prefix_.path(), prefix_.path(), log, [] {});
  }
  std::string ValueOf(const Activation& activation, const std::string& name) {
    for (const auto& variable : activation.variables) {
      if (variable.name == name) return variable.value;
    }
    return "(none)";
  }

  TemporaryDirectory prefix_;
  std::string shown_;
};

TEST_F(ActivationTest, IsEmptyWithoutScripts) {
  Script("ignored.fish", "set -gx A b");
  EXPECT_TRUE(Record().variables.empty());
}

TEST_F(ActivationTest, RecordsWhatScriptsSet) {
  Script("a.sh", "export PROJ_DATA=\"$CONDA_PREFIX/share/proj\"\nexport ONE='a b'\nunexported=1\n");
  Script("b.sh", "export TWO=\"$ONE and ${CONDA_PREFIX}\" TEXT='$ORIGIN ${x}'\n");
  const Activation activation = Record();
  EXPECT_EQ(ValueOf(activation, "PROJ_DATA"), "${PREFIX}/share/proj");
  EXPECT_EQ(ValueOf(activation, "ONE"), "a b");
  EXPECT_EQ(ValueOf(activation, "TWO"), "a b and ${PREFIX}");
  EXPECT_EQ(ValueOf(activation, "TEXT"), "$ORIGIN $${x}");
  EXPECT_EQ(activation.variables.size(), 4u);
  EXPECT_TRUE(activation.warnings.empty());
}

TEST_F(ActivationTest, SeesHowScriptsTreatWhatIsSet) {
  Script(
      "a.sh",
      "export L=\"$CONDA_PREFIX/lib${L:+:$L}\"\n"
      "export XDG_DATA_DIRS=\"$CONDA_PREFIX/share:${XDG_DATA_DIRS:-/usr/local/share:/usr/share}\"\n"
      "[ -n \"$CA\" ] || export CA=\"$CONDA_PREFIX/ssl/ca.pem\"\n"
      "export PATH=\"$CONDA_PREFIX/tool/bin:$PATH\"\n"
      "export CONDA_BACKUP_X=1; export X=\"$X$CONDA_BACKUP_X\"; unset CONDA_BACKUP_X\n");
  const Activation activation = Record();
  EXPECT_EQ(ValueOf(activation, "L"), "${PREFIX}/lib:${L}");
  EXPECT_EQ(ValueOf(activation, "XDG_DATA_DIRS"),
            "${PREFIX}/share:${XDG_DATA_DIRS:-/usr/local/share:/usr/share}");
  EXPECT_EQ(ValueOf(activation, "CA"), "${CA:-${PREFIX}/ssl/ca.pem}");
  EXPECT_EQ(ValueOf(activation, "PATH"), "${PREFIX}/tool/bin:${PATH}");
  EXPECT_TRUE(activation.warnings.empty());
}

TEST_F(ActivationTest, ReadsTheVariablesThatCondaKeeps) {
  Put("etc/conda/env_vars.d/p.json", R"({"A": "1", "B": "1"})");
  Put("conda-meta/state", R"({"version": 1, "env_vars": {"B": "2", "C": "***unset***"}})");
  Script("a.sh", "export D=\"$B\"\n");
  const Activation activation = Record();
  EXPECT_EQ(ValueOf(activation, "A"), "1");
  EXPECT_EQ(ValueOf(activation, "B"), "2");
  EXPECT_EQ(ValueOf(activation, "C"), "(none)");
  EXPECT_EQ(ValueOf(activation, "D"), "2");
}

TEST_F(ActivationTest, ReportsScriptsThatFail) {
  Script("a.sh", "echo 'to the log' >&2\nfalse\n");
  Script("b.sh", "export B=1\nunset LANG\nexport T=\"$TMPDIR/x\"");
  const Activation activation = Record();
  EXPECT_EQ(ValueOf(activation, "B"), "1");
  EXPECT_EQ(ValueOf(activation, "T"), "(none)");
  ASSERT_EQ(activation.warnings.size(), 3u);
  EXPECT_NE(activation.warnings[0].find("a.sh failed with 1"), std::string::npos);
  EXPECT_NE(activation.warnings[1].find("set T to a path of the build"), std::string::npos);
  EXPECT_NE(activation.warnings[2].find("unsets LANG"), std::string::npos);
  EXPECT_NE(shown_.find("to the log\n"), std::string::npos);
}

TEST_F(ActivationTest, RefusesScriptsThatEndTheShell) {
  Script("a.sh", "exit 3\n");
  EXPECT_THROW(Record(), Error);
}

TEST_F(ActivationTest, GivesUpWhenItIsTold) {
  Script("a.sh", "sleep 1000\n");
  BuildLog log({}, {});
  EXPECT_THROW(RecordActivation(prefix_.path(), prefix_.path(), log,
                                [] { throw Error(ErrorKind::kInterrupted, "interrupted"); }),
               Error);
}

TEST(JoinVariables, LetsTheRecipeHaveItsWay) {
  const std::vector<Manifest::Variable> joined =
      JoinVariables({{"A", "1"}, {"B", "2"}, {"C", "3"}}, {{"B", "x:${B}"}, {"C", "${A}"}});
  ASSERT_EQ(joined.size(), 3u);
  EXPECT_EQ(joined[0].value, "1");
  EXPECT_EQ(joined[1].value, "x:2");
  EXPECT_EQ(joined[2].value, "${A}");
}

}  // namespace
}  // namespace firn
