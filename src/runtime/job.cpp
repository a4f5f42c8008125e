#include "runtime/job.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "bootstrap/wire.h"
#include "core/hash.h"
#include "runtime/calibrate.h"
#include "runtime/choices.h"
#include "runtime/failure.h"

namespace tutti {
namespace {

// What else decides how fast the ways between hosts are.
constexpr std::array kWaysBetweenHosts{Var::interface, Var::tcp_sockets, Var::ib_devices, Var::ib_gid_index, Var::ib_ring};
constexpr std::array kWaysInside{Var::cma, Var::shm_bytes};

void add_settings(Hasher& hasher, const Config& config, std::span<const Var> vars) {
  for (const Var var : vars) hasher.text(config.text(var));
}

std::vector<int> hosts_from(std::size_t ranks, const Connections& connections) {
  std::vector<int> host(ranks, -1);
  int hosts = 0;
  for (std::size_t r = 0; r < ranks; ++r) {
    if (host[r] >= 0) continue;
    host[r] = hosts++;
    for (std::size_t q = r + 1; q < ranks; ++q)
      if (host[q] < 0 && connections.share_memory(r, q)) host[q] = host[r];
  }
  return host;
}

}  // namespace

Result<std::unique_ptr<Job>> Job::start(Session session, const Config& config, const Job* parent) {
  std::unique_ptr<Job> job(new Job(std::move(session), config));
  if (auto s = check_transports(config); !s) return std::move(s.error());
  if (job->size() == 1) {
    job->machine_.links.push_back({});  // nothing is ever sent
    if (auto s = job->load_algorithms(parent); !s) return std::move(s.error());
    if (auto s = job->make_table(); !s) return std::move(s.error());
    return job;
  }
  const auto stopping = job->session_.overlay->aborted_by(job->session_.stop);
  if (auto s = job->begin(parent); !s)
    return find_cause(*job->session_.overlay, std::move(s.error())).because(fmt::format("rank {} could not start", job->rank()));
  return job;
}

Status Job::begin(const Job* parent) {
  if (auto s = load_algorithms(parent); !s) return s;
  if (auto s = look_at_machine(parent); !s) return s;
  if (auto s = connections_.open(session_, config_, ground_.topology, ground_.binding); !s) return s;
  if (auto s = connections_.exchange_addresses(); !s) return s;
  if (auto s = exchange_machines(parent); !s) return s;
  if (auto s = make_table(); !s) return s;
  if (auto s = calibrate(); !s) return s;
  settled_ = machine_;
  price(settled_, placement_, estimates_of(ground_));
  price(machine_, placement_, ground_);
  // Which of the described hosts those of a part are nobody knows.
  if (!inherited_) {
    lay_on_network(machine_, placement_, ground_.host_links, rank() == 0);
    lay_on_network(settled_, placement_, ground_.host_links, false);
  }
  return agree(parent);
}

Job::~Job() {
  if (session_.overlay) session_.overlay->goodbye();
}

Status Job::load_algorithms(const Job* parent) {
  const auto as_there = [&](Var var) { return parent->config_.text(var) == config_.text(var); };
  if (parent != nullptr && as_there(Var::schedules) && as_there(Var::plugins)) {
    custom_ = parent->custom_;
    return {};
  }
  auto custom = CustomAlgorithms::load_files(split_list(config_.text(Var::schedules)), split_list(config_.text(Var::plugins)));
  if (!custom) return custom.because("algorithms of this job's own (TUTTI_SCHEDULES, TUTTI_PLUGINS)");
  custom_ = std::move(*custom);
  return {};
}

Status Job::look_at_machine(const Job* parent) {
  inherited_ = parent != nullptr && parent->size() > 1;
  if (inherited_) {
    ground_ = parent->ground_;
    return {};
  }
  auto ground = Ground::look(config_);
  if (!ground) return std::move(ground.error());
  ground_ = std::move(*ground);
  return {};
}

Status Job::exchange_machines(const Job* parent) {
  const auto ranks = static_cast<std::size_t>(size());
  const auto bits = connections_.probe();
  Writer mine;
  mine.value(measures())
      .value(fingerprint(ground_.topology))
      .value(hash_of_cores(ground_.topology))
      .text(to_json(locate(ground_.topology, ground_.binding, 0)))
      .bytes(bits);
  auto blobs = session_.overlay->all_gather(mine.take());
  if (!blobs) return std::move(blobs.error());

  std::vector<std::uint64_t> fingerprints;
  std::map<std::uint64_t, int> on_cores;
  std::vector<RankLocation> locations;
  std::vector<std::vector<std::byte>> probed;
  for (std::size_t r = 0; r < ranks; ++r) {
    Reader in((*blobs)[r]);
    const bool measures_there = in.value<bool>();
    if (in.ok() && measures_there != measures())
      return Error(
          Code::mismatch,
          fmt::format("rank {} has TUTTI_CALIBRATE={:d}, rank {} has TUTTI_CALIBRATE={:d}: start all ranks with the same", r,
                      measures_there, rank(), measures()),
          static_cast<Rank>(r));
    fingerprints.push_back(in.value<std::uint64_t>());
    ground_.core_sharers = std::max(ground_.core_sharers, ++on_cores[in.value<std::uint64_t>()]);
    auto location = location_from_json(in.text());
    const ConstBytes row = in.bytes();
    if (!location || !in.finished() || row.size() != bits.size()) return bad_blob(static_cast<Rank>(r));
    locations.push_back(std::move(*location));
    probed.emplace_back(row.begin(), row.end());
  }
  connections_.choose(std::move(probed));
  const auto hosts = hosts_from(ranks, connections_);
  for (std::size_t r = 0; r < ranks; ++r) locations[r].host = hosts[r];
  machines_ = hash_of_machines(fingerprints);
  Hasher who;
  for (const int host : hosts) who.value(host);
  add_settings(who, config_, kWaysBetweenHosts);
  hosts_ = who.result();
  if (rank() == 0 && parent == nullptr) {
    auto tunings = read_tuning(config_, machines_);
    if (!tunings) return std::move(tunings.error());
    ground_.tunings = std::move(*tunings);
  }
  return place(parent, std::move(locations), fingerprints);
}

// Equal machines are described once.
Status Job::place(const Job* parent, std::vector<RankLocation> locations, std::span<const std::uint64_t> fingerprints) {
  const auto describing = describing_ranks(fingerprints);
  const bool describe = std::ranges::find(describing, rank()) != describing.end();
  const std::string json = describe ? to_json(ground_.topology) : "", fastest_here = fastest_between_hosts();
  Writer mine;
  for (const std::string& text : {json, fastest_here}) mine.text(text);
  auto blobs = session_.overlay->all_gather(mine.take());
  if (!blobs) return std::move(blobs.error());
  std::vector<std::string> machines;
  machines.reserve(describing.size());
  for (const Rank r : describing) machines.push_back(Reader((*blobs)[static_cast<std::size_t>(r)]).text());
  Reader first(blobs->front());
  (void)first.text();
  const std::string told = first.text();
  auto fastest = told.empty() ? TuningFile{} : TuningFile::parse(told);
  if (!first.finished() || !fastest) return bad_blob(0);
  if (auto s = prefer_fastest(parent, *fastest); !s) return s;
  auto placement = assemble(std::move(locations), fingerprints, machines);
  if (!placement) return std::move(placement.error());
  placement_ = std::move(*placement);
  // Where hosts have several ranks, these are the groups: between hosts below one switch all of them share one link.
  const auto host_of_its_own = [rank = 0](const RankLocation& place) mutable { return place.host == rank++; };
  if (!inherited_ && std::ranges::all_of(placement_.ranks, host_of_its_own)) plug_in(placement_);
  machine_ = seats_of(placement_, ground_.core_sharers);
  machine_.boards = worth_boards(size()) && connections_.has_boards();  // whether all ranks of this job publish to each other
  if (inherited_) return {};
  ground_.host_links = connections_.uses("verbs") ? HostLinks::all_rdma : HostLinks::fastest;
  for (int l = 0; l < kLevels; ++l) {
    LinkParameters& link = ground_.links[static_cast<std::size_t>(l)] =
        between(placement_, static_cast<Level>(l), ground_.host_links);
    if (link.origin == Origin::system) link.origin = Origin::estimate;  // what an interface says of itself nobody has measured
  }
  ground_.estimates = ground_.links;
  return {};
}

std::string Job::fastest_between_hosts() const {
  const TunedHosts here = hosts_layout();
  if (rank() != 0 || config_.is_set(Var::transport)) return {};
  for (const TunedHosts& one : ground_.tunings.hosts)
    if (one.same_place(here)) return TuningFile{.layouts = {}, .hosts = {one}}.to_json();
  return {};
}

// Parts of a job go the same ways.
Status Job::prefer_fastest(const Job* parent, const TuningFile& told) {
  if (parent != nullptr) return connections_.prefer_as(parent->connections_);
  return told.hosts.empty() ? Status{} : connections_.prefer(told.hosts.front());
}

Status Job::make_table() {
  auto table = custom_.table(size(), machine_.levels.empty() ? nullptr : &machine_.levels,
                             static_cast<Rank>(config_.integer(Var::prove_ranks)));
  if (!table) return std::move(table.error());
  machine_.algorithms = std::move(*table);
  return {};
}

Status Job::calibrate() {
  if (!measures()) return {};
  auto measured = measure(*this, placement_, ground_.links);
  if (!measured) return measured.because("measuring latency and bandwidth");
  ground_.links = measured->links;
  ground_.tuning = measured->tuning;
  // Between hosts only the widest links are measured.
  const auto leaf = static_cast<std::size_t>(Level::leaf), network = static_cast<std::size_t>(Level::network);
  ground_.links[leaf] = ground_.links[network];
  ground_.tuning[leaf] = ground_.tuning[network];
  ground_.reduce_gbps = measured->reduce_gbps;
  ground_.copy_gbps = measured->copy_gbps;
  ground_.measured = true;
  return {};
}

// Ranks that would choose differently must not begin. Rank 0 also tells what was measured here earlier.
Status Job::agree(const Job* parent) {
  const TunedLayout here = layout();
  const bool tells = rank() == 0 && parent == nullptr && !ground_.tunings.empty();
  const std::uint64_t machines = Hasher().value(hash(machine_)).value(hash(settled_)).result();
  const Choices mine = Choices::of(machines, config_, custom_);
  Writer out;
  mine.write(out);
  out.text(tells ? ground_.tunings.to_json() : "");
  auto blobs = session_.overlay->all_gather(out.take());
  if (!blobs) return std::move(blobs.error());
  for (std::size_t r = 0; r < blobs->size(); ++r) {
    Reader in((*blobs)[r]);
    const Choices theirs = Choices::read(in);
    const std::string measured = in.text();
    if (!in.finished()) return bad_blob(static_cast<Rank>(r));
    if (r == 0 && !measured.empty()) {
      auto file = TuningFile::parse(measured);
      if (!file) return bad_blob(0);
      ground_.tunings = std::move(*file);
    }
    if (theirs == mine) continue;
    return Error(
        Code::mismatch,
        fmt::format("rank {} would choose other algorithms than rank {} ({}): start all ranks with the same settings and "
                    "the same version",
                    r, rank(), difference(theirs, mine)),
        static_cast<Rank>(r));
  }
  settled_.measured = machine_.measured = measurements_of(ground_.tunings, here);
  return {};
}

LinkTuning Job::tuning(Rank peer) const {
  const auto& places = placement_.ranks;
  if (places.empty()) return {};
  return ground_.tuning[static_cast<std::size_t>(
      nearest_level(places[static_cast<std::size_t>(rank())], places[static_cast<std::size_t>(peer)]))];
}

WaitPolicy Job::wait_policy() const {
  constexpr int kFew = 2;  // among more, one that holds its core keeps that back which it waits for
  return {.oversubscribed = machine_.oversubscribed(),
          .few_share_a_core = machine_.core_sharers <= kFew * machine_.cores_per_host,
          .spin = std::chrono::microseconds(config_.integer(Var::spin_us)),
          .timeout = from_seconds(config_.seconds(Var::timeout))};
}

TunedLayout Job::layout() const {
  Hasher ways;
  ways.value(hash_of_layout(machine_)).text(transports_in_use());
  add_settings(ways, config_, kWaysInside);
  add_settings(ways, config_, kWaysBetweenHosts);
  for (const auto& item : custom_.items()) ways.text(item.what).value(item.hash);
  return {.machine = machines_,
          .layout = ways.result(),
          .version = TUTTI_VERSION,
          .about = fmt::format("{}; {}", describe_ranks(machine_), transports_in_use()),
          .measured = {}};
}

TunedHosts Job::hosts_layout() const {
  return {.machine = machines_, .layout = hosts_, .version = TUTTI_VERSION, .transports = {}};
}

}  // namespace tutti
