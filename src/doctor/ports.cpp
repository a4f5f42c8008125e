// The RDMA ports of several hosts compared.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "doctor/job.h"
#include "doctor/network.h"

namespace tutti::doctor {
namespace {

constexpr const char* kSource = "libibverbs.so.1 on all hosts (the check rdma)";

// Values and the hosts that have them.
using Hosts = std::map<std::string, std::set<std::string>>;

Shared finding(Severity severity, std::string found, std::string costs = {}, std::string mend = {}) {
  return {{severity, "ports", std::move(found), kSource, std::move(costs), std::move(mend)}, "", {}};
}

// The values of one thing that differs between ports, of all ports of a rank.
template <class Value>
std::string values_of(const Facts& facts, Value&& value_of) {
  std::vector<std::string> values;
  for (const PortFacts& port : facts.ports)
    if (std::string value = value_of(port); std::ranges::find(values, value) == values.end()) values.push_back(std::move(value));
  return fmt::format("{}", fmt::join(values, " and "));
}

std::string kinds(const Facts& f) {
  return values_of(f, [](const PortFacts& p) { return std::string(verbs::kind(p.summary.fabric)); });
}
std::string numbers(const Facts& f) { return fmt::format("{} port{}", f.ports.size(), f.ports.size() == 1 ? "" : "s"); }
std::string speeds(const Facts& f) {
  return values_of(f, [](const PortFacts& p) { return shown_speed(p.summary.megabits); });
}
std::string mtus(const Facts& f) {
  return values_of(f, [](const PortFacts& p) { return fmt::format("MTU {}", p.mtu); });
}

struct Trait {
  const char* what;
  std::string (*of)(const Facts&);
  const char* costs;
  const char* mend;
};
constexpr Trait kTraits[] = {
    {"kind", kinds, "only ports of one kind are joined",
     "TUTTI_IB_DEVICES and TUTTI_IB_GID_INDEX, to take the same kind on all hosts"},
    {"number", numbers, "as many are joined as the host with fewer has; the others idle",
     "look why there (the check rdma), or TUTTI_IB_DEVICES"},
    {"speed", speeds, "the slower end decides", "TUTTI_IB_DEVICES, to take the same network on all hosts"},
    {"largest packets", mtus, "the smaller ones are used; where switches take smaller ones still, large messages fail",
     "set the same MTU on all hosts and switches"},
};

// Hosts whose ranks would use ports, and those that would not, by the reason.
void compare_presence(const Job& job, std::vector<Shared>& all) {
  std::set<std::string> with;
  Hosts without;
  for (const Facts& f : job.ranks)
    if (f.ports.empty())
      without[f.no_ports].insert(f.host);
    else
      with.insert(f.host);
  if (with.empty() || without.empty()) return;
  all.push_back(
      finding(Severity::warning,
              fmt::format("RDMA ports would be used on {}, and none on others: {}", fmt::join(with, ", "), who_has(without)),
              "messages to and from these go over TCP, through the kernel", "see what the check rdma says there"));
}

// "InfiniBand, subnet fe80::"
std::string joinable(const Facts& f) {
  std::string text = kinds(f);
  for (const PortFacts& port : f.ports)
    if (port.summary.fabric == verbs::Fabric::infiniband) {
      ibv_gid subnet{};
      std::ranges::copy(port.summary.gid, subnet.raw);
      text += ", subnet " + verbs::to_string(subnet);
    }
  return text;
}

// Ports that no other host's can be joined with.
void compare_kinds(const Job& job, std::vector<Shared>& all) {
  Hosts hosts;
  std::map<std::string, const Facts*> one_of;
  for (const Facts& f : job.ranks) {
    if (f.ports.empty()) continue;
    hosts[joinable(f)].insert(f.host);
    one_of[joinable(f)] = &f;
  }
  for (auto a = one_of.begin(); a != one_of.end(); ++a)
    for (auto b = std::next(a); b != one_of.end(); ++b)
      if (verbs::pair_ports(summaries(*a->second), summaries(*b->second)).mine.empty())
        all.push_back(finding(Severity::warning,
                              fmt::format("no ports that can be joined: {} on {}, {} on {}", a->first,
                                          fmt::join(hosts[a->first], ", "), b->first, fmt::join(hosts[b->first], ", ")),
                              "verbs cannot join them: messages between them go over TCP, through the kernel",
                              "TUTTI_IB_DEVICES and TUTTI_IB_GID_INDEX, to take the same kind on all hosts; give the interfaces "
                              "of RoCE ports an IPv4 address everywhere"));
}

}  // namespace

std::vector<verbs::PortSummary> summaries(const Facts& facts) {
  std::vector<verbs::PortSummary> all;
  all.reserve(facts.ports.size());
  for (const PortFacts& port : facts.ports) all.push_back(port.summary);
  return all;
}

std::vector<Shared> check_ports(const Job& job) {
  if (job.hosts().size() < 2 || std::ranges::all_of(job.ranks, [](const Facts& f) { return f.ports.empty(); })) return {};
  std::vector<Shared> all;
  compare_presence(job, all);
  compare_kinds(job, all);
  std::string alike;
  for (const Trait& trait : kTraits) {
    Hosts hosts;
    for (const Facts& f : job.ranks)
      if (!f.ports.empty()) hosts[trait.of(f)].insert(f.host);
    if (hosts.size() > 1)
      all.push_back(
          finding(Severity::warning, fmt::format("ports differ in {}: {}", trait.what, who_has(hosts)), trait.costs, trait.mend));
    alike += (alike.empty() ? "" : ", ") + hosts.begin()->first;
  }
  if (all.empty()) all.push_back(finding(Severity::ok, fmt::format("alike on {} hosts: {}", job.hosts().size(), alike)));
  return all;
}

}  // namespace tutti::doctor
