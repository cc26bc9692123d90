#include "mountd/view_request.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "format/error.h"

namespace firn {
namespace {

using nlohmann::json;

TEST(ViewRequest, HasDefaults) {
  const ViewRequest request = ViewRequestFrom({{"op", "attach"}});
  EXPECT_TRUE(request.prefetch && request.view);
  EXPECT_FALSE(request.foreign || request.place || request.image.owner);
  EXPECT_EQ(request.lease, LeaseKind::kProcess);
  EXPECT_TRUE(request.below.empty());
}

TEST(ViewRequest, IsWhatTheMessageSays) {
  const ViewRequest request =
      ViewRequestFrom({{"path", "/a"},
                       {"owner", 7},
                       {"foreign", true},
                       {"prefetch", false},
                       {"view", false},
                       {"place", true},
                       {"lease", "name"},
                       {"name", "job-1"},
                       {"below", json::array({{{"path", "/b"}}, {{"path", "/c"}, {"owner", 8}}})}});
  EXPECT_EQ(request.image.path, "/a");
  EXPECT_EQ(request.image.owner, 7u);
  EXPECT_TRUE(request.foreign && request.place);
  EXPECT_FALSE(request.prefetch || request.view);
  EXPECT_EQ(request.lease, LeaseKind::kName);
  EXPECT_EQ(request.lease_name, "job-1");
  ASSERT_EQ(request.below.size(), 2u);
  EXPECT_EQ(request.below[0].path, "/b");
  EXPECT_EQ(request.below[1].owner, 8u);
}

TEST(ViewRequest, RefusesWhatAClientMayNotAskFor) {
  EXPECT_THROW(ViewRequestFrom({{"path", std::string(4097, 'a')}}), Error);
  EXPECT_THROW(ViewRequestFrom({{"lease", "for ever"}}), Error);
  EXPECT_THROW(ViewRequestFrom({{"below", json::array_t(16, json::object())}}), Error);
  EXPECT_THROW(ViewRequestFrom({{"below", 1}}), Error);
  for (const json& owner : {json(uint64_t{1} << 32), json(-1)}) {
    EXPECT_THROW(ViewRequestFrom({{"owner", owner}}), Error);
  }
  EXPECT_THROW(ViewRequestFrom({{"signatures", {"zz"}}}), Error);
}

TEST(ViewRequest, RefusesMembersOfOtherTypes) {
  for (const char* text : {R"({"path":1})", R"({"owner":"me"})", R"({"view":1})", R"({"lease":[]})",
                           R"({"name":{}})", R"({"below":[1]})", R"({"below":[{"path":[]}]})",
                           R"({"signatures":[1]})", R"({"signature_damage":1})"}) {
    EXPECT_THROW(ViewRequestFrom(json::parse(text)), json::exception) << text;
  }
}

}  // namespace
}  // namespace firn
