#include "transports/tcp/interfaces.h"

#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>

#include <random>

namespace tutti {
namespace {

InterfaceAddress make(std::string name, std::string_view host, bool up = true, bool loopback = false) {
  auto address = SocketAddress::parse(host);
  EXPECT_TRUE(address) << host;
  return {std::move(name), *address, up, up, loopback};
}

std::vector<InterfaceAddress> machine() {
  auto lo4 = make("lo", "127.0.0.1", true, true), lo6 = make("lo", "::1", true, true);
  auto docker = make("docker0", "172.17.0.1"), bridge = make("br-5f2a", "172.18.0.1");
  auto link_local = make("eth0", "fe80::7");
  link_local.address = link_local.address.with_scope(77);
  return {lo4,
          lo6,
          docker,
          bridge,
          link_local,
          make("eth0", "fd00::5"),
          make("eth0", "10.0.0.5"),
          make("eth10", "10.10.0.5"),
          make("eth1", "10.1.0.5"),
          make("eth2", "10.2.0.5", false),
          make("ib0", "10.77.0.5")};
}

std::string chosen(std::string_view spec, const std::vector<InterfaceAddress>& available = machine()) {
  auto result = choose_interface(spec, available);
  return result ? result->name + " " + result->address.with_scope(0).host() : std::string(name(result.error().code()));
}

TEST(Interfaces, DefaultTakesARealOneAndPrefersIPv4) { EXPECT_EQ(chosen(""), "eth0 10.0.0.5"); }

TEST(Interfaces, DefaultFallsBackToLoopbackButNeverToAContainerBridge) {
  const std::vector<InterfaceAddress> bare{make("docker0", "172.17.0.1"), make("lo", "::1", true, true),
                                           make("lo", "127.0.0.1", true, true)};
  EXPECT_EQ(chosen("", bare), "lo 127.0.0.1");
  EXPECT_EQ(chosen("", {make("virbr0", "192.168.122.1")}), "environment");
  EXPECT_EQ(chosen("docker", bare), "docker0 172.17.0.1");
}

TEST(Interfaces, DefaultKeepsVethPairs) {
  EXPECT_EQ(chosen("", {make("lo", "127.0.0.1", true, true), make("veth1", "10.9.0.1")}), "veth1 10.9.0.1");
}

TEST(Interfaces, DefaultPrefersACarrier) {
  auto unplugged = make("eth0", "10.0.0.5");
  unplugged.running = false;
  EXPECT_EQ(chosen("", {unplugged, make("eth1", "10.1.0.5")}), "eth1 10.1.0.5");
  EXPECT_EQ(chosen("", {unplugged}), "eth0 10.0.0.5");
}

TEST(Interfaces, DefaultPrefersAnyIPv4ToLinkLocalIPv6) {
  EXPECT_EQ(chosen("", {make("eth0", "fe80::1"), make("eth1", "fd00::1"), make("eth2", "10.0.0.1")}), "eth2 10.0.0.1");
  EXPECT_EQ(chosen("", {make("eth0", "fe80::1"), make("eth1", "169.254.3.4"), make("eth2", "fd00::1")}), "eth2 fd00::1");
}

TEST(Interfaces, NamesAndTheirBeginnings) {
  EXPECT_EQ(chosen("ib"), "ib0 10.77.0.5");
  EXPECT_EQ(chosen("nothing,ib0"), "ib0 10.77.0.5");
  EXPECT_EQ(chosen("ib0,eth"), "ib0 10.77.0.5");
  EXPECT_EQ(chosen("eth,ib0"), "eth0 10.0.0.5");
  EXPECT_EQ(chosen("eth1"), "eth1 10.1.0.5") << "not eth10, although that one comes first";
  EXPECT_EQ(chosen("lo"), "lo 127.0.0.1");
}

TEST(Interfaces, ExactNames) {
  EXPECT_EQ(chosen("=eth10"), "eth10 10.10.0.5");
  EXPECT_EQ(chosen("=eth"), "environment");
  EXPECT_EQ(chosen("=eth,ib"), "environment") << "a leading = holds for the whole list";
  EXPECT_EQ(chosen("nothing,=eth"), "environment") << "elsewhere it holds for its item";
  EXPECT_EQ(chosen("=eth,ib0"), "ib0 10.77.0.5");
}

TEST(Interfaces, Exclusions) {
  EXPECT_EQ(chosen("^eth0"), "docker0 172.17.0.1") << "who excludes by hand gets what is left";
  EXPECT_EQ(chosen("^docker,br-,eth,lo"), "ib0 10.77.0.5");
  EXPECT_EQ(chosen("^=eth1,docker0,br-5f2a,eth0,lo"), "eth10 10.10.0.5") << "the = holds for the whole list";
  EXPECT_EQ(chosen("eth,^eth0"), "eth10 10.10.0.5");
  EXPECT_EQ(chosen("eth,^=eth0,^10.10.0.0/16"), "eth1 10.1.0.5");
  EXPECT_EQ(chosen("^docker,br-,eth,lo,ib"), "environment");
}

TEST(Interfaces, AddressesAndNetworks) {
  EXPECT_EQ(chosen("10.77.0.0/24"), "ib0 10.77.0.5");
  EXPECT_EQ(chosen("10.77.0.5"), "ib0 10.77.0.5");
  EXPECT_EQ(chosen("10.77.0.6"), "environment");
  EXPECT_EQ(chosen("fe80::/10"), "eth0 fe80::7");
  EXPECT_EQ(chosen("::/0"), "eth0 fd00::5") << "global before link-local before loopback";
  EXPECT_EQ(chosen("::1"), "lo ::1");
  EXPECT_EQ(chosen("0.0.0.0/0,^eth"), "docker0 172.17.0.1");
  EXPECT_EQ(chosen("10.1.0.5/9"), "eth0 10.0.0.5") << "bits after the prefix do not count";
}

TEST(Interfaces, InterfacesThatAreDownAreNotChosen) {
  EXPECT_EQ(chosen("eth2"), "environment");
  EXPECT_EQ(chosen("10.2.0.5"), "environment");
}

TEST(Interfaces, MalformedListsAreRefused) {
  for (const char* spec : {",",           "eth0,",      ",eth0",       "^",         "=",
                           "^=",          "eth0,,ib",   "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x",
                           "10.0.0.0/-1", "fe80::/129", "10.0.0/24",   "eth 0",     "a_name_far_too_long",
                           "eth0,^",      "==eth0",     "^^eth0",      "/8",        "fe80::1%no_such_zone",
                           "10.0.0.1%lo"})
    EXPECT_EQ(chosen(spec), "invalid_argument") << spec;
}

TEST(Interfaces, ErrorShowsTheListAndWhatThereIs) {
  auto result = choose_interface("wlan", machine());
  ASSERT_FALSE(result);
  const std::string text = result.error().to_string();
  EXPECT_NE(text.find("'wlan'"), std::string::npos) << text;
  EXPECT_NE(text.find("eth0 10.0.0.5"), std::string::npos) << text;
  EXPECT_NE(text.find("eth2 10.2.0.5 (down)"), std::string::npos) << text;
}

TEST(Interfaces, RandomListsNeverCrash) {
  std::mt19937 random(7);
  constexpr std::string_view kAlphabet = "^=,/:%.0123456789abefhilot ";
  const auto available = machine();
  int understood = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string spec(random() % 12, ' ');
    for (char& c : spec) c = kAlphabet[random() % kAlphabet.size()];
    auto result = choose_interface(spec, available);
    if (result) {
      ++understood;
    } else {
      EXPECT_TRUE(result.error().code() == Code::invalid_argument || result.error().code() == Code::environment);
    }
  }
  EXPECT_GT(understood, 0);
}

TEST(Interfaces, ThisHostHasOne) {
  auto all = list_interfaces();
  ASSERT_TRUE(all);
  auto result = choose_interface("");
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_TRUE(result->up);
  EXPECT_EQ(result->address.port(), 0);
}

TEST(SocketAddress, RoundTripsAndPrints) {
  auto v4 = SocketAddress::parse("10.1.2.3", 80), v6 = SocketAddress::parse("fd00::1", 81);
  ASSERT_TRUE(v4 && v6);
  EXPECT_EQ(v4->to_string(), "10.1.2.3:80");
  EXPECT_EQ(v6->to_string(), "[fd00::1]:81");
  EXPECT_EQ(SocketAddress::from_bytes(AF_INET, v4->bytes(), 80).to_string(), "10.1.2.3:80");
  EXPECT_EQ(SocketAddress::from_bytes(AF_INET6, v6->bytes(), 82).to_string(), "[fd00::1]:82");
  EXPECT_EQ(v6->with_port(5).to_string(), "[fd00::1]:5");
  EXPECT_EQ(v4->with_scope(3).to_string(), "10.1.2.3:80");
}

TEST(SocketAddress, LinkLocalKeepsItsInterface) {
  const auto scoped = SocketAddress::parse("fe80::1%lo", 9);
  ASSERT_TRUE(scoped);
  EXPECT_EQ(scoped->scope(), if_nametoindex("lo"));
  EXPECT_EQ(scoped->to_string(), "[fe80::1%lo]:9");
  EXPECT_EQ(scoped->with_port(10).scope(), scoped->scope());
  EXPECT_TRUE(scoped->is_link_local());
  EXPECT_FALSE(SocketAddress::parse("fec0::1")->is_link_local());
}

TEST(SocketAddress, NamesAreNotLookedUp) { EXPECT_EQ(SocketAddress::parse("localhost").error().code(), Code::invalid_argument); }

}  // namespace
}  // namespace tutti
