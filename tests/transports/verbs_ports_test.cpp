// Which ports of RDMA devices are used, which address of theirs, and how those of two hosts are joined; and what is said without
// a device.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "transports/verbs/networks.h"
#include "transports/verbs/pairing.h"
#include "transports/verbs/ports.h"
#include "transports/verbs/stripes.h"
#include "transports/verbs/verbs_transport.h"
#include "tutti/topology.h"

namespace tutti::verbs {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

Port port(std::string device, int number = 1, ibv_port_state state = IBV_PORT_ACTIVE) {
  Port p;
  p.device = std::move(device);
  p.number = static_cast<std::uint8_t>(number);
  p.state = state;
  return p;
}

const std::vector<Port> kPorts{port("mlx5_0"), port("mlx5_1", 1), port("mlx5_1", 2), port("mlx5_10", 1, IBV_PORT_DOWN),
                               port("bnxt0")};

std::vector<std::size_t> chosen(std::string_view spec) {
  auto ports = choose_ports(spec, kPorts);
  EXPECT_TRUE(ports) << ports.error().to_string();
  return ports ? *ports : std::vector<std::size_t>{};
}

std::string refusal(std::string_view spec, std::span<const Port> ports = kPorts) {
  auto refused = choose_ports(spec, ports);
  EXPECT_FALSE(refused) << spec;
  return refused ? "" : refused.error().to_string();
}

TEST(VerbsPorts, AllActiveOnesWhereNothingIsSaid) { EXPECT_THAT(chosen(""), ElementsAre(0, 1, 2, 4)); }

TEST(VerbsPorts, PrefixesAndNames) {
  EXPECT_THAT(chosen("mlx5"), ElementsAre(0, 1, 2));
  EXPECT_THAT(chosen("mlx5_1"), ElementsAre(1, 2)) << "mlx5_10 begins so, too, but is down";
  EXPECT_THAT(chosen("=mlx5_0,bnxt0"), ElementsAre(0, 4));
  EXPECT_THAT(chosen("bnxt,mlx5_1:2"), ElementsAre(2, 4));
  EXPECT_THAT(chosen("mlx5_1:1"), ElementsAre(1));
}

TEST(VerbsPorts, Exclusion) {
  EXPECT_THAT(chosen("^mlx5_1"), ElementsAre(0, 4));
  EXPECT_THAT(chosen("^=mlx5_1:1"), ElementsAre(0, 2, 4));
  EXPECT_THAT(chosen("mlx5,^mlx5_0"), ElementsAre(1, 2));
}

TEST(VerbsPorts, RefusalsShowWhatThereIs) {
  EXPECT_THAT(refusal("qedr"),
              AllOf(HasSubstr("\"qedr\""), HasSubstr("port 2 of mlx5_1 is active"), HasSubstr("port 1 of mlx5_10 is down")));
  EXPECT_EQ(refusal("=mlx5_10"), "port 1 of mlx5_10 is down");
  EXPECT_THAT(refusal("mlx5_0:x"), HasSubstr("\"mlx5_0:x\" is no device"));
  EXPECT_THAT(refusal("mlx5_0,,"), HasSubstr("\"\" is no device"));
  EXPECT_THAT(refusal("mlx5_0:0"), HasSubstr("\"mlx5_0:0\" is no device"));
  EXPECT_EQ(refusal("", {}), "there is no RDMA device");
}

TEST(VerbsPorts, NamesThatMatchNothing) {
  EXPECT_THAT(unmatched("mlx5_0,mlx4,=mlx5,bnxt0:2", kPorts), ElementsAre("mlx4", "=mlx5", "bnxt0:2"));
  EXPECT_THAT(unmatched("mlx5_10", kPorts), ElementsAre()) << "it is there, and down";
  EXPECT_THAT(unmatched("", kPorts), ElementsAre());
  EXPECT_TRUE(check_spec("mlx5_0:1,^=bnxt0"));
  EXPECT_TRUE(check_spec(""));
  for (const char* wrong : {"mlx5_0:x", "mlx5_0:0", ":1", ","}) EXPECT_FALSE(check_spec(wrong)) << wrong;
}

ibv_gid_entry gid(std::uint32_t index, const char* address, ibv_gid_type type) {
  ibv_gid_entry entry{};
  entry.gid_index = index;
  entry.gid_type = type;
  EXPECT_EQ(inet_pton(AF_INET6, address, entry.gid.raw), 1);
  return entry;
}

Port roce(std::vector<ibv_gid_entry> gids) {
  Port p = port("mlx5_0");
  p.gids = std::move(gids);
  return p;
}

Port usable(std::string device, std::string pci = "") {
  Port p = port(std::move(device));
  p.pci = std::move(pci);
  p.gids = {gid(0, "::ffff:10.0.0.1", IBV_GID_TYPE_ROCE_V2)};
  return p;
}

std::vector<std::string> used(std::string_view spec, const std::vector<std::string>& near, std::span<const Port> ports) {
  auto found = used_ports(spec, -1, near, ports);
  EXPECT_TRUE(found) << found.error().to_string();
  std::vector<std::string> names;
  for (const Port& each : found ? found->ports : std::vector<Port>{}) names.push_back(each.device + (each.near ? "" : " far"));
  return names;
}

TEST(VerbsPorts, NoMoreThanCanBeJoinedAndThoseWithoutAnAddressDoNotCount) {
  std::vector<Port> many(kMostRails, port("mlx5_0"));
  for (std::size_t i = 0; i < kMostRails + 2; ++i) many.push_back(usable("mlx5_1"));
  EXPECT_EQ(used("", {}, many).size(), kMostRails);
  auto ports = used_ports("", -1, {}, many);
  ASSERT_TRUE(ports);
  EXPECT_EQ(ports->left_out.size(), kMostRails);
}

TEST(VerbsPorts, WhatIsNearComesFirst) {
  std::vector<Port> ports;
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}) ports.push_back(usable(name, name));
  EXPECT_THAT(used("", {"j", "c"}, ports), ElementsAre("c", "j", "a far", "b far", "d far", "e far", "f far", "g far"));
  EXPECT_THAT(used("^c", {"j", "c"}, ports), testing::Contains("j"));
  EXPECT_THAT(used("^c", {"j", "c"}, ports), testing::Not(testing::Contains(HasSubstr("c"))));
  EXPECT_THAT(used("a,c", {"j", "c"}, ports), ElementsAre("a", "c")) << "who names devices means them";
  EXPECT_THAT(used("a,c", {"x"}, ports), ElementsAre("a", "c"));
  EXPECT_THAT(used("^a", {"a"}, std::span(ports).first(3)), ElementsAre("b", "c")) << "no far ones where none is near";
}

TEST(VerbsGid, TheBestOfRoce) {
  const auto local1 = gid(0, "fe80::1", IBV_GID_TYPE_ROCE_V1), local2 = gid(1, "fe80::1", IBV_GID_TYPE_ROCE_V2),
             four1 = gid(2, "::ffff:10.0.0.1", IBV_GID_TYPE_ROCE_V1), four2 = gid(3, "::ffff:10.0.0.1", IBV_GID_TYPE_ROCE_V2),
             global = gid(4, "2001:db8::1", IBV_GID_TYPE_ROCE_V2);
  struct Row {
    std::vector<ibv_gid_entry> gids;
    std::uint32_t best;
    Fabric fabric;
  };
  for (const Row& row : {Row{{local1, local2, four1, four2, global}, 3, Fabric::roce_ipv4},
                         Row{{local1, local2, four1, global}, 4, Fabric::roce_ipv6},
                         Row{{local1, local2, four1}, 1, Fabric::roce_ipv6}, Row{{local1, four1}, 0, Fabric::roce_v1}}) {
    Port p = roce(row.gids);
    ASSERT_TRUE(choose_gid(p, -1));
    EXPECT_EQ(p.gid.gid_index, row.best);
    EXPECT_EQ(p.fabric, row.fabric);
  }
  Port p = roce({local1, local2, four1, four2});
  ASSERT_TRUE(choose_gid(p, 1));
  EXPECT_EQ(p.gid.gid_index, 1U);
  EXPECT_EQ(p.fabric, Fabric::roce_ipv6);
  Status wrong = choose_gid(p, 7);
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().to_string(),
              AllOf(HasSubstr("TUTTI_IB_GID_INDEX=7: port 1 of mlx5_0"), HasSubstr("3 (::ffff:10.0.0.1, RoCE v2 over IPv4)"),
                    HasSubstr("0 (fe80::1, RoCE v1)")));
  Port none = roce({});
  EXPECT_FALSE(choose_gid(none, -1));
}

TEST(VerbsGid, InfiniBandTakesTheFirst) {
  Port p = roce({gid(0, "fe80::2:c903:1:1", IBV_GID_TYPE_IB), gid(1, "fe80::5", IBV_GID_TYPE_IB)});
  p.ethernet = false;
  ASSERT_TRUE(choose_gid(p, -1));
  EXPECT_EQ(p.gid.gid_index, 0U);
  EXPECT_EQ(p.fabric, Fabric::infiniband);
}

static_assert(kMostRails == kMostRdmaLinks, "what prices take for the most is what is used");

TEST(VerbsPorts, Speed) {
  ibv_port_attr attributes{};
  attributes.active_speed = 64;  // HDR
  attributes.active_width = 2;   // 4x
  EXPECT_EQ(megabits(attributes), 200000U);
  attributes.active_speed = 1;
  attributes.active_width = 1;
  EXPECT_EQ(megabits(attributes), 2500U);
  attributes.active_speed = 77;
  EXPECT_EQ(megabits(attributes), 2500U) << "what is not known counts as slow";
}

PortSummary summary(Fabric fabric, std::uint32_t speed, const char* address = "fe80::1", int bits = 64, bool near = true) {
  PortSummary port{.fabric = fabric,
                   .near = static_cast<std::uint8_t>(near),
                   .network_bits = static_cast<std::uint8_t>(bits),
                   .megabits = speed};
  EXPECT_EQ(inet_pton(AF_INET6, address, port.gid.data()), 1);
  return port;
}

TEST(VerbsPairing, BothEndsPairAlike) {
  const std::vector<PortSummary> a{summary(Fabric::roce_ipv4, 100), summary(Fabric::infiniband, 400),
                                   summary(Fabric::roce_ipv4, 25)};
  const std::vector<PortSummary> b{summary(Fabric::roce_ipv6, 100), summary(Fabric::roce_ipv4, 50),
                                   summary(Fabric::roce_ipv4, 50), summary(Fabric::roce_ipv4, 50)};
  const Pairing from_a = pair_ports(a, b), from_b = pair_ports(b, a);
  EXPECT_THAT(from_a.mine, ElementsAre(0, 2));
  EXPECT_THAT(from_b.mine, ElementsAre(1, 2));
  EXPECT_EQ(from_a.theirs, from_b.mine);
  EXPECT_EQ(from_a.mine, from_b.theirs);
  EXPECT_THAT(from_a.megabits, ElementsAre(50, 25));
  EXPECT_EQ(from_a.megabits, from_b.megabits);
  EXPECT_FALSE(from_a.routed);
  EXPECT_TRUE(pair_ports(a, std::vector{summary(Fabric::roce_v1, 100)}).mine.empty());
}

// The two ends list their ports in another order.
TEST(VerbsPairing, PortsOfOneNetwork) {
  const auto four = [](const char* address, bool near = true) { return summary(Fabric::roce_ipv4, 100, address, 96 + 24, near); };
  const std::vector<PortSummary> a{four("::ffff:10.0.1.1"), four("::ffff:10.0.2.1"), four("::ffff:10.0.3.1")};
  const std::vector<PortSummary> b{four("::ffff:10.0.3.2"), four("::ffff:10.0.9.2"), four("::ffff:10.0.1.2")};
  const Pairing from_a = pair_ports(a, b), from_b = pair_ports(b, a);
  EXPECT_THAT(from_a.mine, ElementsAre(0, 2));
  EXPECT_THAT(from_a.theirs, ElementsAre(2, 0));
  EXPECT_EQ(from_a.theirs, from_b.mine);

  const std::vector<PortSummary> rails{four("::ffff:10.0.3.2", false), four("::ffff:10.0.1.2")};
  EXPECT_THAT(pair_ports(a, rails).mine, ElementsAre(0)) << "the far one is not needed";
  EXPECT_THAT(pair_ports(std::span(a).subspan(1), rails).mine, ElementsAre(1)) << "it is the only one that gets there";
}

TEST(VerbsPairing, BetweenNetworksOnlyWhatIsRouted) {
  const std::vector<PortSummary> a{summary(Fabric::roce_ipv4, 100, "::ffff:10.0.1.1", 96 + 31, false),
                                   summary(Fabric::roce_ipv4, 100, "::ffff:10.0.2.1", 96 + 31)};
  const std::vector<PortSummary> b{summary(Fabric::roce_ipv4, 100, "::ffff:10.0.3.1", 96 + 31), summary(Fabric::roce_ipv4, 100)};
  const Pairing routed = pair_ports(a, b);
  EXPECT_TRUE(routed.routed);
  EXPECT_THAT(routed.mine, ElementsAre(1));
  EXPECT_THAT(routed.theirs, ElementsAre(0));
  EXPECT_TRUE(pair_ports(std::vector{summary(Fabric::infiniband, 100, "fe80::1")},
                         std::vector{summary(Fabric::infiniband, 100, "fec0::1")})
                  .mine.empty());
  EXPECT_TRUE(pair_ports(std::vector{summary(Fabric::roce_v1, 100, "::ffff:10.0.1.1", 96 + 24)},
                         std::vector{summary(Fabric::roce_v1, 100, "::ffff:10.0.2.1", 96 + 24)})
                  .mine.empty());
}

ibv_gid address(const char* text) { return gid(0, text, IBV_GID_TYPE_ROCE_V2).gid; }

TEST(VerbsNetworks, AreThoseOfInterfaces) {
  EXPECT_EQ(network_bits(address("::ffff:127.0.0.1"), true), 96 + 8);
  EXPECT_EQ(network_bits(address("::ffff:192.0.2.77"), true), 0) << "no interface has it";
  EXPECT_EQ(network_bits(address("fe80::77"), true), 64);
  EXPECT_EQ(network_bits(address("2001:db8::77"), false), 64) << "a subnet of InfiniBand";
  EXPECT_EQ(to_string(network_of(address("2001:db8:ffff::1"), 33)), "2001:db8:8000::");
  EXPECT_EQ(to_string(network_of(address("::ffff:10.1.2.3"), 96 + 24)), "::ffff:10.1.2.0");
  EXPECT_EQ(to_string(network_of(address("2001:db8::1"), 0)), "::");
}

TEST(VerbsNetworks, AWayIsWhatTheKernelKnows) {
  EXPECT_TRUE(check_route(address("::ffff:127.0.0.1"), address("::ffff:127.0.0.5")));
  const Status none = check_route(address("::ffff:192.0.2.77"), address("::ffff:127.0.0.5"));
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().to_string(), HasSubstr("a way from 192.0.2.77 to 127.0.0.5"));
}

// Ends the process with the number of the first line that does not hold; 0: all do.
[[noreturn]] void look_for_ways() {
  const auto run = [](const char* command) {
    return std::system((std::string("PATH=$PATH:/usr/sbin:/sbin; { ") + command + "; } 2>/dev/null").c_str()) == 0;
  };
  const auto leads = [](const char* from, const char* to) { return static_cast<bool>(check_route(address(from), address(to))); };
  const auto hold = [](bool holds, int line) {
    if (!holds) _exit(line);
  };
  hold(run("ip link add port0 type veth peer name port1 && ip link set port0 up && ip link set port1 up"), 1);
  hold(run("ip address add 10.0.1.1/24 dev port0 && ip address add 2001:db8:1::1/64 dev port0 nodad"), 2);
  hold(run("ip address add 10.0.2.1/24 dev port1"), 3);
  hold(leads("::ffff:10.0.1.1", "::ffff:10.0.1.9"), 4);
  hold(leads("2001:db8:1::1", "2001:db8:1::9"), 5);
  hold(!leads("::ffff:10.0.1.1", "::ffff:10.9.9.9"), 6);
  hold(!leads("2001:db8:1::1", "2001:db8:9::9"), 7);
  hold(run("ip route add default via 10.0.2.254"), 8);
  hold(!leads("::ffff:10.0.1.1", "::ffff:10.9.9.9"), 9);  // it leads out of another interface
  hold(leads("::ffff:10.0.2.1", "::ffff:10.9.9.9"), 10);
  hold(run("ip route add 10.9.0.0/16 via 10.0.1.254"), 11);
  hold(leads("::ffff:10.0.1.1", "::ffff:10.9.9.9"), 12);
  hold(run("ip route add unreachable 10.8.0.0/16"), 13);
  hold(!leads("::ffff:10.0.1.1", "::ffff:10.8.0.1"), 14);
  _exit(0);
}

TEST(VerbsNetworks, AWayIsARouteOutOfThisInterface) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  constexpr int kNoNamespace = 77;
  if (child == 0) {
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) _exit(kNoNamespace);
    look_for_ways();
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNoNamespace) GTEST_SKIP() << "no network namespaces here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(VerbsStripes, CoverTheMessageByTheRailsSpeeds) {
  const Stripes stripes(std::vector<std::uint32_t>{100, 25, 75}, 1 << 18);
  for (const std::size_t bytes : {std::size_t{1} << 18, (std::size_t{1} << 20) + 7, std::size_t{300001}}) {
    std::size_t at = 0;
    for (std::size_t rail = 0; rail < 3; ++rail) {
      const auto part = stripes.part(bytes, rail);
      EXPECT_EQ(part.offset, at);
      at += part.bytes;
    }
    EXPECT_EQ(at, bytes);
  }
  EXPECT_EQ(stripes.part(1 << 20, 0).bytes, std::size_t{1} << 19);
  EXPECT_EQ(stripes.part(1000, 0).bytes, 1000U) << "a small one uses the first only";
  EXPECT_EQ(stripes.part(1000, 2).bytes, 0U);
}

TEST(VerbsTransportWithoutLibrary, SaysSo) {
  const Result<Library> missing = Error(Code::environment, "libibverbs.so.1 cannot be loaded (no such file)");
  VerbsTransport transport({}, {}, missing, segment_lifetimes());
  Status usable = transport.probe();
  ASSERT_FALSE(usable);
  EXPECT_EQ(usable.error().to_string(), "libibverbs.so.1 cannot be loaded (no such file)");
  EXPECT_FALSE(transport.listen());
  EXPECT_FALSE(transport.reaches(1, {}));
}

TEST(VerbsTransportWithoutDevice, SaysSo) {
  const Result<Library> empty = [] {
    Library none;
    none.device_list = [](int* count) -> ibv_device** {
      *count = 0;
      return nullptr;
    };
    none.free_device_list = [](ibv_device**) {};
    return none;
  }();
  VerbsTransport transport({}, {}, empty, segment_lifetimes());
  Status usable = transport.probe();
  ASSERT_FALSE(usable);
  EXPECT_EQ(usable.error().to_string(), "there is no RDMA device");
}

TEST(VerbsAddress, OnlySoundOnesAreRead) {
  const VerbsAddress address{.tcp = {std::byte{1}, std::byte{2}},
                             .ports = {summary(Fabric::infiniband, 200000), summary(Fabric::roce_v1, 5)}};
  auto bytes = encode(address);
  EXPECT_LE(bytes.size() + 64, 512U) << "with the address of TCP it must not be larger";
  auto same = decode_verbs_address(bytes);
  ASSERT_TRUE(same);
  EXPECT_EQ(same->tcp, address.tcp);
  ASSERT_EQ(same->ports.size(), 2U);
  EXPECT_EQ(same->ports[0].megabits, 200000U);
  for (std::size_t size = 0; size < 200; ++size) EXPECT_FALSE(decode_verbs_address(ConstBytes(bytes).first(size)));
  bytes[4] = std::byte{9};  // ports
  EXPECT_FALSE(decode_verbs_address(bytes));
  bytes[4] = std::byte{2};
  bytes[0] = std::byte{0};
  EXPECT_FALSE(decode_verbs_address(bytes));
}

TEST(VerbsWire, CorruptRecordsAreRefused) {
  Record record;
  record.message_bytes = 100;
  record.bytes = 100;
  EXPECT_TRUE(check(record, 100, 3));
  EXPECT_FALSE(check(record, 99, 3));
  record.message_bytes = 99;
  EXPECT_FALSE(check(record, 100, 3));
  record.message_bytes = 100;
  record.kind = static_cast<RecordKind>(4);
  EXPECT_FALSE(check(record, 100, 3));
  record.kind = RecordKind::placed;
  record.magic = 0;
  EXPECT_FALSE(check(record, 100, 3));
  EXPECT_EQ(Signal::decode(Signal{SignalKind::answer, 12345}.encode()).place, 12345U);
  EXPECT_EQ(Signal::decode(Signal{SignalKind::placed, 1}.encode()).kind, SignalKind::placed);
}

// ---- A machine of two devices with a port each; connections cannot be made on it.

struct FakeDevice {
  ibv_device device{};
  ibv_context context{};
  bool has_gid = false;
};
std::array<FakeDevice, 2>& fake_devices() {
  static std::array<FakeDevice, 2> devices;
  return devices;
}

Result<Library> fake_library() {
  Library library;
  library.device_list = [](int* count) {
    static std::array<ibv_device*, 2> list{&fake_devices()[0].device, &fake_devices()[1].device};
    *count = 2;
    return list.data();
  };
  library.free_device_list = [](ibv_device**) {};
  library.device_name = [](ibv_device* device) { return device == &fake_devices()[0].device ? "fake0" : "fake1"; };
  library.open_device = [](ibv_device* device) { return &fake_devices()[device == &fake_devices()[0].device ? 0 : 1].context; };
  library.close_device = [](ibv_context*) { return 0; };
  library.device_attributes = [](ibv_context*, ibv_device_attr* attributes) {
    attributes->phys_port_cnt = 1;
    return 0;
  };
  library.port_attributes = [](ibv_context* context, std::uint8_t, ibv_port_attr* attributes) {
    attributes->state = IBV_PORT_ACTIVE;
    attributes->link_layer = IBV_LINK_LAYER_ETHERNET;
    attributes->active_speed = context == &fake_devices()[0].context ? 1 : 32;  // 2.5 and 25 Gbit/s a lane
    attributes->active_width = 1;
    return 0;
  };
  library.gid_table = [](ibv_context* context, ibv_gid_entry* entries, std::size_t, std::uint32_t, std::size_t) -> ssize_t {
    if (!fake_devices()[context == &fake_devices()[0].context ? 0 : 1].has_gid) return 0;
    entries[0] = {};
    entries[0].port_num = 1;
    entries[0].gid_type = IBV_GID_TYPE_ROCE_V2;
    return 1;
  };
  return library;
}

class VerbsFakePorts : public testing::Test {
 protected:
  static std::unique_ptr<VerbsTransport> make(bool first, bool second, int gid_index = -1) {
    static const Result<Library> library = fake_library();
    for (FakeDevice& fake : fake_devices()) fake.device.node_type = IBV_NODE_CA, fake.device.transport_type = IBV_TRANSPORT_IB;
    fake_devices()[0].has_gid = first;
    fake_devices()[1].has_gid = second;
    TransportOptions options;
    options.interface = "127.0.0.1";
    options.ib.gid_index = gid_index;
    return std::make_unique<VerbsTransport>(options, Tuning{}, library, segment_lifetimes());
  }
};

// And no device is prepared for connections where there is none: the library could not.
TEST_F(VerbsFakePorts, AreLeftOutWithoutAnAddress) {
  for (const bool first : {false, true}) {
    auto address = make(first, true)->listen();
    ASSERT_TRUE(address) << address.error().to_string();
    auto decoded = decode_verbs_address(*address);
    ASSERT_TRUE(decoded);
    ASSERT_EQ(decoded->ports.size(), first ? 2U : 1U);
    EXPECT_EQ(decoded->ports.back().megabits, 25000U);
  }
}

TEST_F(VerbsFakePorts, AreAnErrorWhereNoneHasAnAddressOrNotTheOneAskedFor) {
  const Status none = make(false, false)->probe();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), Code::environment);
  EXPECT_THAT(none.error().to_string(), HasSubstr("port 1 of fake0 has no GID"));
  const Status other = make(false, true, 0)->probe();
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().to_string(), AllOf(HasSubstr("TUTTI_IB_GID_INDEX=0"), HasSubstr("port 1 of fake0")));
}

}  // namespace
}  // namespace tutti::verbs
