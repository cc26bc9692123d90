#include "builder/source_detection.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "builder/source.h"
#include "builder/temporary_directory.h"
#include "format/error.h"

namespace firn {
namespace {

class SourceDetectionTest : public testing::Test {
 protected:
  std::string Make(const std::string& name, const std::string& text = {}) const {
    const std::filesystem::path path = directory_.path() + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }
  SourceKind KindOf(const std::string& name, const std::string& text = {}) const {
    return DetectSource(Make(name, text)).kind;
  }
  Recipe Filled(const std::string& path) const {
    Recipe recipe;
    recipe.source = DetectSource(path);
    FillNameAndPrefix(recipe);
    return recipe;
  }

  const TemporaryDirectory directory_;
};

TEST_F(SourceDetectionTest, FilesAreKnownByNameAndContent) {
  EXPECT_EQ(KindOf("pylock.toml"), SourceKind::kPylock);
  EXPECT_EQ(KindOf("pylock.gpu.toml"), SourceKind::kPylock);
  EXPECT_EQ(KindOf("requirements.txt", "six==1\n"), SourceKind::kRequirements);
  EXPECT_EQ(KindOf("linux-64.txt", "# c\n@EXPLICIT\n"), SourceKind::kCondaExplicit);
  EXPECT_EQ(KindOf("environment.yml", "name: a\ndependencies: []\n"),
            SourceKind::kCondaEnvironment);
  EXPECT_EQ(KindOf("conda-lock.yml", "version: 1\nmetadata:\n  a: 1\npackage:\n- a\n"),
            SourceKind::kCondaLock);
  for (const char* name : {"a.tar", "a.tar.gz", "a.tgz", "a.tar.zst", "a.tar.bz2", "a.tar.xz"}) {
    EXPECT_EQ(KindOf(name), SourceKind::kArchive) << name;
  }
}

TEST_F(SourceDetectionTest, ProjectsAreKnownByTheirFiles) {
  const std::string file = Make("project/pyproject.toml", "[project]\nname = 'the-name'\n");
  const std::string project = directory_.path() + "/project";
  for (const std::string& path : {file, project, project + "/"}) {
    const RecipeSource source = DetectSource(path);
    EXPECT_EQ(source.kind, SourceKind::kUvProject) << path;
    EXPECT_EQ(source.path, project);
  }
  for (const char* name : {"pixi.toml", "pixi.lock"}) {
    const std::string pixis = Make("pixi/" + std::string(name), "[workspace]\nname = 'p'\n");
    for (const std::string& path : {pixis, directory_.path() + "/pixi"}) {
      EXPECT_EQ(DetectSource(path).kind, SourceKind::kPixiLock) << path;
      EXPECT_EQ(DetectSource(path).path, directory_.path() + "/pixi/pixi.lock");
    }
  }
  EXPECT_EQ(Filled(directory_.path() + "/pixi").name, "p");
  Make("pixi/uv.lock");
  EXPECT_EQ(DetectSource(directory_.path() + "/pixi").kind, SourceKind::kUvProject);
  Make("project/pyvenv.cfg");
  EXPECT_EQ(DetectSource(project).kind, SourceKind::kDirectory);
}

TEST_F(SourceDetectionTest, RecipesAreYamlOfNoOtherKind) {
  EXPECT_TRUE(LooksLikeRecipe(Make("a.yaml", "source: x\n")));
  EXPECT_TRUE(LooksLikeRecipe(Make("b.yml", "sorce: x\n")));
  EXPECT_FALSE(LooksLikeRecipe(Make("environment.yml", "dependencies: []\n")));
  EXPECT_FALSE(LooksLikeRecipe(Make("c.txt")));
  EXPECT_FALSE(LooksLikeRecipe(directory_.path() + "/missing.yaml"));
}

TEST_F(SourceDetectionTest, OtherFilesAreRefused) {
  EXPECT_THROW(DetectSource(Make("a.zip")), Error);
  EXPECT_THROW(DetectSource(Make(".tar")), Error);
  EXPECT_THROW(DetectSource(directory_.path() + "/missing"), Error);
  EXPECT_THROW(DetectSource("/dev/null"), Error);
}

TEST_F(SourceDetectionTest, NamesAndPrefixesComeFromTheSource) {
  Make("project/pyproject.toml", "[project]\nname = 'the-name'\n");
  EXPECT_EQ(Filled(directory_.path() + "/project").name, "the-name");
  EXPECT_EQ(Filled(directory_.path() + "/project").prefix, "/opt/the-name");
  EXPECT_EQ(Filled(Make("d/requirements.txt")).name, "d");
  EXPECT_EQ(Filled(Make("d/pylock.toml")).name, "d");
  EXPECT_EQ(Filled(Make("d/pylock.gpu.toml")).name, "gpu");
  EXPECT_EQ(Filled(Make("d/env.tar.gz")).name, "env");
  EXPECT_EQ(Filled(Make("d/environment.yml", "name: \"n\"\ndependencies: []\n")).name, "n");
  Make("env/pyvenv.cfg");
  EXPECT_EQ(Filled(directory_.path() + "/env").prefix, directory_.path() + "/env");
  Make("broken/pyproject.toml", "[project\n");
  EXPECT_THROW(Filled(directory_.path() + "/broken"), Error);
}

}  // namespace
}  // namespace firn
