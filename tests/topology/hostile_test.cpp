// Damaged descriptions by the thousand: each is refused or loads as a good graph, and nothing crashes.
// The cases are the same in every run; the seed is printed.
#include <gtest/gtest.h>

#include <iostream>

#include "fixtures.h"
#include "tests/mutator.h"
#include "topology/sources/synthetic.h"
#include "topology/xml.h"
#include "tutti/topology.h"

namespace tutti {
namespace {

constexpr unsigned kSeed = 20240607;

struct Tally {
  int loaded = 0, refused = 0;
};

// Runs `parse` on `cases` damaged versions of each seed text.
Tally attack(const std::vector<std::string>& texts, int cases, Result<Topology> (*parse)(std::string_view)) {
  Tally tally;
  test::Mutator mutator(kSeed);
  for (int i = 0; i < cases; ++i) {
    const std::string& text = texts[static_cast<std::size_t>(i) % texts.size()];
    const std::string& other = texts[static_cast<std::size_t>(i / 3) % texts.size()];
    const std::string damaged = mutator(text, other);
    const auto topology = parse(damaged);
    if (!topology) {
      EXPECT_FALSE(topology.error().message().empty());
      ++tally.refused;
      continue;
    }
    ++tally.loaded;
    const Status good = check(*topology);
    EXPECT_TRUE(good) << good.error().to_string() << "\n" << damaged;
    // What is shown to people and handed to peers must hold as well.
    if (topology->nodes.size() < 5000) {
      EXPECT_FALSE(render_tree(*topology).empty());
      EXPECT_FALSE(to_dot(*topology).empty());
      EXPECT_TRUE(topology_from_json(to_json(*topology)));
    }
  }
  std::cout << "seed " << kSeed << ": " << tally.loaded << " loaded, " << tally.refused << " refused\n";
  return tally;
}

TEST(Hostile, HwlocXml) {
  const auto tally =
      attack({test::fixture("small.xml"), test::fixture("format3.xml"), test::fixture("format1.xml")}, 3000, load_topology);
  EXPECT_GT(tally.loaded, 100);  // the damage is not always fatal, so what lies behind the first check is tried, too
  EXPECT_GT(tally.refused, 1000);
}

TEST(Hostile, NcclXml) {
  const auto tally = attack({test::fixture("nccl.xml")}, 3000, load_topology);
  EXPECT_GT(tally.loaded, 100);
  EXPECT_GT(tally.refused, 1000);
}

TEST(Hostile, Json) {
  const auto tally = attack(
      {to_json(*load_topology(test::fixture_path("small.xml"))), to_json(*load_topology("node:2 numa:2 core:2 gpu:2 nic:1")),
       R"({"tutti_topology":1,"nodes":[{"kind":"machine","virtual_machine":"KVM"},{"kind":"gpu","parent":0}],"links":[]})"},
      3000, topology_from_json);
  EXPECT_GT(tally.loaded, 50);
  EXPECT_GT(tally.refused, 1000);
}

TEST(Hostile, Synthetic) {
  const auto tally =
      attack({"node:4 numa:2 core:8", "node:2 package:2 l3:2(size=32MiB) core:4 pu:2 gpu:8 nic:2 net=12.5GB/s net_latency=2us",
              "pack:2 [numa(memory=8GiB)] core:4 pu:1", "numa:2 l3:3 core:2 memory=1GiB nvlink=5GB/s gpu:3",
              "torus:4x3x2 core:2 nic:2 link=5GB/s latency=1us", "fat-tree:2x4x3 core:1 oversubscription=2x1.5",
              "dgx-h100:3 nic:4 net=1GB/s"},
             2000, topology_from_synthetic);
  EXPECT_GT(tally.loaded, 50);
  EXPECT_GT(tally.refused, 500);
}

TEST(Hostile, EveryPrefixOfAFileIsRefused) {
  const std::string text = test::fixture("small.xml");
  const std::size_t end = text.rfind('>');
  for (std::size_t size = 0; size < end; size += 7) EXPECT_FALSE(load_topology(text.substr(0, size))) << size;
  const std::string json = to_json(*load_topology(test::fixture_path("small.xml")));
  for (std::size_t size = 0; size < json.size(); size += 7) EXPECT_FALSE(topology_from_json(json.substr(0, size))) << size;
}

}  // namespace
}  // namespace tutti
