// Links in virtual time: what a message takes alone, and when it has to wait for others.
#include "simulate/network.h"

#include <gmock/gmock.h>

#include "select/machines.h"

namespace tutti::simulate {
namespace {

constexpr std::uint64_t kBytes = 1 << 20;

Time on_link(const JobMachine& machine, std::uint64_t bytes) {
  return from_microseconds(static_cast<double>(bytes) / (machine.links.back().bandwidth_gbps * 1e3));
}
Time latency_of(const JobMachine& machine) { return from_microseconds(machine.links.back().latency_us); }

struct Passage {
  Time begun = 0, left = 0, arrived = 0;
};
// A message that passes all its way before another one is sent.
Passage send(Network& network, Rank from, Rank to, std::uint64_t bytes, Time at) {
  std::vector<Network::Hop> way;
  network.route(from, to, bytes, way);
  Passage passage{.begun = at, .left = 0, .arrived = 0};
  Time ends = 0;
  for (std::size_t h = 0; h < way.size(); ++h) {
    at = network.enter(way[h], bytes, at);
    ends = std::max(ends, at + way[h].occupied);
    if (h == 0) passage = {.begun = at, .left = ends, .arrived = 0};
  }
  passage.arrived = ends + network.latency(from, to);
  return passage;
}

TEST(Network, AMessageAloneTakesItsBytesAndTheLatency) {
  const JobMachine machine = flat(2);
  Network network(machine);
  const auto passage = send(network, 0, 1, kBytes, 1000);
  EXPECT_EQ(passage.begun, 1000);
  EXPECT_EQ(passage.left, 1000 + on_link(machine, kBytes));
  EXPECT_EQ(passage.arrived, passage.left + latency_of(machine));
}

TEST(Network, MessagesOfOneSenderFollowEachOther) {
  const JobMachine machine = flat(3);
  Network network(machine);
  const auto first = send(network, 0, 1, kBytes, 0), second = send(network, 0, 2, kBytes, 0);
  EXPECT_EQ(second.begun, first.left);
  EXPECT_EQ(second.arrived, first.arrived + on_link(machine, kBytes));
}

TEST(Network, SoDoThoseOfOneReceiver) {
  const JobMachine machine = flat(3);
  Network network(machine);
  const auto first = send(network, 0, 2, kBytes, 0), second = send(network, 1, 2, kBytes, 0);
  EXPECT_EQ(second.left, first.left) << "their senders are free at the same time";
  EXPECT_EQ(second.arrived, first.arrived + on_link(machine, kBytes));
}

TEST(Network, OthersDoNotDisturbEachOther) {
  const JobMachine machine = flat(4);
  Network network(machine);
  EXPECT_EQ(send(network, 0, 1, kBytes, 0).arrived, send(network, 2, 3, kBytes, 0).arrived);
}

TEST(Network, RanksOfAHostShareItsLink) {
  const JobMachine machine = job("node:2 core:2", 4);
  Network network(machine);
  const auto first = send(network, 0, 2, kBytes, 0), second = send(network, 1, 3, kBytes, 0);
  EXPECT_EQ(second.arrived, first.arrived + on_link(machine, kBytes));
  EXPECT_THAT(network.busiest(1).front().link, testing::HasSubstr("link out of host 0"));
  EXPECT_EQ(network.busiest(1).front().bytes, 2 * kBytes);
}

TEST(Network, InsideAHostItTakesWhatItsOwnLinkTakes) {
  const JobMachine machine = job("node:2 core:2", 4);
  Network network(machine);
  const auto inside = send(network, 0, 1, kBytes, 0);
  EXPECT_EQ(inside.left, from_microseconds(static_cast<double>(kBytes) / (machine.links.front().bandwidth_gbps * 1e3)));
  EXPECT_EQ(inside.arrived - inside.left, from_microseconds(machine.links.front().latency_us));
}

TEST(Network, ARankSendsInsideItsHostAndOverTheNetworkAtOnce) {
  const JobMachine machine = job("node:2 core:2", 4);
  Network network(machine);
  EXPECT_EQ(send(network, 0, 1, kBytes, 0).begun, 0);
  EXPECT_EQ(send(network, 0, 2, kBytes, 0).begun, 0);
  EXPECT_GT(send(network, 0, 3, kBytes, 0).begun, 0);
}

TEST(Network, RanksReachTheirSwitchThroughTheirPorts) {
  const JobMachine machine = job("core:4", 4);
  Network network(machine, {.count = 1, .gbps = 2, .latency_us = 3});
  const Time bytes_take = from_microseconds(static_cast<double>(kBytes) / 2e3), latency = from_microseconds(3);
  EXPECT_EQ(send(network, 0, 4, kBytes, 0).arrived, bytes_take + latency);
  EXPECT_EQ(send(network, 0, 4, kBytes, 0).arrived, 2 * bytes_take + latency);
  EXPECT_EQ(send(network, 1, 4, kBytes, 0).arrived, bytes_take + latency) << "by a port of its own";
  EXPECT_EQ(send(network, 4, 0, kBytes, 0).arrived, bytes_take + latency) << "the other way round";
}

TEST(Network, PodsShareTheirWayUp) {
  const JobMachine machine = on_hosts("fat-tree:2x4 oversubscription=4");
  ASSERT_EQ(machine.pods.size(), 1U);
  ASSERT_EQ(machine.pods[0], (Pods{4, 1}));
  Network network(machine);
  Time last = 0;
  for (Rank r = 0; r < 4; ++r) last = std::max(last, send(network, r, 4 + r, kBytes, 0).arrived);
  EXPECT_EQ(last, 4 * on_link(machine, kBytes) + latency_of(machine)) << "four messages over one uplink";
  Network near(machine);
  Time inside = 0;
  for (Rank r = 0; r < 4; ++r) inside = std::max(inside, send(near, r, r ^ 1, kBytes, 0).arrived);
  EXPECT_EQ(inside, on_link(machine, kBytes) + latency_of(machine));
}

TEST(Network, MessagesOnATorusOccupyAllLinksOfTheirWay) {
  const JobMachine machine = on_hosts("torus:8");
  Network network(machine);
  const auto far = send(network, 0, 3, kBytes, 0);  // over the links from 0, 1 and 2
  EXPECT_EQ(far.arrived, on_link(machine, kBytes) + latency_of(machine));
  EXPECT_EQ(send(network, 1, 2, kBytes, 0).arrived, 2 * on_link(machine, kBytes) + latency_of(machine));
  EXPECT_EQ(send(network, 7, 6, kBytes, 0).arrived, far.arrived) << "the other way round";
  EXPECT_EQ(send(network, 4, 2, kBytes, 0).arrived, far.arrived + 2 * on_link(machine, kBytes))
      << "its way is free, but its receiver's port is not";
}

TEST(Network, ASlowPortTakesSoManyTimesAsLong) {
  const JobMachine machine = flat(2);
  Network network(machine);
  network.slow_down(1, 3);
  EXPECT_NEAR(microseconds(send(network, 0, 1, kBytes, 0).arrived),
              microseconds(3 * on_link(machine, kBytes) + latency_of(machine)), 1e-5);
}

TEST(Network, SmallMessagesLeaveNoFasterThanTheGap) {
  const JobMachine machine = on_hosts("node:3 core:1");
  Network network(machine);
  const Time first = send(network, 0, 1, 0, 0).arrived;
  EXPECT_GT(send(network, 0, 2, 0, 0).arrived, first);
}

}  // namespace
}  // namespace tutti::simulate
