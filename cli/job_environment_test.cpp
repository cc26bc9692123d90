#include "cli/job_environment.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "format/error.h"

namespace firn {
namespace {

ImageInJob Image(EnvironmentKind kind, const std::string& prefix,
                 std::vector<Manifest::Variable> variables = {}) {
  ImageInJob image;
  image.manifest.name = "science";
  image.manifest.prefix = "/built/for";
  image.manifest.kind = kind;
  image.manifest.environment = std::move(variables);
  image.prefix = prefix;
  return image;
}

Environment After(const std::vector<ImageInJob>& images, Environment caller) {
  Apply(JobVariables(images, caller), caller);
  return caller;
}

TEST(JobEnvironment, PutsTheFirstImageInFrontInPath) {
  const std::vector<ImageInJob> images = {Image(EnvironmentKind::kOther, "/a"),
                                          Image(EnvironmentKind::kOther, "/b")};
  EXPECT_EQ(After(images, {{"PATH", "/usr/bin:/bin"}}),
            (Environment{{"PATH", "/a/bin:/b/bin:/usr/bin:/bin"}}));
  EXPECT_EQ(After(images, {{"PATH", "/x:/b/bin:/y:/a/bin"}}).at("PATH"), "/a/bin:/b/bin:/x:/y");
  EXPECT_EQ(After(images, {}).at("PATH"), "/a/bin:/b/bin:/usr/local/bin:/usr/bin:/bin");
  EXPECT_EQ(After(images, {{"PATH", ""}}).at("PATH"), "/a/bin:/b/bin");
}

TEST(JobEnvironment, KeepsTheEmptyEntriesOfPathThatMeanTheWorkingDirectory) {
  const std::vector<ImageInJob> images = {Image(EnvironmentKind::kOther, "/a")};
  EXPECT_EQ(After(images, {{"PATH", ":/x"}}).at("PATH"), "/a/bin::/x");
  EXPECT_EQ(After(images, {{"PATH", "/x:"}}).at("PATH"), "/a/bin:/x:");
}

TEST(JobEnvironment, KeepsOtherPythonsOut) {
  const Environment caller = {{"PATH", "/bin"},
                              {"PYTHONHOME", "/other"},
                              {"PYTHONPATH", "src"},
                              {"VIRTUAL_ENV", "/old"},
                              {"VIRTUAL_ENV_PROMPT", "old"}};
  EXPECT_EQ(After({Image(EnvironmentKind::kPython, "/p")}, caller),
            (Environment{{"PATH", "/p/bin:/bin"},
                         {"PYTHONPATH", "src"},
                         {"PYTHONNOUSERSITE", "1"},
                         {"CONDA_PREFIX", "/p"},
                         {"CONDA_DEFAULT_ENV", "/p"},
                         {"CONDA_SHLVL", "1"}}));
  EXPECT_EQ(After({Image(EnvironmentKind::kOther, "/p")}, caller).at("PYTHONHOME"), "/other");
  ImageInJob elsewhere = Image(EnvironmentKind::kOther, "/p");  // a Python that is not in bin/
  elsewhere.manifest.python = Manifest::Python{};
  EXPECT_EQ(After({elsewhere}, caller).count("PYTHONHOME"), 0u);
}

TEST(JobEnvironment, ActivatesAVenv) {
  const Environment job = After({Image(EnvironmentKind::kVenv, "/p")}, {{"VIRTUAL_ENV", "/old"}});
  EXPECT_EQ(job.at("VIRTUAL_ENV"), "/p");
  EXPECT_EQ(job.at("VIRTUAL_ENV_PROMPT"), "science");
  EXPECT_EQ(job.at("PYTHONNOUSERSITE"), "1");
  EXPECT_EQ(job.at("CONDA_PREFIX"), "/p");
}

TEST(JobEnvironment, LeavesCondasVariablesToAnImageThatIsACondaPrefix) {
  const ImageInJob venv = Image(EnvironmentKind::kVenv, "/v");
  const ImageInJob conda = Image(EnvironmentKind::kConda, "/c");
  Environment job = After({venv, conda}, {{"CONDA_PREFIX", "/own"}, {"CONDA_SHLVL", "1"}});
  EXPECT_EQ(job.at("CONDA_PREFIX"), "/c");
  EXPECT_EQ(job.at("CONDA_SHLVL"), "2");
  EXPECT_EQ(job.at("VIRTUAL_ENV"), "/v");
  job = After({conda, venv}, {});
  EXPECT_EQ(job.at("CONDA_PREFIX"), "/c");
  EXPECT_EQ(job.count("VIRTUAL_ENV"), 0u);
}

TEST(JobEnvironment, ActivatesACondaPrefixOverAnother) {
  const std::vector<ImageInJob> images = {Image(EnvironmentKind::kConda, "/p")};
  Environment job = After(images, {{"VIRTUAL_ENV", "/old"}});
  EXPECT_EQ(job.at("CONDA_PREFIX"), "/p");
  EXPECT_EQ(job.at("CONDA_DEFAULT_ENV"), "/p");
  EXPECT_EQ(job.at("CONDA_SHLVL"), "1");
  EXPECT_EQ(job.count("VIRTUAL_ENV"), 0u);
  EXPECT_EQ(job.count("PYTHONNOUSERSITE"), 0u);  // a prefix without Python
  job = After(images, {{"CONDA_PREFIX", "/base"}, {"CONDA_SHLVL", "1"}});
  EXPECT_EQ(job.at("CONDA_SHLVL"), "2");
  EXPECT_EQ(job.at("CONDA_PREFIX_1"), "/base");
  EXPECT_EQ(After(images, job), job);  // a run inside a run
}

TEST(JobEnvironment, SetsTheManifestsVariablesInOrder) {
  const std::vector<ImageInJob> images = {Image(
      EnvironmentKind::kOther, "/p",
      {{"A", "${PREFIX}/a"}, {"B", "<${A}>"}, {"PATH", "${PREFIX}/sbin:${PATH}"}, {"A", ""}})};
  EXPECT_EQ(After(images, {{"A", "caller's"}, {"PATH", "/bin"}}),
            (Environment{{"A", ""}, {"B", "</p/a>"}, {"PATH", "/p/sbin:/p/bin:/bin"}}));
}

TEST(JobEnvironment, LetsTheFirstOfTwoImagesHaveItsWay) {
  const std::vector<ImageInJob> images = {
      Image(EnvironmentKind::kOther, "/a", {{"X", "a"}, {"L", "${PREFIX}/lib:${L}"}}),
      Image(EnvironmentKind::kOther, "/b", {{"X", "b"}, {"L", "${PREFIX}/lib:${L}"}})};
  const Environment job = After(images, {{"L", "/l"}});
  EXPECT_EQ(job.at("X"), "a");
  EXPECT_EQ(job.at("L"), "/a/lib:/b/lib:/l");
}

TEST(JobEnvironment, RefusesWhatNoEnvironmentHolds) {
  for (const char* name : {"", "A=B", "A B", "1A", "A;id", "A\n"}) {
    EXPECT_THROW(JobVariables(std::vector{Image(EnvironmentKind::kOther, "/p", {{name, "x"}})}, {}),
                 Error)
        << name;
  }
  const std::string zero("a\0b", 3);
  EXPECT_THROW(JobVariables(std::vector{Image(EnvironmentKind::kOther, "/p", {{"A", zero}})}, {}),
               Error);
}

TEST(JobEnvironment, ExpandsReferences) {
  const Environment environment = {{"A", "1"}, {"E", ""}, {"L", "/x:/y"}};
  const auto expand = [&](std::string_view text) { return ExpandValue(text, "/p", environment); };
  EXPECT_EQ(expand("${PREFIX}/x ${A}${A}"), "/p/x 11");
  EXPECT_EQ(expand("$A $PREFIX $ORIGIN $$ {A} ${"), "$A $PREFIX $ORIGIN $$ {A} ${");
  EXPECT_EQ(expand("$${A} ${A-b} ${1}"), "${A} ${A-b} ${1}");
  EXPECT_EQ(expand("${A:-b} ${E:-c d} ${N:-${PREFIX}/${A}}."), "1 c d /p/1.");
  EXPECT_EQ(expand("/l:${L}"), "/l:/x:/y");
  EXPECT_EQ(expand("/l:${N}"), "/l");
  EXPECT_EQ(expand("${N}:/l"), "/l");
  EXPECT_EQ(expand("/l:${E}:/m"), "/l:/m");
  EXPECT_EQ(expand("a${N}b${N}"), "ab");
  EXPECT_EQ(expand("http://h:8${N}"), "http://h:8");
}

}  // namespace
}  // namespace firn
