// The interface that tutti would take, and the others.
#include "doctor/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "doctor/checks.h"

namespace tutti::doctor {
namespace {

constexpr const char* kSource = "getifaddrs and /sys/class/net";

std::string shown(const NetworkInterface& i) {
  return fmt::format("{} {} ({}, MTU {})", i.address.name, i.address.address.host(), shown_speed(i.megabits), i.mtu);
}

// The fastest that is up and real, or nothing.
const NetworkInterface* fastest(const std::vector<NetworkInterface>& all) {
  const NetworkInterface* best = nullptr;
  for (const NetworkInterface& i : all) {
    if (!i.address.up || !i.address.running || i.address.loopback || i.is_virtual) continue;
    if (best == nullptr || i.megabits > best->megabits) best = &i;
  }
  return best;
}

Finding unusable(const System& s, const Error& error) {
  return {s.ranks > s.ranks_here ? Severity::problem : Severity::warning,
          "interfaces",
          error.to_string(),
          kSource,
          "ranks cannot find each other, not even on one host",
          "bring one up (ip link set lo up), or correct TUTTI_INTERFACE"};
}

// What is wrong with the one that is chosen.
Findings judge(const System& s, const NetworkInterface& chosen, const std::vector<NetworkInterface>& all) {
  const bool several_hosts = s.ranks > s.ranks_here;
  const NetworkInterface* best = fastest(all);
  const std::string would = "tutti would take " + shown(chosen);
  if (chosen.address.loopback)
    return {{several_hosts ? Severity::problem : Severity::ok, "interfaces", would + ", as there is only loopback", kSource,
             "ranks of other hosts cannot reach this one", "bring up an interface that leads to the other hosts"}};
  if (chosen.is_virtual && best != nullptr)
    return {{Severity::warning, "interfaces", fmt::format("{}, which is {}; there is {}", would, chosen.what, shown(*best)),
             kSource, "it leads to containers of this host; other hosts have a network of the same addresses and are not reached",
             "TUTTI_INTERFACE=" + best->address.name}};
  if (best != nullptr && best->address.name != chosen.address.name && chosen.megabits > 0 && best->megabits > chosen.megabits)
    return {{Severity::warning, "interfaces", fmt::format("{}, but {} is faster", would, shown(*best)), kSource,
             "all messages between hosts go over the slower one",
             "TUTTI_INTERFACE=" + best->address.name + " if it leads to the other hosts, too"}};
  if (chosen.half_duplex)
    return {{Severity::warning, "interfaces", would + ", which sends and receives in turns (half duplex)", kSource,
             "collisions: a fraction of its speed", "correct the negotiation with the switch (ethtool)"}};
  if (chosen.megabits > 0 && chosen.megabits < 10000)
    return {{several_hosts ? Severity::warning : Severity::note, "interfaces", would, kSource,
             "one core fills a faster one than that; large messages between hosts take as long as it does",
             "where there is a faster network, TUTTI_INTERFACE"}};
  if (chosen.megabits <= 0)
    return {{Severity::note, "interfaces", would, kSource + (", speed of " + chosen.address.name),
             "`tutti explain` without a job takes it for 25 Gbit/s; a running job measures",
             "tutti doctor --write-topology writes down what is assumed"}};
  return {{Severity::ok, "interfaces", would, kSource, "", ""}};
}

}  // namespace

std::string shown_speed(double megabits) { return megabits > 0 ? fmt::format("{:g} Gbit/s", megabits / 1000) : "speed unknown"; }

std::vector<NetworkInterface> network_interfaces(const System& s) {
  std::vector<NetworkInterface> all;
  for (const InterfaceAddress& address : s.addresses) {
    const std::string folder = "sys/class/net/" + address.name;
    NetworkInterface i{.address = address, .what = {}};
    i.megabits = std::max(0.0, s.number(folder + "/speed").value_or(0));
    i.mtu = static_cast<int>(s.number(folder + "/mtu").value_or(0));
    i.half_duplex = s.line(folder + "/duplex").value_or("") == "half";
    if (s.exists(folder + "/bridge"))
      i.what = "a bridge";
    else if (s.exists(folder + "/tun_flags"))
      i.what = "a tunnel";
    else
      for (const char* prefix : {"docker", "virbr", "br-", "cni", "flannel", "cali", "podman", "lxc", "lxd", "weave"})
        if (address.name.starts_with(prefix)) i.what = "of containers or virtual machines";
    i.is_virtual = !i.what.empty();
    all.push_back(std::move(i));
  }
  return all;
}

Findings check_interfaces(const System& s) {
  const auto chosen = choose_interface(s.interface_spec, s.addresses);
  if (!chosen) return {unusable(s, Error(chosen.error().clone()))};
  const std::vector<NetworkInterface> all = network_interfaces(s);
  const auto at =
      std::ranges::find_if(all, [&](const NetworkInterface& i) { return i.address.to_string() == chosen->to_string(); });
  Findings findings = judge(s, *at, all);
  std::set<std::string> down;
  for (const InterfaceAddress& i : s.addresses)
    if (!i.loopback && (!i.up || !i.running)) down.insert(i.name);
  for (const std::string& name : down)
    findings.push_back({Severity::note, "interfaces", name + " has an address but is down, or has no carrier", kSource,
                        "nothing goes over it", "check its cable, or take the address away"});
  return findings;
}

}  // namespace tutti::doctor
