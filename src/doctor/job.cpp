#include "doctor/job.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "core/host.h"
#include "doctor/network.h"
#include "doctor/transports.h"
#include "topology/cpus.h"
#include "transports/verbs/networks.h"

namespace tutti::doctor {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

// "net:[4026531840]"; equal containers of one kernel differ in it.
std::string network_namespace() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/ns/net", ignored).string();
}

std::string plural(std::size_t n, std::string_view what) { return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s"); }
std::string ranks_text(const std::vector<int>& ranks) {
  return fmt::format("rank{} {}", ranks.size() == 1 ? "" : "s", format_cpus(ranks));
}

bool meet(const std::vector<int>& a, const std::vector<int>& b) {
  return std::ranges::any_of(a, [&](int cpu) { return std::ranges::binary_search(b, cpu); });
}

std::map<std::string, std::vector<int>> by(const std::vector<Facts>& ranks, std::string Facts::*key) {
  std::map<std::string, std::vector<int>> groups;
  for (std::size_t r = 0; r < ranks.size(); ++r) groups[ranks[r].*key].push_back(static_cast<int>(r));
  return groups;
}

constexpr const char* kAffinity = "/proc/self/status, Cpus_allowed_list, of all ranks";
constexpr const char* kBind =
    "mpirun --bind-to core (Open MPI), mpiexec -bind-to core (Hydra), srun --cpu-bind=cores; torchrun does not bind: use numactl "
    "or taskset";

// The ranks of one kernel.
Shared judge_binding(const std::vector<Facts>& all, const std::vector<int>& ranks) {
  std::set<std::vector<int>> cores;
  std::map<std::vector<int>, std::vector<int>> sharers;  // ranks by PUs that they are bound to
  for (const int r : ranks) {
    const Facts& facts = all[static_cast<std::size_t>(r)];
    cores.insert(facts.cores.begin(), facts.cores.end());
    sharers[facts.cpus].push_back(r);
  }
  const auto cores_of = [&](const std::vector<int>& cpus) {
    return static_cast<std::size_t>(std::ranges::count_if(cores, [&](const auto& core) { return meet(core, cpus); }));
  };
  const auto idle = static_cast<std::size_t>(std::ranges::count_if(cores, [&](const auto& core) {
    return std::ranges::none_of(sharers, [&](const auto& s) { return meet(core, s.first); });
  }));
  const std::string& host = all[static_cast<std::size_t>(ranks.front())].host;
  const auto finding = [&](Severity severity, std::string found, std::string costs, std::string mend) {
    Finding of{severity, "bindings", std::move(found), kAffinity, std::move(costs), std::move(mend)};
    return Shared{std::move(of), host, ranks};
  };
  for (const auto& [cpus, who] : sharers)
    if (const std::size_t own = cores_of(cpus); own > 0 && who.size() > own && idle > 0)
      return finding(Severity::problem,
                     fmt::format("{} share {} (PUs {}), while {} idle", ranks_text(who), plural(own, "core"), format_cpus(cpus),
                                 plural(idle, "core") + (idle == 1 ? " is" : " are")),
                     "they take turns: a message costs a switch of context, and each gets a part of the core",
                     std::string("bind each rank to cores of its own: ") + kBind);
  if (ranks.size() > cores.size() && !cores.empty())
    return finding(Severity::warning,
                   fmt::format("{} take turns on {}", plural(ranks.size(), "rank"), plural(cores.size(), "core")),
                   "a rank that waits must give its core to another one: some microseconds for each message",
                   "one rank per core, if the program allows it");
  const bool loose = std::ranges::any_of(sharers, [&](const auto& s) { return s.second.size() > 1 && cores_of(s.first) > 1; });
  if (loose)
    return finding(
        Severity::warning, fmt::format("{} are not bound to cores of their own", plural(ranks.size(), "rank")),
        "the kernel moves them; now and then two share a core while another one idles, and caches are cold after each move",
        kBind);
  return finding(Severity::ok, fmt::format("{} on cores of their own", plural(ranks.size(), "rank")), "", "");
}

Shared whole(Severity severity, const char* check, std::string found, std::string source, std::string costs = {},
             std::string mend = {}) {
  Finding of{severity, check, std::move(found), std::move(source), std::move(costs), std::move(mend)};
  return {std::move(of), "", {}};
}

constexpr JobCheck kChecks[] = {
    {"bindings", check_bindings},
    {"networks", check_networks},
    {"ports", check_ports},
    {"reach", check_reach},
    {"transports", check_transports_between},
    {"alike", check_alike},
};

// Of its address only the network matters, which hosts that are alike have in common.
PortFacts facts_of(const verbs::Port& port) {
  PortFacts facts{port.to_string(), verbs::summary_of(port), verbs::bytes(port.mtu)};
  const ibv_gid network = verbs::network_of(port.gid.gid, facts.summary.network_bits);
  std::ranges::copy(network.raw, facts.summary.gid.begin());
  return facts;
}

void add_transports(const System& s, Facts& facts) {
  if (const auto rows = allowed_transports(s))
    for (const TransportRow* row : *rows) facts.transports.emplace_back(row->name);
  auto used = used_ports(s);
  if (!allows_verbs(s))
    facts.no_ports = "TUTTI_TRANSPORT leaves verbs out";
  else if (!used)
    facts.no_ports = used.error().to_string();
  else
    for (const verbs::Port& port : *used) facts.ports.push_back(facts_of(port));
}

}  // namespace

std::string who_has(const std::map<std::string, std::set<std::string>>& hosts_of) {
  std::string text;
  for (const auto& [value, hosts] : hosts_of)
    text += fmt::format("{}{} on {}", text.empty() ? "" : "; ", value, fmt::join(hosts, ", "));
  return text;
}

Facts facts_of(const System& s) {
  Facts facts;
  facts.host = host_name();
  facts.kernel = boot_id();
  facts.network = network_namespace();
  facts.cpus = s.bound();
  if (!s.topology.nodes.empty())
    for (const NodeId core : usable_cores(s.topology))
      facts.cores.push_back(s.topology.nodes[static_cast<std::size_t>(core)].cpus);
  const auto chosen = choose_interface(s.interface_spec, s.addresses);
  for (const NetworkInterface& i : network_interfaces(s)) {
    if (chosen && i.address.to_string() == chosen->to_string()) {
      facts.interface = i.address.name;
      facts.address = i.address.address.host();
      facts.megabits = i.megabits;
      facts.mtu = i.mtu;
    } else if (i.address.up && !i.address.loopback && !i.address.address.is_link_local()) {
      facts.others.emplace_back(i.address.name, i.address.address.host());
    }
  }
  add_transports(s, facts);
  const auto setting = [&](const char* name, const std::optional<std::string>& value) {
    facts.settings[name] = value.value_or("(not known)");
  };
  setting("kernel", s.line("proc/sys/kernel/osrelease"));
  setting("frequency governor", s.line("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"));
  setting("transparent huge pages", s.chosen_word("sys/kernel/mm/transparent_hugepage/enabled"));
  setting("clock source", s.line("sys/devices/system/clocksource/clocksource0/current_clocksource"));
  setting("automatic NUMA balancing", s.line("proc/sys/kernel/numa_balancing"));
  setting("SMT", s.line("sys/devices/system/cpu/smt/active"));
  setting("usable cores", std::to_string(facts.cores.size()));
  setting("processor", s.field("proc/cpuinfo", "model name"));
  return facts;
}

void tell_hosts_apart(std::vector<Facts>& ranks) {
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> places;  // by name, in order of ranks
  std::vector<std::size_t> place_of;
  for (const Facts& f : ranks) {
    auto& known = places[f.host];
    const auto at = std::ranges::find(known, std::pair(f.kernel, f.network));
    place_of.push_back(static_cast<std::size_t>(at - known.begin()));
    if (at == known.end()) known.emplace_back(f.kernel, f.network);
  }
  for (std::size_t r = 0; r < ranks.size(); ++r)
    if (places[ranks[r].host].size() > 1) ranks[r].host += fmt::format(" ({})", place_of[r] + 1);
}

std::map<std::string, std::vector<int>> Job::hosts() const { return by(ranks, &Facts::host); }

std::span<const JobCheck> job_checks() { return kChecks; }

std::vector<Shared> examine(const Job& job) {
  std::vector<Shared> all;
  for (const JobCheck& check : kChecks)
    for (Shared& each : check.run(job)) all.push_back(std::move(each));
  return all;
}

std::vector<Shared> check_bindings(const Job& job) {
  std::vector<Shared> all;
  for (const auto& [kernel, ranks] : by(job.ranks, &Facts::kernel))
    if (ranks.size() > 1) all.push_back(judge_binding(job.ranks, ranks));
  return all;
}

std::vector<Shared> check_networks(const Job& job) {
  if (job.hosts().size() < 2) return {};
  std::map<std::string, std::set<std::string>> speeds, mtus;
  for (const Facts& f : job.ranks) {
    speeds[shown_speed(f.megabits)].insert(f.host);
    mtus[fmt::format("MTU {}", f.mtu)].insert(f.host);
  }
  constexpr const char* kSource = "/sys/class/net/*/speed and mtu of all hosts";
  std::vector<Shared> all;
  if (speeds.size() > 1)
    all.push_back(whole(Severity::warning, "networks", "the interfaces that tutti takes differ in speed: " + who_has(speeds),
                        kSource, "the slowest host decides how long a collective takes",
                        "TUTTI_INTERFACE, to take the same network on all hosts"));
  if (mtus.size() > 1)
    all.push_back(whole(Severity::warning, "networks", "they differ in their largest packets: " + who_has(mtus), kSource,
                        "where the way between them takes smaller packets only, large messages stall",
                        "set the same MTU on all hosts and switches"));
  if (all.empty()) all.push_back(whole(Severity::ok, "networks", "alike on all hosts: " + who_has(speeds), kSource));
  return all;
}

std::vector<Shared> check_reach(const Job& job) {
  if (job.hosts().size() < 2) return {};
  constexpr const char* kSource = "connect() and 64 KiB from each host to the others";
  std::vector<Shared> all;
  std::size_t reached = 0;
  const auto host = [&](int rank) { return job.ranks[static_cast<std::size_t>(rank)].host; };
  for (const Reach& r : job.reaches) {
    const Facts& to = job.ranks[static_cast<std::size_t>(r.to)];
    if (r.address != to.address) continue;
    if (r.failure.empty()) {
      ++reached;
      continue;
    }
    const auto other =
        std::ranges::find_if(job.reaches, [&](const Reach& o) { return o.from == r.from && o.to == r.to && o.failure.empty(); });
    const std::string mend = other == job.reaches.end()
                                 ? "no other address of that host is reached either: look at routes and firewalls between them"
                                 : fmt::format("TUTTI_INTERFACE={}: {} is reached", other->interface, other->address);
    Shared shared =
        whole(Severity::problem, "reach",
              fmt::format("{} does not reach {} at {} ({}): {}", host(r.from), to.host, r.address, r.interface, r.failure),
              kSource, "messages between them fail or wait until TUTTI_TIMEOUT", mend);
    shared.host = host(r.from);
    shared.ranks = {r.from};
    all.push_back(std::move(shared));
  }
  if (all.empty())
    all.push_back(whole(
        Severity::ok, "reach",
        fmt::format("{} between {} tried, all reached", plural(reached, "way"), plural(job.hosts().size(), "host")), kSource));
  return all;
}

std::vector<Shared> check_alike(const Job& job) {
  if (job.hosts().size() < 2) return {};
  std::vector<Shared> all;
  for (const auto& [key, ignored] : job.ranks.front().settings) {
    std::map<std::string, std::set<std::string>> values;
    for (const Facts& f : job.ranks) {
      const auto at = f.settings.find(key);
      values[at == f.settings.end() ? "(not known)" : at->second].insert(f.host);
    }
    if (values.size() > 1)
      all.push_back(whole(key == "kernel" ? Severity::note : Severity::warning, "alike",
                          fmt::format("hosts differ in {}: {}", key, who_has(values)),
                          "the files of the other checks, on all hosts", "the slowest host decides how long a collective takes",
                          "make them alike"));
  }
  if (all.empty())
    all.push_back(whole(Severity::ok, "alike",
                        plural(job.hosts().size(), "host") + " with the same kernel, processor and settings",
                        "the files of the other checks, on all hosts"));
  return all;
}

}  // namespace tutti::doctor
