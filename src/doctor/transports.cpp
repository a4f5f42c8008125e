#include "doctor/transports.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "doctor/checks.h"
#include "doctor/job.h"
#include "doctor/network.h"
#include "topology/cpus.h"

namespace tutti::doctor {
namespace {

constexpr const char* kSource = "TUTTI_TRANSPORT, and the checks rdma and interfaces";
constexpr const char* kMend = "TUTTI_TRANSPORT with tcp, or unset";

std::string names_of(const std::vector<PortFacts>& ports, const std::vector<std::size_t>& which) {
  std::vector<std::string_view> names;
  names.reserve(which.size());
  for (const std::size_t i : which) names.push_back(ports[i].name);
  return fmt::format("{}", fmt::join(names, ", "));
}

// "25 Gbit/s", "2 x 25 Gbit/s", "100 + 25 Gbit/s"
std::string speeds_text(const std::vector<std::uint32_t>& megabits) {
  if (std::ranges::count(megabits, megabits.front()) == std::ssize(megabits))
    return (megabits.size() > 1 ? fmt::format("{} x ", megabits.size()) : "") + shown_speed(megabits.front());
  std::vector<double> gigabits;
  gigabits.reserve(megabits.size());
  for (const std::uint32_t each : megabits) gigabits.push_back(each / 1000.0);
  return fmt::format("{:g} Gbit/s", fmt::join(gigabits, " + "));
}

std::string over(const std::string& mine, const std::string& theirs) {
  return mine == theirs ? mine : fmt::format("{} to {}", mine, theirs);
}

std::string verbs_between(const Facts& a, const Facts& b) {
  const auto mine = summaries(a), theirs = summaries(b);
  const verbs::Pairing pairing = verbs::pair_ports(mine, theirs);
  if (pairing.mine.empty()) return "";
  const verbs::PortSummary& first = a.ports[pairing.mine.front()].summary;
  return fmt::format("verbs over {} ({}, {}{})", over(names_of(a.ports, pairing.mine), names_of(b.ports, pairing.theirs)),
                     verbs::kind(first.fabric), speeds_text(pairing.megabits),
                     pairing.routed && first.network_bits > 0 ? ", between networks, if routes lead there" : "");
}

std::string tcp_between(const Facts& a, const Facts& b) {
  return a.interface.empty() || b.interface.empty() ? "" : "tcp over " + over(a.interface, b.interface);
}

std::string way(const std::string& transport, const Facts& a, const Facts& b) {
  if (transport == "shm") return a.kernel == b.kernel && a.network == b.network ? "shm" : "";
  if (transport == "verbs") return verbs_between(a, b);
  if (transport == "tcp") return tcp_between(a, b);
  return transport;  // whatever its own variables say
}

// Ranks that would use the same: what holds for two of them holds for all.
using Alike = std::vector<std::vector<int>>;
constexpr std::size_t kMostKinds = 64;

Alike alike(const Job& job) {
  Alike groups;
  for (std::size_t r = 0; r < job.ranks.size(); ++r) {
    const Facts& f = job.ranks[r];
    const auto same = [&](const std::vector<int>& group) {
      const Facts& other = job.ranks[static_cast<std::size_t>(group.front())];
      return f.transports == other.transports && f.ports == other.ports && f.interface == other.interface;
    };
    const auto at = std::ranges::find_if(groups, same);
    if (at != groups.end())
      at->push_back(static_cast<int>(r));
    else if (groups.size() < kMostKinds)
      groups.push_back({static_cast<int>(r)});
  }
  return groups;
}

// Two ranks, one of each group, on one host or on two; nothing where there are none.
std::optional<std::pair<int, int>> two_of(const Job& job, const std::vector<int>& a, const std::vector<int>& b, bool one_host) {
  const auto host = [&](int rank) -> const std::string& { return job.ranks[static_cast<std::size_t>(rank)].host; };
  for (const int first : a) {
    const auto second =
        std::ranges::find_if(b, [&](int rank) { return rank != first && (host(rank) == host(first)) == one_host; });
    if (second != b.end()) return std::pair(first, *second);
    if (&a == &b && !one_host) break;  // all of them are where the first one is
  }
  return std::nullopt;
}

std::string who(const std::vector<int>& a, const std::vector<int>& b) {
  const auto text = [](const std::vector<int>& ranks) {
    return fmt::format("rank{} {}", ranks.size() == 1 ? "" : "s", format_cpus(ranks));
  };
  return &a == &b ? text(a) : fmt::format("{} and {}", text(a), text(b));
}

Shared finding(Severity severity, std::string found) {
  const bool bad = severity == Severity::problem;
  return {{severity, "transports", std::move(found), kSource, bad ? "the job cannot start" : "", bad ? kMend : ""}, "", {}};
}

void add_ways(const Job& job, const Alike& groups, bool one_host, std::vector<Shared>& all) {
  std::map<std::string, std::vector<std::string>> users;  // by what they use
  for (std::size_t i = 0; i < groups.size(); ++i)
    for (std::size_t k = i; k < groups.size(); ++k)
      if (const auto two = two_of(job, groups[i], groups[k], one_host))
        users[ways_between(job.ranks[static_cast<std::size_t>(two->first)], job.ranks[static_cast<std::size_t>(two->second)])]
            .push_back(who(groups[i], groups[k]));
  const char* where = one_host ? "within a host" : "between hosts";
  for (const auto& [ways, pairs] : users) {
    const std::string place = users.size() == 1 ? where : fmt::format("{}, {}", where, fmt::join(pairs, "; "));
    all.push_back(ways.empty() ? finding(Severity::problem, place + ": no transport that both sides allow and have")
                               : finding(Severity::ok, fmt::format("{}: {}", place, ways)));
  }
}

}  // namespace

Result<std::vector<const TransportRow*>> allowed_transports(const System& s) {
  return choose_transports(s.transport_spec, "TUTTI_TRANSPORT");
}

bool allows_verbs(const System& s) {
  const auto rows = allowed_transports(s);
  return rows && has_row(*rows, "verbs");
}

std::string ways_between(const Facts& a, const Facts& b) {
  std::vector<std::string> ways;
  for (const std::string& transport : a.transports) {
    if (std::ranges::find(b.transports, transport) == b.transports.end()) continue;
    if (std::string text = way(transport, a, b); !text.empty()) ways.push_back(std::move(text));
  }
  return fmt::format("{}", fmt::join(ways, ", else "));
}

Findings check_transports(const System& s) {
  const auto rows = allowed_transports(s);
  if (!rows)
    return {{Severity::problem, "transports", rows.error().to_string(), "TUTTI_TRANSPORT", "a communicator cannot be made",
             "correct or unset TUTTI_TRANSPORT"}};
  const Facts here = facts_of(s);
  Facts elsewhere = here;
  elsewhere.kernel = here.kernel + " of another host";
  const std::string near = ways_between(here, here), far = ways_between(here, elsewhere);
  if (near.empty())
    return {{Severity::problem, "transports", "no transport that is allowed works here", kSource, "a communicator cannot be made",
             kMend}};
  const std::string within = !far.empty() && near == "shm, else " + far ? "shm, else as between hosts" : near;
  const std::string found = "within this host: " + within + "; to other hosts like it: ";
  if (!far.empty()) return {{Severity::ok, "transports", found + far, kSource, "", ""}};
  return {{s.ranks > s.ranks_here ? Severity::problem : Severity::note, "transports", found + "nothing", kSource,
           "ranks of other hosts are not reached", kMend}};
}

std::vector<Shared> check_transports_between(const Job& job) {
  const Alike groups = alike(job);
  std::vector<Shared> all;
  add_ways(job, groups, true, all);
  add_ways(job, groups, false, all);
  if (groups.size() == kMostKinds)
    all.push_back(
        finding(Severity::note, fmt::format("ranks differ in so many ways that only {} of these were compared", kMostKinds)));
  return all;
}

}  // namespace tutti::doctor
