#include "runtime/connections.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "bootstrap/wire.h"
#include "core/log.h"
#include "transports/registry.h"

namespace tutti {
namespace {

// A test's tool, which only joins threads of one process.
constexpr std::string_view kForThreads = "loopback";

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
    if ((named || !row.only_named) && (names.empty() || named != exclude)) rows.push_back(&row);
  }
  if (rows.empty()) return Error(Code::environment, fmt::format("{}=\"{}\" leaves no transport", source, spec));
  return rows;
}

IbOptions ib_options(const Config& config, std::vector<std::string> near) {
  const auto number = [&](Var var) { return static_cast<int>(config.integer(var)); };
  return {.devices = config.text(Var::ib_devices),
          .near = std::move(near),
          .gid_index = config.is_set(Var::ib_gid_index) ? number(Var::ib_gid_index) : -1,
          .timeout = number(Var::ib_timeout),
          .retries = number(Var::ib_retry),
          .service_level = number(Var::ib_service_level),
          .traffic_class = number(Var::ib_traffic_class),
          .ring_bytes = static_cast<std::size_t>(config.integer(Var::ib_ring))};
}

}  // namespace

Error bad_blob(Rank rank) {
  return {Code::protocol, fmt::format("rank {} sent a start-up message that does not parse", rank), rank};
}

Status check_transports(const Config& config) {
  auto rows = chosen_transports(config);
  return rows ? Status{} : std::move(rows.error());
}

Status Connections::open(const Session& session, const Config& config, const Topology& topology, std::span<const int> cpus) {
  rank_ = session.rank;
  size_ = session.size;
  overlay_ = session.overlay.get();
  auto rows = chosen_transports(config);
  if (!rows) return std::move(rows.error());
  Rank on_this_host = 0;
  for (Rank r = 0; r < size_; ++r)
    if (overlay_->member(r).host == overlay_->member(rank_).host) ++on_this_host;
  const TransportOptions options{.secret = session.secret,
                                 .rank = rank_,
                                 .local_ranks = on_this_host,
                                 .interface = config.text(Var::interface),
                                 .shm_bytes = static_cast<std::size_t>(config.integer(Var::shm_bytes)),
                                 .l2_bytes = cache_sizes(topology).l2_bytes,
                                 .tcp_sockets = static_cast<int>(config.integer(Var::tcp_sockets)),
                                 .cma = config.flag(Var::cma),
                                 .ib = ib_options(config, nearest_nics(topology, cpus))};
  std::vector<std::string> refusals;
  for (const auto* row : *rows) {
    auto transport = row->make(options);
    if (auto can = transport->probe()) {
      transports_.push_back(std::move(transport));
      rows_.push_back(static_cast<std::size_t>(row - transport_table().data()));
    } else {
      refusals.push_back(fmt::format("{}: {}", row->name, can.error().to_string()));
      log(LogLevel::info, fmt::format("transport {} cannot work here: {}", row->name, can.error().to_string()));
    }
  }
  if (transports_.empty())
    return Error(Code::unsupported, fmt::format("no transport works on this machine ({})", fmt::join(refusals, "; ")));
  return {};
}

Status Connections::exchange_addresses() {
  Writer mine;
  for (auto& t : transports_) {
    auto address = t->listen();
    if (!address) return address.because(fmt::format("transport {} could not open its listening side", t->name()));
    mine.text(t->name()).text(t->domain()).bytes(*address);
  }
  auto blobs = overlay_->all_gather(mine.take());
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

std::vector<std::byte> Connections::probe() {
  std::vector<std::byte> bits((transport_table().size() * static_cast<std::size_t>(size_) + 7) / 8);
  std::set<Rank> near;
  const std::vector<Offer>& mine = offers_[static_cast<std::size_t>(rank_)];
  for (std::size_t t = 0; t < transports_.size(); ++t) {
    if (transports_[t]->name() == "tcp") continue;
    for (Rank r = 0; r < size_; ++r) {
      const auto i = static_cast<std::size_t>(r);
      if (r == rank_ || near.contains(r) || offers_[i][t].domain != mine[t].domain) continue;
      if (auto s = transports_[t]->reaches(r, offers_[i][t].address); s) {
        const std::size_t at = bit(rows_[t], i);
        bits[at / 8] |= std::byte{1} << (at % 8);
        if (transport_table()[rows_[t]].by_memory) near.insert(r);
      } else {
        unreached_[r] = fmt::format("{}: {}", transports_[t]->name(), s.error().to_string());
        log(LogLevel::info, fmt::format("rank {} is not reached by {}", r, unreached_[r]));
      }
    }
  }
  return bits;
}

bool Connections::reach_each_other(std::size_t row, std::size_t a, std::size_t b) const {
  const auto found = [&](std::size_t of, std::size_t at) {
    return (probed_[of][at / 8] >> (at % 8) & std::byte{1}) != std::byte{0};
  };
  return found(a, bit(row, b)) && found(b, bit(row, a));
}

bool Connections::share_memory(std::size_t a, std::size_t b) const {
  for (std::size_t row = 0; row < transport_table().size(); ++row)
    if (transport_table()[row].by_memory && reach_each_other(row, a, b)) return true;
  return false;
}

int Connections::best_between(std::size_t a, std::size_t b) const {
  for (std::size_t t = 0; t < transports_.size(); ++t) {
    const bool same_domain = offers_[a][t].domain == offers_[b][t].domain && !offers_[a][t].domain.empty();
    if (a != b && same_domain && (transports_[t]->name() == "tcp" || reach_each_other(rows_[t], a, b)))
      return static_cast<int>(t);
  }
  return -1;
}

void Connections::choose(std::vector<std::vector<std::byte>> probed) {
  probed_ = std::move(probed);
  reach_.clear();
  reach_.reserve(probed_.size());
  std::set<int> used;
  for (std::size_t a = 0; a < probed_.size(); ++a) {
    reach_.push_back(best_between(static_cast<std::size_t>(rank_), a));
    for (std::size_t b = 0; b < a && used.size() < transports_.size(); ++b) used.insert(best_between(a, b));
  }
  used.erase(-1);
  std::vector<std::string_view> names;
  names.reserve(used.size());
  for (const int t : used) names.push_back(transports_[static_cast<std::size_t>(t)]->name());
  in_use_ = fmt::format("{}", fmt::join(names, "+"));
  has_boards_ = used.size() == 1 && transports_[static_cast<std::size_t>(*used.begin())]->has_boards();
}

Result<std::unique_ptr<Endpoint>> Connections::connect(Rank peer, ConnectRequest request) {
  const int reach = reach_[static_cast<std::size_t>(peer)];
  if (reach < 0) {
    const auto tried = unreached_.find(peer);
    const std::string why = tried != unreached_.end()
                                ? "from here " + tried->second
                                : "each side offers other ones (TUTTI_TRANSPORT, TUTTI_INTERFACE), or only one reaches the "
                                  "other (TUTTI_LOG=info says why)";
    return Error(Code::unsupported, fmt::format("no transport reaches {}; {}", overlay_->describe(peer), why), peer);
  }
  const auto t = static_cast<std::size_t>(reach);
  request.peer_address = offers_[static_cast<std::size_t>(peer)][t].address;
  return transports_[t]->connect(request);
}

}  // namespace tutti
