#include "mountd/readiness.h"

#include <gtest/gtest.h>

namespace firn {
namespace {

Error CarriedBy(std::string_view line) {
  try {
    ParseReadiness(line);
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorKind::kInternal, "nothing was thrown");
}

TEST(ReadinessTest, CarriesTheAddress) {
  const SessionAddress address =
      ParseReadiness(FormatReady({.pid = 42, .view = ViewKind::kOverlay, .control = "/run/s"}));
  EXPECT_EQ(address.pid, 42);
  EXPECT_EQ(address.view, ViewKind::kOverlay);
  EXPECT_EQ(address.control, "/run/s");
}

TEST(ReadinessTest, CarriesEveryPartOfAnError) {
  const Error sent =
      Error(ErrorKind::kDamaged, "expected a, found b", "Do c.").WithPath("/x.firn").WithOffset(7);
  const Error received = CarriedBy(FormatFailure(sent));
  EXPECT_EQ(received.kind(), ErrorKind::kDamaged);
  EXPECT_STREQ(received.what(), sent.what());
  EXPECT_EQ(received.offset(), 7u);
}

TEST(ReadinessTest, CarriesAnErrorWithoutPlace) {
  const Error received = CarriedBy(FormatFailure(Error(ErrorKind::kSystem, "no")));
  EXPECT_EQ(received.kind(), ErrorKind::kSystem);
  EXPECT_STREQ(received.what(), "no");
}

TEST(ReadinessTest, StaysJsonWithAPathThatIsNotUtf8) {
  const Error received =
      CarriedBy(FormatFailure(Error(ErrorKind::kDamaged, "no").WithPath("/\xff.firn")));
  EXPECT_EQ(received.kind(), ErrorKind::kDamaged);
}

TEST(ReadinessTest, AnythingElseIsNoReply) {
  for (const char* line : {"", "[]", "{", "{}", "{\"ready\":false}", "{\"ready\":true}",
                           "{\"ready\":1}", "{\"error\":{}}", "{\"error\":3}", "true"}) {
    EXPECT_EQ(CarriedBy(line).kind(), ErrorKind::kNoReply) << line;
  }
}

}  // namespace
}  // namespace firn
