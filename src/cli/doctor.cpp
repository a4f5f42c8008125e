#include "cli/doctor.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "bootstrap/bootstrap.h"
#include "cli/report.h"
#include "cli/started_by.h"
#include "cli/usage.h"
#include "core/file.h"
#include "core/host.h"
#include "doctor/checks.h"
#include "doctor/correct.h"
#include "doctor/job.h"
#include "doctor/reach.h"
#include "tutti/communicator.h"

namespace tutti {
namespace {

struct DoctorOptions {
  bool json = false;
  std::string write_topology;
  bool force = false;
};

using doctor::Shared;
using doctor::System;
using Blobs = std::vector<std::vector<std::byte>>;

std::string_view text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Ranks of one kernel compete for its cores, in whatever containers they are.
Result<int> ranks_here(Overlay& overlay) {
  const std::string mine = boot_id();
  auto all = overlay.all_gather(std::as_bytes(std::span(mine)));
  if (!all) return std::move(all.error());
  return static_cast<int>(std::ranges::count_if(*all, [&](const auto& bytes) { return text_of(bytes) == mine; }));
}

// What all ranks say, each of which `parse` must understand.
template <class T>
Result<std::vector<T>> exchange(Overlay& overlay, const T& mine, Result<T> (*parse)(std::string_view)) {
  const std::string text = doctor::to_json(mine);
  auto blobs = overlay.all_gather(std::as_bytes(std::span(text)));
  if (!blobs) return std::move(blobs.error());
  std::vector<T> all;
  for (std::size_t r = 0; r < blobs->size(); ++r) {
    auto parsed = parse(text_of((*blobs)[r]));
    if (!parsed) return parsed.because(fmt::format("rank {}", r));
    all.push_back(std::move(*parsed));
  }
  return all;
}

constexpr std::size_t kMostHosts = 64, kMostAddresses = 4;  // that one rank tries

// The first rank of each host tries the other hosts, at the address that tutti would take and at the others they have.
std::vector<doctor::Reach> try_to_reach(const doctor::Job& job, Rank me) {
  std::vector<int> leaders;
  for (const auto& [host, ranks] : job.hosts()) leaders.push_back(ranks.front());
  const auto mine = std::ranges::find(leaders, me);
  if (mine == leaders.end()) return {};
  std::ranges::rotate(leaders, mine);
  leaders.resize(std::min(leaders.size(), kMostHosts + 1));
  const doctor::Facts& here = job.ranks[static_cast<std::size_t>(me)];
  std::vector<doctor::Reach> reaches;
  std::vector<doctor::Knock> doors;
  const auto add = [&](int to, const std::string& interface, const std::string& address, bool chosen) {
    const doctor::Facts& there = job.ranks[static_cast<std::size_t>(to)];
    const auto target = SocketAddress::parse(address, static_cast<std::uint16_t>(there.port));
    if (!target) return;
    const auto from = SocketAddress::parse(here.address);
    const bool as_tutti = chosen && from && from->family() == target->family();
    reaches.push_back({me, to, interface, address, {}});
    doors.push_back({as_tutti ? *from : SocketAddress(),
                     from && target->is_link_local() ? target->with_scope(from->scope()) : *target, there.token});
  };
  for (std::size_t i = 1; i < leaders.size(); ++i) {
    const doctor::Facts& there = job.ranks[static_cast<std::size_t>(leaders[i])];
    add(leaders[i], there.interface, there.address, true);
    for (std::size_t o = 0; o < std::min(there.others.size(), kMostAddresses); ++o)
      add(leaders[i], there.others[o].first, there.others[o].second, false);
  }
  const auto outcomes = doctor::knock(doors, from_seconds(3));
  for (std::size_t i = 0; i < reaches.size(); ++i) reaches[i].failure = outcomes[i];
  return reaches;
}

struct Examined {
  std::vector<Shared> findings;
  std::size_t hosts = 1;
};

Result<Examined> examine_job(Session& session, const System& system) {
  auto door = doctor::Door::open();
  if (!door) return std::move(door.error());
  doctor::Facts mine = doctor::facts_of(system);
  mine.port = (*door)->port();
  mine.token = (*door)->token();
  auto facts = exchange(*session.overlay, mine, doctor::facts_from_json);
  if (!facts) return std::move(facts.error());
  doctor::tell_hosts_apart(*facts);
  doctor::Job job{std::move(*facts), {}};
  auto visits = exchange(*session.overlay, {doctor::examine(system), try_to_reach(job, session.rank)}, doctor::visit_from_json);
  if (!visits) return std::move(visits.error());
  std::vector<Shared> of_hosts;
  for (std::size_t r = 0; r < visits->size(); ++r) {
    for (doctor::Reach& reach : (*visits)[r].reaches)
      if (reach.from == static_cast<int>(r) && reach.to >= 0 && reach.to < session.size) job.reaches.push_back(std::move(reach));
    for (doctor::Finding& finding : (*visits)[r].findings)
      of_hosts.push_back({std::move(finding), job.ranks[r].host, {static_cast<int>(r)}});
  }
  std::vector<Shared> all = doctor::examine(job);
  for (Shared& each : of_hosts) all.push_back(std::move(each));
  return Examined{doctor::merged(std::move(all)), job.hosts().size()};
}

Examined examine_alone(const System& system) {
  Examined examined;
  for (doctor::Finding& finding : doctor::examine(system))
    examined.findings.push_back({std::move(finding), doctor::facts_of(system).host, {}});
  examined.findings = doctor::merged(std::move(examined.findings));
  return examined;
}

// For one more communicator of this job. Not all launchers can be asked a second time: PMI's store is closed by then.
Result<UniqueId> another_id(const Session& session) {
  UniqueId id;
  Result<UniqueId> made = session.rank == 0 ? create_unique_id() : id;
  auto all = session.overlay->all_gather(made ? std::as_bytes(std::span(made->bytes)) : std::span<const std::byte>());
  if (!made) return made;
  if (!all) return std::move(all.error());
  if (all->front().size() != UniqueId::kSize) return Error(Code::resource, "rank 0 could not open a place to meet", 0);
  std::ranges::copy(all->front(), id.bytes.begin());
  return id;
}

// What a communicator of this job measures between hosts at its start; nothing where it does not.
std::optional<LinkParameters> measured_network(const Session& session) {
  auto id = another_id(session);
  if (!id) leave(id.error());
  auto comm = Communicator::create(*id, session.rank, session.size);
  if (!comm) leave(comm.error());
  auto text = comm->explain({.collective = Collective::all_reduce, .count = 1 << 20}, true);
  if (!text) leave(text.error());
  const auto link = nlohmann::json::parse(*text).at("links").back();
  if (link.at("origin") != "measured") return std::nullopt;
  return LinkParameters{link.at("latency_us"), link.at("bandwidth_gbps"), Origin::system};
}

// Known before it looks for a minute.
Status check_target(const DoctorOptions& o) {
  if (o.write_topology.empty()) return {};
  std::error_code none;
  if (!o.force && std::filesystem::is_regular_file(o.write_topology, none))
    return Error(Code::invalid_argument,
                 fmt::format("--write-topology {}: there is such a file; --force replaces it", o.write_topology));
  return check_writable(o.write_topology);
}

// Says what was corrected, and proves that the file can be read again.
Status write_topology(const System& system, const std::optional<LinkParameters>& network, const DoctorOptions& o) {
  auto corrected = doctor::correct(system, network);
  if (!corrected) return std::move(corrected.error());
  if (auto s = replace_file(o.write_topology, to_json(corrected->topology) + "\n"); !s) return s;
  auto again = load_topology(o.write_topology);
  if (!again) return again.because("reading again what was written");
  if (*again != corrected->topology) return Error(Code::internal, o.write_topology + " does not hold what was written");
  std::FILE* to = o.json ? stderr : stdout;
  fmt::print(to, "wrote {}; use it with TUTTI_TOPOLOGY={}\n", o.write_topology, o.write_topology);
  for (const std::string& change : corrected->changes) fmt::print(to, "  {}\n", change);
  return {};
}

void print(const Examined& examined, const DoctorOptions& o, Rank ranks) {
  if (o.json)
    fmt::print("{}", doctor::to_json(examined.findings));
  else
    fmt::print("{}{}",
               ranks > 1 ? fmt::format("{} ranks on {} host{}\n", ranks, examined.hosts, examined.hosts == 1 ? "" : "s") : "",
               doctor::render(examined.findings, ranks > 1));
}

void end_with(const Examined& examined) {
  if (doctor::count(examined.findings, doctor::Severity::problem) > 0) throw CLI::RuntimeError(kExitFailed);
}

System look(const Config& config, int ranks, int here) {
  auto system = System::here(config, ranks, here);
  if (!system) leave(system.error());
  return std::move(*system);
}

void run_alone(const Config& config, const DoctorOptions& o) {
  if (auto s = check_target(o); !s) leave(s.error());
  const System system = look(config, 1, 1);
  const Examined examined = examine_alone(system);
  print(examined, o, 1);
  if (!o.write_topology.empty())
    if (auto s = write_topology(system, std::nullopt, o); !s) leave(s.error());
  end_with(examined);
}

// The ranks cannot even find each other: each says so, and rank 0 what it sees of its own host.
[[noreturn]] void run_apart(const Config& config, const DoctorOptions& o, const Error& why) {
  const auto launch = detect_launcher(config);
  if (!launch) leave(why);
  if (launch->rank == 0) {
    print(examine_alone(look(config, launch->size, 1)), o, 1);
    std::fflush(stdout);
  } else {
    std::this_thread::sleep_for(std::chrono::seconds(2));  // launchers end a job when its first rank ends: let rank 0 speak
  }
  leave(why);
}

// Where rank 0 has an error it says so, and all end; launchers end a job when its first rank ends, which is not before all was
// told.
void end_if_bad(Session& session, const Status& mine) {
  const std::byte well{mine ? std::byte{0} : std::byte{1}};
  auto all = session.overlay->all_gather({&well, 1});
  if (mine && all && all->front() == std::vector{std::byte{0}}) return;
  session.overlay->goodbye();
  if (!mine) leave(mine.error());
  if (!all) leave(all.error());
  throw CLI::RuntimeError(kExitFailed);
}

void run(const DoctorOptions& o) {
  auto config = Config::from_environment();
  if (!config) leave(config.error());
  if (started_by() == LauncherKind::none) return run_alone(*config, o);
  if (!config->is_set(Var::timeout))
    if (auto s = config->set(Var::timeout, "60"); !s) leave(s.error());
  auto session = bootstrap(*config);
  if (!session) run_apart(*config, o, session.error());
  if (session->size == 1) return run_alone(*config, o);
  end_if_bad(*session, session->rank == 0 ? check_target(o) : Status{});
  auto here = ranks_here(*session->overlay);
  if (!here) leave(here.error());
  const System system = look(*config, session->size, *here);
  auto examined = examine_job(*session, system);
  if (!examined) leave(examined.error());
  if (session->rank == 0) print(*examined, o, session->size);
  Status written;
  if (!o.write_topology.empty()) {
    const auto network = examined->hosts > 1 ? measured_network(*session) : std::nullopt;
    if (session->rank == 0) written = write_topology(system, network, o);
  }
  std::fflush(stdout);
  end_if_bad(*session, written);
  session->overlay->goodbye();
  end_with(*examined);
}

}  // namespace

void add_doctor_command(CLI::App& app) {
  auto o = std::make_shared<DoctorOptions>();
  auto* command =
      app.add_subcommand("doctor",
                         "Looks for what makes this host slow, or this job's hosts where mpirun, srun, ... has started it: what "
                         "was found and where, what it costs, how to mend it");
  command->add_flag("--json", o->json, "One line of JSON, for programs");
  command
      ->add_option("--write-topology", o->write_topology,
                   "Write a corrected description of this machine, for TUTTI_TOPOLOGY and topo --from")
      ->check(file_name());
  command->add_flag("--force", o->force, "--write-topology: replace a file that is there already")
      ->needs(command->get_option("--write-topology"));
  command->footer(
      with_exit_statuses("problem: it fails or is many times slower, and is the only thing that makes the exit status 1; "
                         "warning: it is slower than the "
                         "hardware need be; note: good to know, or could not be seen.\n\n"
                         "Examples: tutti doctor\n"
                         "          mpirun -np 4 tutti doctor\n"));
  command->callback([o] { run(*o); });
}

}  // namespace tutti
