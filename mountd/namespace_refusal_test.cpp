#include "mountd/namespace_refusal.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace firn {
namespace {

std::string Explain(NamespaceStep step, int error_number, const NamespaceSettings& settings) {
  const Error error = ExplainNamespaceRefusal(step, error_number, settings);
  EXPECT_EQ(error.kind(), ErrorKind::kSystem);
  EXPECT_FALSE(error.remedy().empty());
  return error.what();
}

NamespaceSettings Permissive() {
  NamespaceSettings settings;
  settings.max_user_namespaces = 1000;
  settings.max_mount_namespaces = 1000;
  return settings;
}

TEST(NamespaceRefusalTest, NamesTheSysctlThatSwitchesUserNamespacesOff) {
  NamespaceSettings settings = Permissive();
  settings.max_user_namespaces = 0;
  const std::string text = Explain(NamespaceStep::kUserNamespace, ENOSPC, settings);
  EXPECT_NE(text.find("user.max_user_namespaces is 0"), std::string::npos) << text;
  EXPECT_NE(text.find("No space left on device"), std::string::npos) << text;
}

TEST(NamespaceRefusalTest, NamesDebiansSwitch) {
  NamespaceSettings settings = Permissive();
  settings.unprivileged_userns_clone = 0;
  const std::string text = Explain(NamespaceStep::kUserNamespace, EPERM, settings);
  EXPECT_NE(text.find("kernel.unprivileged_userns_clone=1"), std::string::npos) << text;
}

TEST(NamespaceRefusalTest, NamesAppArmorWhereverItStrikes) {
  NamespaceSettings settings = Permissive();
  settings.apparmor_restricts_userns = 1;
  for (const NamespaceStep step :
       {NamespaceStep::kUserNamespace, NamespaceStep::kIdMaps, NamespaceStep::kPropagation}) {
    const std::string text = Explain(step, EACCES, settings);
    EXPECT_NE(text.find("apparmor_restrict_unprivileged_userns=0"), std::string::npos) << text;
  }
}

TEST(NamespaceRefusalTest, NamesALimitThatIsReached) {
  const std::string text = Explain(NamespaceStep::kUserNamespace, ENOSPC, Permissive());
  EXPECT_NE(text.find("limit on namespaces is reached"), std::string::npos) << text;
}

TEST(NamespaceRefusalTest, NamesTheContainersFilter) {
  NamespaceSettings settings = Permissive();
  settings.seccomp_filter = true;
  const std::string text = Explain(NamespaceStep::kUserNamespace, EPERM, settings);
  EXPECT_NE(text.find("seccomp"), std::string::npos) << text;
}

TEST(NamespaceRefusalTest, SaysThatItDoesNotKnow) {
  const std::string text = Explain(NamespaceStep::kUserNamespace, EPERM, Permissive());
  EXPECT_NE(text.find("gives no reason"), std::string::npos) << text;
  EXPECT_NE(text.find("unshare --user"), std::string::npos) << text;
}

TEST(NamespaceRefusalTest, ReadsThisMachinesSettings) {
  const NamespaceSettings settings = ReadNamespaceSettings();
  EXPECT_TRUE(settings.user_namespaces_in_kernel);
  ASSERT_TRUE(settings.max_user_namespaces.has_value());
  EXPECT_GE(*settings.max_user_namespaces, 0);
}

}  // namespace
}  // namespace firn
