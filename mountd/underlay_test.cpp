#include "mountd/underlay.h"

#include <gtest/gtest.h>

namespace firn {
namespace {

using Action = UnderlayStep::Action;
using Kind = UnderlayEntry::Kind;

TEST(UnderlayTest, BindsWhatTheHostHasAndMakesWhatItLacks) {
  const UnderlayPlan plan = PlanUnderlay(
      "/opt", {"envs", "science"}, {{"tools", Kind::kDirectory, {}}, {"README", Kind::kOther, {}}});
  EXPECT_EQ(plan.place, "/opt");
  EXPECT_FALSE(plan.ReplacesRoot());
  const std::vector<UnderlayStep> expected = {
      {Action::kBindFile, "README", {}},
      {Action::kBindDirectory, "tools", {}},
      {Action::kMakeDirectory, "envs", {}},
      {Action::kMakeDirectory, "envs/science", {}},
  };
  EXPECT_EQ(plan.steps, expected);
}

TEST(UnderlayTest, RecreatesSymlinksWithTheirTargets) {
  const UnderlayPlan plan = PlanUnderlay(
      "/", {"sw"}, {{"usr", Kind::kDirectory, {}}, {"bin", Kind::kSymlink, "usr/bin"}});
  EXPECT_TRUE(plan.ReplacesRoot());
  const std::vector<UnderlayStep> expected = {
      {Action::kSymlink, "bin", "usr/bin"},
      {Action::kBindDirectory, "usr", {}},
      {Action::kMakeDirectory, "sw", {}},
  };
  EXPECT_EQ(plan.steps, expected);
}

TEST(UnderlayTest, ADanglingSymlinkGivesWayToTheNewDirectory) {
  const UnderlayPlan plan =
      PlanUnderlay("/opt", {"env"}, {{"env", Kind::kSymlink, "/gone"}, {"env2", Kind::kOther, {}}});
  const std::vector<UnderlayStep> expected = {
      {Action::kBindFile, "env2", {}},
      {Action::kMakeDirectory, "env", {}},
  };
  EXPECT_EQ(plan.steps, expected);
}

TEST(UnderlayTest, DoesNotDependOnTheOrderOfTheListing) {
  const std::vector<UnderlayEntry> listed = {
      {"c", Kind::kOther, {}}, {"a", Kind::kDirectory, {}}, {"b", Kind::kSymlink, "c"}};
  const std::vector<UnderlayEntry> reversed(listed.rbegin(), listed.rend());
  EXPECT_EQ(PlanUnderlay("/x", {"y"}, listed).steps, PlanUnderlay("/x", {"y"}, reversed).steps);
}

TEST(UnderlayTest, AnEmptyDirectoryNeedsTheNewPathOnly) {
  const std::vector<UnderlayStep> expected = {{Action::kMakeDirectory, "a", {}},
                                              {Action::kMakeDirectory, "a/b", {}},
                                              {Action::kMakeDirectory, "a/b/c", {}}};
  EXPECT_EQ(PlanUnderlay("/srv", {"a", "b", "c"}, {}).steps, expected);
}

}  // namespace
}  // namespace firn
