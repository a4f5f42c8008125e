#include "runtime/job.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <set>

#include "bootstrap/wire.h"
#include "core/hash.h"
#include "core/host.h"
#include "core/log.h"
#include "runtime/calibrate.h"
#include "transports/registry.h"

namespace tutti {
namespace {

using Blobs = std::vector<std::vector<std::byte>>;

// A test's tool, which only joins threads of one process: used where it is named.
constexpr std::string_view kForThreads = "loopback";

// "shm,tcp" or "^shm".
Result<std::vector<const TransportRow*>> chosen_transports(const Config& config) {
  const std::string_view spec = config.text(Var::transport);
  const std::string& source = config.source(Var::transport);
  std::vector<const TransportRow*> rows;
  const bool exclude = spec.starts_with('^');
  const std::vector<std::string> names = split_list(exclude ? spec.substr(1) : spec);
  for (const auto& name : names)
    if (find_transport(name) == nullptr) {
      std::string known;
      for (const auto& row : transport_table())
        if (row.name != kForThreads) known += (known.empty() ? "" : ", ") + std::string(row.name);
      return Error(Code::environment,
                   fmt::format("{}=\"{}\": there is no transport \"{}\"; there are {}", source, spec, name, known));
    }
  for (const auto& row : transport_table()) {
    const bool named = std::ranges::find(names, row.name) != names.end();
    if (row.name != kForThreads || named)
      if (names.empty() || named != exclude) rows.push_back(&row);
  }
  if (rows.empty()) return Error(Code::environment, fmt::format("{}=\"{}\" leaves no transport", source, spec));
  return rows;
}

// Ranks that reach each other through memory are on one host, whatever they are called.
std::vector<int> hosts_from(const std::vector<std::vector<bool>>& reached) {
  std::vector<int> host(reached.size(), -1);
  int hosts = 0;
  for (std::size_t r = 0; r < reached.size(); ++r) {
    if (host[r] >= 0) continue;
    host[r] = hosts++;
    for (std::size_t q = r + 1; q < reached.size(); ++q)
      if (host[q] < 0 && reached[r][q] && reached[q][r]) host[q] = host[r];
  }
  return host;
}

// Ranks with equal ones compete for the same cores, in whatever containers they are.
std::uint64_t hash_of_cores(const Topology& topology) {
  Hasher hasher;
  hasher.text(boot_id());
  for (const Node& node : topology.nodes)
    for (const int cpu : node.cpus) hasher.value(cpu);
  return hasher.result();
}

// The first of the jobs' own algorithms that differs; empty: none does. Both are in order.
std::string difference_of(const std::vector<CustomAlgorithms::Item>& there, const std::vector<CustomAlgorithms::Item>& here) {
  for (std::size_t i = 0; i < std::max(there.size(), here.size()); ++i) {
    if (i == there.size() || (i < here.size() && here[i].what < there[i].what))
      return fmt::format("{} of TUTTI_SCHEDULES or TUTTI_PLUGINS is here but not there", here[i].what);
    if (i == here.size() || there[i].what < here[i].what)
      return fmt::format("{} of TUTTI_SCHEDULES or TUTTI_PLUGINS is there but not here", there[i].what);
    if (there[i].hash != here[i].hash)
      return fmt::format("{} of TUTTI_SCHEDULES or TUTTI_PLUGINS is not the same there as here", here[i].what);
  }
  return "";
}

// All that choices depend on, or a hash of it, with what a person can tell apart.
struct Choices {
  std::uint64_t machine = 0;
  std::vector<std::string> settings;  // of kChoosing
  std::vector<CustomAlgorithms::Item> own;
  friend bool operator==(const Choices&, const Choices&) = default;

  void write(Writer& out) const {
    out.value(machine);
    for (const std::string& setting : settings) out.text(setting);
    for (const auto& item : own) out.text(item.what).value(item.hash);
  }
  static Choices read(Reader& in);
};
constexpr std::array kChoosing{Var::algorithm, Var::algorithm_filter, Var::prove_ranks};

Choices Choices::read(Reader& in) {
  Choices choices{.machine = in.value<std::uint64_t>(), .settings = {}, .own = {}};
  for (std::size_t i = 0; i < kChoosing.size(); ++i) choices.settings.push_back(in.text());
  while (in.ok() && !in.finished()) {
    std::string what = in.text();
    choices.own.push_back({std::move(what), in.value<std::uint64_t>()});
  }
  return choices;
}

Choices choices_of(std::uint64_t machine, const Config& config, const CustomAlgorithms& custom) {
  Choices choices{.machine = machine, .settings = {}, .own = custom.items()};
  for (const Var var : kChoosing) choices.settings.push_back(config.text(var));
  return choices;
}

std::string difference(const Choices& there, const Choices& here) {
  if (std::string own = difference_of(there.own, here.own); !own.empty()) return own;
  for (std::size_t i = 0; i < kChoosing.size(); ++i)
    if (there.settings[i] != here.settings[i])
      return fmt::format("{}=\"{}\" there, \"{}\" here", config_table()[static_cast<std::size_t>(kChoosing[i])].name,
                         there.settings[i], here.settings[i]);
  return "they see different machines";
}

Error bad_blob(Rank rank) {
  return {Code::protocol, fmt::format("rank {} sent a start-up message that does not parse", rank), rank};
}

}  // namespace

Result<std::unique_ptr<Job>> Job::start(Session session, const Config& config, const Job* parent) {
  std::unique_ptr<Job> job(new Job(std::move(session), config));
  if (auto rows = chosen_transports(config); !rows) return std::move(rows.error());
  if (job->session_.size == 1) {
    if (auto s = job->load_algorithms(parent); !s) return std::move(s.error());
    if (auto s = job->make_table(); !s) return std::move(s.error());
    return job;
  }
  const auto begin = [&]() -> Status {
    if (auto s = job->load_algorithms(parent); !s) return s;
    if (auto s = job->look_at_machine(parent); !s) return s;
    if (auto s = job->open_transports(); !s) return s;
    if (auto s = job->exchange_addresses(); !s) return s;
    if (auto s = job->exchange_machines(); !s) return s;
    if (auto s = job->make_table(); !s) return s;
    if (auto s = job->calibrate(); !s) return s;
    return job->agree();
  };
  if (auto s = begin(); !s) {
    job->session_.overlay->abort(s.error());
    return s.because(fmt::format("rank {} could not start", job->session_.rank));
  }
  return job;
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

Status Job::make_table() {
  const JobMachine m = machine();
  auto table =
      custom_.table(size(), m.levels.empty() ? nullptr : &m.levels, static_cast<Rank>(config_.integer(Var::prove_ranks)));
  if (!table) return std::move(table.error());
  algorithms_ = std::move(*table);
  return {};
}

Status Job::open_transports() {
  auto rows = chosen_transports(config_);
  if (!rows) return std::move(rows.error());
  Rank on_this_host = 0;
  for (Rank r = 0; r < size(); ++r)
    if (session_.overlay->member(r).host == session_.overlay->member(rank()).host) ++on_this_host;
  const TransportOptions options{.secret = session_.secret,
                                 .rank = session_.rank,
                                 .local_ranks = on_this_host,
                                 .interface = config_.text(Var::interface),
                                 .shm_bytes = static_cast<std::size_t>(config_.integer(Var::shm_bytes)),
                                 .l2_bytes = cache_sizes(topology_).l2_bytes,
                                 .tcp_sockets = static_cast<int>(config_.integer(Var::tcp_sockets)),
                                 .cma = config_.flag(Var::cma)};
  std::vector<std::string> refusals;
  for (const auto* row : *rows) {
    auto transport = row->make(options);
    if (auto can = transport->probe()) {
      transports_.push_back(std::move(transport));
    } else {
      refusals.push_back(fmt::format("{}: {}", row->name, can.error().to_string()));
      log(LogLevel::info, fmt::format("transport {} cannot work here: {}", row->name, can.error().to_string()));
    }
  }
  if (transports_.empty())
    return Error(Code::unsupported, fmt::format("no transport works on this machine ({})", fmt::join(refusals, "; ")));
  return {};
}

Status Job::exchange_addresses() {
  Writer mine;
  for (auto& t : transports_) {
    auto address = t->listen();
    if (!address) return address.because(fmt::format("transport {} could not open its listening side", t->name()));
    mine.text(t->name()).text(t->domain()).bytes(*address);
  }
  auto blobs = session_.overlay->all_gather(mine.take());
  if (!blobs) return std::move(blobs.error());

  offers_.resize(blobs->size());
  for (std::size_t r = 0; r < blobs->size(); ++r) {
    offers_[r].resize(transports_.size());
    for (Reader in((*blobs)[r]); !in.finished();) {
      const std::string name = in.text(), domain = in.text();
      const ConstBytes address = in.bytes();
      if (!in.ok()) return bad_blob(static_cast<Rank>(r));
      for (std::size_t t = 0; t < transports_.size(); ++t)
        if (transports_[t]->name() == name) offers_[r][t] = {domain, {address.begin(), address.end()}};
    }
  }
  return {};
}

Status Job::look_at_machine(const Job* parent) {
  is_part_ = parent != nullptr;
  if (parent != nullptr && parent->size() > 1) {
    topology_ = parent->topology_;
    binding_ = parent->binding_;
    links_ = parent->links_;
    tuning_ = parent->tuning_;
    reduce_gbps_ = parent->reduce_gbps_;
    copy_gbps_ = parent->copy_gbps_;
    core_sharers_ = parent->core_sharers_;
    tunings_ = parent->tunings_;
    measured_ = parent->measured_;
    inherited_ = true;
    return {};
  }
  // Ranks may be threads of one process, and hwloc's own libraries (libxml2, libudev) start up without locks.
  static std::mutex discovery;
  const std::lock_guard one_at_a_time(discovery);
  auto topology = config_.is_set(Var::topology) ? load_topology(config_.text(Var::topology)) : discover();
  if (!topology) return topology.because("looking at this machine");
  topology_ = std::move(*topology);
  auto binding = current_binding();
  if (!binding) return binding.because("asking for this process's binding");
  binding_ = std::move(*binding);
  return {};
}

// One bit per rank that this one reaches through memory. The network needs no such proof: the control overlay runs over it.
std::vector<std::byte> Job::probe_memory() {
  std::vector<std::byte> bits((static_cast<std::size_t>(size()) + 7) / 8);
  const std::vector<Offer>& mine = offers_[static_cast<std::size_t>(rank())];
  for (std::size_t t = 0; t < transports_.size(); ++t) {
    if (transports_[t]->name() == "tcp") continue;
    for (Rank r = 0; r < size(); ++r) {
      const auto i = static_cast<std::size_t>(r);
      if (r == rank() || offers_[i][t].domain != mine[t].domain) continue;
      if (auto s = transports_[t]->reaches(r, offers_[i][t].address); s) {
        bits[i / 8] |= std::byte{1} << (i % 8);
      } else {
        unreached_[r] = fmt::format("{}: {}", transports_[t]->name(), s.error().to_string());
        log(LogLevel::info, fmt::format("rank {} is not reached by {}", r, unreached_[r]));
      }
    }
  }
  return bits;
}

void Job::choose_transports(const std::vector<std::vector<bool>>& reached) {
  const auto best_between = [&](std::size_t a, std::size_t b) {
    for (std::size_t t = 0; t < transports_.size(); ++t) {
      const bool proved = transports_[t]->name() == "tcp" || (reached[a][b] && reached[b][a]);
      const bool same_domain = offers_[a][t].domain == offers_[b][t].domain && !offers_[a][t].domain.empty();
      if (a != b && proved && same_domain) return static_cast<int>(t);
    }
    return -1;
  };
  reach_.clear();
  reach_.reserve(reached.size());
  std::set<int> used;
  for (std::size_t a = 0; a < reached.size(); ++a) {
    reach_.push_back(best_between(static_cast<std::size_t>(rank()), a));
    for (std::size_t b = 0; b < a && used.size() < transports_.size(); ++b) used.insert(best_between(a, b));
  }
  used.erase(-1);
  std::vector<std::string_view> names;
  names.reserve(used.size());
  for (const int t : used) names.push_back(transports_[static_cast<std::size_t>(t)]->name());
  transports_in_use_ = fmt::format("{}", fmt::join(names, "+"));
  transport_has_boards_ = used.size() == 1 && transports_[static_cast<std::size_t>(*used.begin())]->has_boards();
}

Status Job::exchange_machines() {
  const auto ranks = static_cast<std::size_t>(size());
  const auto bits = probe_memory();
  Writer mine;
  mine.value(measures())
      .value(fingerprint(topology_))
      .value(hash_of_cores(topology_))
      .text(to_json(locate(topology_, binding_, 0)))
      .bytes(bits);
  auto blobs = session_.overlay->all_gather(mine.take());
  if (!blobs) return std::move(blobs.error());

  std::vector<std::uint64_t> fingerprints;
  std::map<std::uint64_t, int> on_cores;
  std::vector<RankLocation> locations;
  std::vector<std::vector<bool>> reached(ranks, std::vector<bool>(ranks));
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
    core_sharers_ = std::max(core_sharers_, ++on_cores[in.value<std::uint64_t>()]);
    auto location = location_from_json(in.text());
    const ConstBytes row = in.bytes();
    if (!location || !in.finished() || row.size() != bits.size()) return bad_blob(static_cast<Rank>(r));
    locations.push_back(std::move(*location));
    for (std::size_t q = 0; q < ranks; ++q) reached[r][q] = (row[q / 8] >> (q % 8) & std::byte{1}) != std::byte{0};
  }
  choose_transports(reached);
  const auto hosts = hosts_from(reached);
  for (std::size_t r = 0; r < ranks; ++r) locations[r].host = hosts[r];
  return place(std::move(locations), fingerprints);
}

// Equal machines are described once.
Status Job::place(std::vector<RankLocation> locations, std::span<const std::uint64_t> fingerprints) {
  const auto describing = describing_ranks(fingerprints);
  const bool describe = std::ranges::find(describing, rank()) != describing.end();
  const std::string json = describe ? to_json(topology_) : "";
  auto texts = session_.overlay->all_gather(std::as_bytes(std::span(json)));
  if (!texts) return std::move(texts.error());
  std::vector<std::string> machines;
  for (const Rank r : describing) {
    const auto& text = (*texts)[static_cast<std::size_t>(r)];
    machines.emplace_back(reinterpret_cast<const char*>(text.data()), text.size());
  }
  auto placement = assemble(std::move(locations), fingerprints, machines);
  if (!placement) return std::move(placement.error());
  placement_ = std::move(*placement);
  // Where hosts have several ranks, these are the groups: between hosts below one switch all of them share one link.
  const auto host_of_its_own = [rank = 0](const RankLocation& place) mutable { return place.host == rank++; };
  if (!is_part_ && std::ranges::all_of(placement_.ranks, host_of_its_own)) plug_in(placement_);
  if (inherited_) return {};
  for (int l = 0; l < kLevels; ++l) links_[static_cast<std::size_t>(l)] = between(placement_, static_cast<Level>(l));
  return {};
}

Result<std::unique_ptr<Endpoint>> Job::connect(Rank peer, ConnectRequest request) {
  if (reach_[static_cast<std::size_t>(peer)] < 0) {
    const auto tried = unreached_.find(peer);
    const std::string why = tried != unreached_.end()
                                ? "from here " + tried->second
                                : "each side offers other ones (TUTTI_TRANSPORT, TUTTI_INTERFACE), or only one reaches the "
                                  "other (TUTTI_LOG=info says why)";
    return Error(Code::unsupported, fmt::format("no transport reaches {}; {}", session_.overlay->describe(peer), why), peer);
  }
  const std::size_t t = transport_index(peer);
  request.peer_address = offers_[static_cast<std::size_t>(peer)][t].address;
  return transports_[t]->connect(request);
}

LinkTuning Job::tuning(Rank peer) const {
  const auto& places = placement_.ranks;
  if (places.empty()) return {};
  return tuning_[static_cast<std::size_t>(
      nearest_level(places[static_cast<std::size_t>(rank())], places[static_cast<std::size_t>(peer)]))];
}

JobMachine Job::machine() const {
  static constexpr LinkTuning kNoOtherWay{.mapped_from = LinkTuning::kNever};
  JobMachine machine;
  machine.ranks = size();
  machine.algorithms = algorithms_;
  if (placement_.ranks.empty()) {  // alone: nothing is ever sent
    machine.links.push_back({});
    return machine;
  }
  std::map<int, int> on_host;
  for (const auto& place : placement_.ranks) ++on_host[place.host];
  // Levels that make no difference here are left out, those that are nearest to what was measured among them.
  int inside = -1;
  const auto add_link = [&](Level outermost) {
    auto at = static_cast<std::size_t>(outermost);
    for (int l = static_cast<int>(outermost); l > inside; --l)
      if (links_[static_cast<std::size_t>(l)].origin == Origin::system) {
        at = static_cast<std::size_t>(l);
        break;
      }
    machine.links.push_back(links_[at]);
    machine.tuning.push_back(links_[at].origin == Origin::system ? tuning_[at] : kNoOtherWay);
  };
  for (auto& level : tutti::levels(placement_.ranks)) {
    machine.levels.emplace_back(level.group_of);
    machine.level_names.push_back(level.level);
    add_link(level.level);
    inside = static_cast<int>(level.level);
  }
  add_link(on_host.size() > 1 ? Level::network : Level::host);
  machine.reduce_gbps = reduce_gbps_;
  machine.copy_gbps = copy_gbps_;
  if (measured_) machine.core_origin = Origin::system;
  machine.core_sharers = core_sharers_;
  machine.boards = has_boards();
  machine.measured = measured_calls_;
  for (const auto& [host, count] : on_host) machine.ranks_per_host = std::max(machine.ranks_per_host, count);
  machine.cores_per_host = INT32_MAX;
  for (const auto& m : placement_.machines) machine.cores_per_host = std::min(machine.cores_per_host, available_cores(m));
  if (machine.oversubscribed()) machine.tuning.clear();  // it was not measured
  const auto ranks_by_host = [&] {
    Rank r = 0;
    return std::ranges::all_of(placement_.ranks, [&](const auto& place) { return place.host == r++ / machine.ranks_per_host; });
  };
  // Which of the described hosts those of a part are nobody knows.
  if (const Topology* network = is_part_ ? nullptr : described_network(placement_); network != nullptr && ranks_by_host()) {
    lay_on_torus(machine, torus_dimensions(*network));
    lay_in_pods(machine, tapered_pods(*network));
  }
  return machine;
}

WaitPolicy Job::wait_policy() const {
  constexpr int kFew = 2;  // among more, one that holds its core keeps that back which it waits for
  const JobMachine m = machine();
  return {.oversubscribed = m.oversubscribed(),
          .few_share_a_core = m.core_sharers <= kFew * m.cores_per_host,
          .spin = std::chrono::microseconds(config_.integer(Var::spin_us)),
          .timeout = from_seconds(config_.seconds(Var::timeout))};
}

Status Job::calibrate() {
  if (!measures()) return {};
  auto measured = measure(*this, placement_);
  if (!measured) return measured.because("measuring latency and bandwidth");
  links_ = measured->links;
  tuning_ = measured->tuning;
  // Between hosts only the widest links are measured.
  const auto leaf = static_cast<std::size_t>(Level::leaf), network = static_cast<std::size_t>(Level::network);
  links_[leaf] = links_[network];
  tuning_[leaf] = tuning_[network];
  reduce_gbps_ = measured->reduce_gbps;
  copy_gbps_ = measured->copy_gbps;
  measured_ = true;
  return {};
}

TunedLayout Job::layout() const {
  const JobMachine m = machine();
  std::set<std::uint64_t> machines;
  for (const Topology& topology : placement_.machines) machines.insert(fingerprint(topology));
  Hasher all;
  for (const std::uint64_t one : machines) all.value(one);
  Hasher ways;
  ways.value(hash_of_layout(m)).text(transports_in_use_);
  for (const Var var : {Var::cma, Var::shm_bytes, Var::tcp_sockets}) ways.text(config_.text(var));
  for (const auto& item : custom_.items()) ways.text(item.what).value(item.hash);
  return {.machine = all.result(),
          .layout = ways.result(),
          .version = TUTTI_VERSION,
          .about = fmt::format("{}; {}", describe_ranks(m), transports_in_use_),
          .measured = {}};
}

// What rank 0 has for this machine, as text for all; empty: nothing. A file that somebody has named must be one of this machine.
Result<std::string> Job::read_tuning() const {
  const std::string& setting = config_.text(Var::tuning);
  const bool named = setting != "auto";
  const std::string path = named ? setting : usual_tuning_path();
  if (rank() != 0 || is_part_ || setting == "off" || path.empty() || (!named && access(path.c_str(), R_OK) != 0))
    return std::string();
  auto file = TuningFile::read(path);
  if (!file && named) return file.because(config_.source(Var::tuning));
  if (!file) {
    log(LogLevel::warn, fmt::format("{}; going on without it", file.error().to_string()));
    return std::string();
  }
  const TunedLayout here = layout();
  std::erase_if(file->layouts, [&](const TunedLayout& l) { return l.machine != here.machine || l.version != here.version; });
  if (file->layouts.empty() && named)
    return Error(
        Code::environment,
        fmt::format("{}: nothing in '{}' was measured on this machine ({:016x}) by tutti {}: measure here with tutti tune",
                    config_.source(Var::tuning), path, here.machine, here.version));
  for (TunedLayout& one : file->layouts) one.about = path;
  return file->layouts.empty() ? std::string() : file->to_json();
}

void Job::take_measurements() {
  const TunedLayout here = layout();
  for (const TunedLayout& one : tunings_.layouts) {
    if (!one.same_place(here)) continue;
    measured_calls_ = Measurements(one.measured, one.about);
    log(LogLevel::info, fmt::format("{} measurements of whole calls from '{}'", one.measured.size(), one.about));
    return;
  }
  if (!tunings_.layouts.empty())
    log(LogLevel::info, fmt::format("'{}' has no measurements of this layout ({})", tunings_.layouts.front().about, here.about));
}

// Ranks that would choose differently must not begin. Rank 0 also tells what was measured here earlier.
Status Job::agree() {
  auto tuning = read_tuning();
  if (!tuning) return std::move(tuning.error());
  const Choices mine = choices_of(hash(machine()), config_, custom_);
  Writer out;
  out.text(*tuning);
  mine.write(out);
  auto blobs = session_.overlay->all_gather(out.take());
  if (!blobs) return std::move(blobs.error());
  for (std::size_t r = 0; r < blobs->size(); ++r) {
    Reader in((*blobs)[r]);
    const std::string measured = in.text();
    const Choices theirs = Choices::read(in);
    if (!in.finished()) return bad_blob(static_cast<Rank>(r));
    if (r == 0 && !measured.empty()) {
      auto file = TuningFile::parse(measured);
      if (!file) return bad_blob(0);
      tunings_ = std::move(*file);
    }
    if (theirs == mine) continue;
    return Error(
        Code::mismatch,
        fmt::format("rank {} would choose other algorithms than rank {} ({}): start all ranks with the same settings and "
                    "the same version",
                    r, rank(), difference(theirs, mine)),
        static_cast<Rank>(r));
  }
  take_measurements();
  return {};
}

}  // namespace tutti
