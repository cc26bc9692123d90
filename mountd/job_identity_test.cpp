#include "mountd/job_identity.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace firn {
namespace {

TEST(CgroupsOfJobTest, AreThoseOfTheStepInSlurm) {
  // As slurmd 23.11 makes them under cgroup v2, and 20.11 under v1.
  EXPECT_EQ(CgroupsOfJob("0::/system.slice/slurmstepd.scope/job_123/step_0/user/task_7\n"),
            "/system.slice/slurmstepd.scope/job_123/step_0\n");
  EXPECT_EQ(CgroupsOfJob("0::/system.slice/slurmstepd.scope/job_123/step_batch/user/task_0\n"),
            "/system.slice/slurmstepd.scope/job_123/step_batch\n");
  EXPECT_EQ(CgroupsOfJob("11:freezer:/slurm/uid_1000/job_123/step_4294967290\n"
                         "8:memory:/slurm/uid_1000/job_123/step_4294967290/task_3\n"
                         "1:name=systemd:/system.slice/slurmd.service\n"),
            "/slurm/uid_1000/job_123/step_4294967290\n/system.slice/slurmd.service\n");
}

TEST(CgroupsOfJobTest, AreTheInnermostUnitOfSystemd) {
  EXPECT_EQ(CgroupsOfJob("0::/user.slice/user-1000.slice/session-3.scope\n"),
            "/user.slice/user-1000.slice/session-3.scope\n");
  EXPECT_EQ(CgroupsOfJob("0::/user.slice/user-1000.slice/user@1000.service/app.slice/"
                         "run-r1.scope/inner\n"),
            "/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope\n");
}

TEST(CgroupsOfJobTest, AreWholeElsewhere) {
  EXPECT_EQ(CgroupsOfJob("4:memory:/pbspro/17.server/x\n0::/\n"), "/pbspro/17.server/x\n");
  EXPECT_EQ(CgroupsOfJob("0::/data/step_1/x"), "/data/step_1/x\n");
  EXPECT_EQ(CgroupsOfJob("0::/\n"), "");
  EXPECT_EQ(CgroupsOfJob(""), "");
  EXPECT_EQ(CgroupsOfJob("no cgroup\n:\n::\n"), "");
}

TEST(VariablesOfJobTest, AreThoseThatAreSet) {
  const std::map<std::string, const char*> set = {
      {"SLURM_JOB_ID", "12"}, {"SLURM_STEP_ID", "0"}, {"SLURM_PROCID", "3"}};
  EXPECT_EQ(VariablesOfJob([&](const char* name) {
              const auto found = set.find(name);
              return found == set.end() ? nullptr : found->second;
            }),
            "SLURM_JOB_ID=12\nSLURM_STEP_ID=0\n");
}

TEST(OwnJobKeyTest, IsTheSameEachTime) {
  EXPECT_EQ(OwnJobKey(), OwnJobKey());
  EXPECT_EQ(OwnJobKey().size(), 16u);
}

}  // namespace
}  // namespace firn
