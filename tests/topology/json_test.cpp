#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixtures.h"
#include "tutti/topology.h"

namespace tutti {
namespace {

using ::testing::HasSubstr;

TEST(Json, RoundTripsEverything) {
  for (const std::string& source :
       {std::string("node:3 package:2 numa:2 l3:2(size=32MiB) core:2 pu:2 gpu:4 nic:2 net=12.3456789GB/s"),
        test::fixture_path("small.xml"), test::fixture_path("format3.xml")}) {
    auto topology = load_topology(source);
    ASSERT_TRUE(topology) << topology.error().to_string();
    topology->nodes[0].cpu_quota = 1.5;
    topology->nodes[0].memory_limit_bytes = 0xffff'ffff'ffff'ffffull;
    const std::string text = to_json(*topology);
    EXPECT_EQ(text.find('\n'), std::string::npos);
    const auto back = topology_from_json(text);
    ASSERT_TRUE(back) << back.error().to_string();
    EXPECT_EQ(*back, *topology);
    EXPECT_EQ(fingerprint(*back), fingerprint(*topology));
    EXPECT_EQ(to_json(*back), text);
  }
}

TEST(Json, IsSmallEnoughToExchange) {
  const auto topology = load_topology("package:2 numa:4 l3:3 core:8 pu:2 gpu:8 nic:8");  // 192 cores
  ASSERT_TRUE(topology);
  EXPECT_LT(to_json(*topology).size(), 16u << 10);
}

struct Bad {
  const char* text;
  const char* reason;
};
class JsonRefuses : public ::testing::TestWithParam<Bad> {};

TEST_P(JsonRefuses, AndSaysWhy) {
  const auto topology = topology_from_json(GetParam().text);
  ASSERT_FALSE(topology) << GetParam().text;
  EXPECT_EQ(topology.error().code(), Code::protocol);
  EXPECT_THAT(topology.error().to_string(), HasSubstr(GetParam().reason));
}

INSTANTIATE_TEST_SUITE_P(
    Texts, JsonRefuses,
    ::testing::Values(
        Bad{"", "not JSON"}, Bad{"{", "not JSON"}, Bad{"[]", "not a topology of tutti"}, Bad{"{}", "not a topology of tutti"},
        Bad{R"({"tutti_topology":2,"nodes":[],"links":[]})", "only version 1"},
        Bad{R"({"tutti_topology":"1","nodes":[],"links":[]})", "only version 1"},
        Bad{R"({"tutti_topology":1,"links":[]})", "\"nodes\" is not there"},
        Bad{R"({"tutti_topology":1,"nodes":{},"links":[]})", "\"nodes\" is not there or no array"},
        Bad{R"({"tutti_topology":1,"nodes":[],"links":[]})", "without a machine"},
        Bad{R"({"tutti_topology":1,"nodes":[7],"links":[]})", "\"nodes\"[0]"},
        Bad{R"({"tutti_topology":1,"nodes":[{"kind":"spoon"}],"links":[]})", "unknown kind \"spoon\""},
        Bad{R"({"tutti_topology":1,"nodes":[{"parent":0}],"links":[]})", "unknown kind"},
        Bad{R"({"tutti_topology":1,"nodes":[{"kind":"machine"},{"kind":"core","parent":4294967296}],"links":[]})", "\"parent\""},
        Bad{R"({"tutti_topology":1,"nodes":[{"kind":"machine"},{"kind":"core","parent":1}],"links":[]})", "does not come before"},
        Bad{R"({"tutti_topology":1,"nodes":[{"kind":"machine"},{"kind":"core","parent":0.5}],"links":[]})", "\"parent\""},
        Bad{R"({"tutti_topology":1,"nodes":[{"kind":"machine"},{"kind":"core","parent":0,"cpus":"0-9999999"}],"links":[]})",
            "\"cpus\""},
        Bad{R"({"tutti_topology":1,"nodes":[{"kind":"machine"},{"kind":"core","parent":0,"cpus":"0-1000"}],"links":[]})",
            "\"cpus\""},
        Bad{R"({"tutti_topology":1,"nodes":[{"kind":"machine","cpu_quota":-1}],"links":[]})", "CPU quota"},
        Bad{R"({"tutti_topology":1,"nodes":[{"kind":"machine","memory_limit_bytes":-1}],"links":[]})", "number of bytes"},
        Bad{R"({"tutti_topology":1,"nodes":[{"kind":"machine","name":3}],"links":[]})", "\"name\" is not text"},
        Bad{R"({"tutti_topology":1,"nodes":[{"kind":"machine"}],"links":[{"a":0,"b":1,"kind":"network","origin":"file"}]})",
            "no node 1"},
        Bad{R"({"tutti_topology":1,"nodes":[{"kind":"machine"}],"links":[{"a":0,"b":1,"kind":"rope","origin":"file"}]})",
            "\"rope\""},
        Bad{R"({"a":{"b":{"c":{"d":{"e":{"f":{"g":1}}}}}}})", "deep"}));

TEST(Json, LocationsRoundTrip) {
  RankLocation location{.host = 3, .package = 1, .numa = 2, .l3 = 5, .core = 40, .oversubscribed = true, .cpus = {40, 41, 168}};
  auto back = location_from_json(to_json(location));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(*back, location);
  location = {.host = 0, .package = -1, .numa = -1, .l3 = -1, .core = -1, .oversubscribed = false, .cpus = {0, 1}};
  back = location_from_json(to_json(location));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, location);
  EXPECT_FALSE(location_from_json(R"({"host":-1})"));
  EXPECT_FALSE(location_from_json(R"({"host":"a"})"));
  EXPECT_FALSE(location_from_json("[1]"));
}

}  // namespace
}  // namespace tutti
