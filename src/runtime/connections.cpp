#include "runtime/connections.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <set>

#include "bootstrap/wire.h"
#include "core/log.h"
#include "core/printable.h"
#include "transports/registry.h"
#include "transports/verbs/ports.h"

namespace tutti {
namespace {

Result<std::vector<const TransportRow*>> chosen_transports(const Config& config) {
  return choose_transports(config.text(Var::transport), config.source(Var::transport));
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

// The control overlay runs over it, which is proof enough that it reaches everybody.
bool is_tcp(std::size_t row) { return transport_table()[row].name == "tcp"; }

std::size_t number_of(const TransportRow* row) { return static_cast<std::size_t>(row - transport_table().data()); }

std::vector<std::size_t> all_rows() {
  std::vector<std::size_t> rows(transport_table().size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  return rows;
}

}  // namespace

Error bad_blob(Rank rank) {
  return {Code::protocol, fmt::format("rank {} sent a start-up message that does not parse", rank), rank};
}

Status check_transports(const Config& config) {
  if (auto rows = chosen_transports(config); !rows) return std::move(rows.error());
  auto devices = verbs::check_spec(config.text(Var::ib_devices));
  return devices ? Status{} : Status(Error(Code::environment, devices.error().message()));
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
  options_ = {.secret = session.secret,
              .rank = rank_,
              .ranks = size_,
              .local_ranks = on_this_host,
              .interface = config.text(Var::interface),
              .shm_bytes = static_cast<std::size_t>(config.integer(Var::shm_bytes)),
              .l2_bytes = cache_sizes(topology).l2_bytes,
              .tcp_sockets = static_cast<int>(config.integer(Var::tcp_sockets)),
              .cma = config.flag(Var::cma),
              .ib = ib_options(config, nearest_nics(topology, cpus))};
  setting_ =
      config.is_set(Var::transport) ? fmt::format("{}=\"{}\"", config.source(Var::transport), config.text(Var::transport)) : "";
  transports_.resize(transport_table().size());
  refusals_.resize(transport_table().size());
  std::vector<std::string> refused;
  for (const auto* row : *rows) {
    const std::size_t at = number_of(row);
    open_row(at);
    if (!transports_[at]) refused.push_back(fmt::format("{}: {}", row->name, refusals_[at]));
  }
  if (refused.size() == rows->size())
    return Error(Code::unsupported, fmt::format("no transport works on this machine ({})", fmt::join(refused, "; ")));
  return {};
}

void Connections::open_row(std::size_t row) {
  const TransportRow& entry = transport_table()[row];
  auto transport = entry.make(options_);
  if (const Status can = transport->probe(); can)
    transports_[row] = std::move(transport);
  else
    refuse(row, can.error());
}

void Connections::refuse(std::size_t row, const Error& why) {
  transports_[row].reset();
  refusals_[row] = why.to_string();
  log(LogLevel::info, fmt::format("transport {} cannot work here: {}", transport_table()[row].name, refusals_[row]));
}

Status Connections::exchange_addresses() { return exchange_addresses(all_rows(), true); }

Status Connections::exchange_addresses(std::span<const std::size_t> rows, bool needed) {
  Writer mine;
  mine.value(!setting_.empty());
  for (const std::size_t t : rows) {
    const std::string_view name = transport_table()[t].name;
    auto address = transports_[t] ? transports_[t]->listen() : std::vector<std::byte>();
    if (!address && needed) return address.because(fmt::format("transport {} could not open its listening side", name));
    if (!address) refuse(t, address.error());
    if (transports_[t])
      mine.text(name).text(transports_[t]->domain()).bytes(*address).text(transports_[t]->uses());
    else if (!refusals_[t].empty())
      mine.text(name).text("").bytes({}).text(refusals_[t]);
  }
  auto blobs = overlay_->all_gather(mine.take());
  if (!blobs) return std::move(blobs.error());

  offers_.resize(blobs->size());
  has_setting_.resize(blobs->size());
  for (std::size_t r = 0; r < blobs->size(); ++r) {
    offers_[r].resize(transports_.size());
    Reader in((*blobs)[r]);
    has_setting_[r] = in.value<bool>();
    while (!in.finished()) {
      const std::string name = in.text(), domain = printable(in.text());
      const ConstBytes address = in.bytes();
      const std::string about = printable(in.text());
      if (!in.ok()) return bad_blob(static_cast<Rank>(r));
      if (const TransportRow* row = find_transport(name))
        offers_[r][number_of(row)] = {domain, {address.begin(), address.end()}, about};
    }
  }
  return {};
}

std::vector<std::byte> Connections::probe() { return probe(all_rows()); }

std::vector<std::byte> Connections::probe(std::span<const std::size_t> rows) {
  std::vector<std::byte> bits((transports_.size() * static_cast<std::size_t>(size_) + 7) / 8);
  std::set<Rank> near;
  const std::vector<Offer>& mine = offers_[static_cast<std::size_t>(rank_)];
  for (const std::size_t t : rows) {
    if (!transports_[t] || is_tcp(t)) continue;
    for (Rank r = 0; r < size_; ++r) {
      const auto i = static_cast<std::size_t>(r);
      if (r == rank_ || near.contains(r) || offers_[i][t].domain != mine[t].domain) continue;
      if (auto s = transports_[t]->reaches(r, offers_[i][t].address); s) {
        const std::size_t at = bit(t, i);
        bits[at / 8] |= std::byte{1} << (at % 8);
        if (transport_table()[t].by_memory) near.insert(r);
      } else {
        unreached_[{r, t}] = s.error().to_string();
        log(LogLevel::info, fmt::format("rank {} is not reached by {}: {}", r, transport_table()[t].name, unreached_[{r, t}]));
      }
    }
  }
  return bits;
}

Status Connections::prefer_as(const Connections& other) { return other.preferred_ ? prefer(*other.preferred_) : Status{}; }

Status Connections::prefer(const TunedHosts& measured) {
  const TransportRow* row = find_transport(measured.transports.front().name);
  if (row == nullptr || row->by_memory || all_share_memory()) return {};
  preferred_ = measured;
  const std::size_t at = number_of(row);
  preferred_row_ = at;
  const auto asked = [at](const std::vector<Offer>& of_rank) {
    return !of_rank[at].domain.empty() || !of_rank[at].about.empty();
  };
  if (std::ranges::none_of(offers_, asked)) {
    const std::array rows{at};
    if (setting_.empty()) open_row(at);
    if (auto s = exchange_addresses(rows, false); !s) return s;
    auto more = overlay_->all_gather(probe(rows));
    if (!more) return std::move(more.error());
    for (std::size_t r = 0; r < more->size(); ++r) {
      if ((*more)[r].size() != probed_[r].size()) return bad_blob(static_cast<Rank>(r));
      std::ranges::transform(probed_[r], (*more)[r], probed_[r].begin(), std::bit_or());
    }
  }
  choose(std::move(probed_));
  return {};
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

bool Connections::all_share_memory() const {
  for (std::size_t r = 1; r < probed_.size(); ++r)
    if (!share_memory(0, r)) return false;
  return true;
}

// Whoever has a setting of its own, has also said in which order.
bool Connections::prefers_measured(std::size_t a, std::size_t b) const {
  return preferred_row_ && !has_setting_[a] && !has_setting_[b] && !share_memory(a, b);
}

bool Connections::usable(std::size_t row, std::size_t a, std::size_t b) const {
  const std::string& domain = offers_[a][row].domain;
  return a != b && !domain.empty() && domain == offers_[b][row].domain && (is_tcp(row) || reach_each_other(row, a, b));
}

int Connections::best_between(std::size_t a, std::size_t b) const {
  if (prefers_measured(a, b) && usable(*preferred_row_, a, b)) return static_cast<int>(*preferred_row_);
  for (std::size_t t = 0; t < transports_.size(); ++t)
    if (usable(t, a, b)) return static_cast<int>(t);
  return -1;
}

void Connections::choose(std::vector<std::vector<std::byte>> probed) {
  probed_ = std::move(probed);
  reach_.clear();
  reach_.reserve(probed_.size());
  used_.clear();
  std::size_t offered = 0;  // by anybody: more cannot be found
  for (std::size_t t = 0; t < transports_.size(); ++t)
    offered += std::ranges::any_of(offers_, [t](const auto& of_rank) { return !of_rank[t].domain.empty(); }) ? 1 : 0;
  bool all_reached = true;
  for (std::size_t a = 0; a < probed_.size(); ++a) {
    reach_.push_back(best_between(static_cast<std::size_t>(rank_), a));
    for (std::size_t b = 0; b < a && (offered == 1 || used_.size() < offered); ++b) {
      const int best = best_between(a, b);
      if (best >= 0) used_.insert(best);
      all_reached &= best >= 0;
    }
  }
  std::vector<std::string_view> names;
  names.reserve(used_.size());
  for (const int t : used_) names.push_back(transport_table()[static_cast<std::size_t>(t)].name);
  in_use_ = fmt::format("{}", fmt::join(names, "+"));
  const auto only = static_cast<std::size_t>(used_.empty() ? 0 : *used_.begin());
  has_boards_ = all_reached && used_.size() == 1 && transports_[only] && transports_[only]->has_boards();
}

bool Connections::uses(std::string_view transport) const {
  return std::ranges::any_of(used_, [&](int t) { return transport_table()[static_cast<std::size_t>(t)].name == transport; });
}

Result<std::unique_ptr<Endpoint>> Connections::connect(Rank peer, ConnectRequest request) {
  const int reach = reach_[static_cast<std::size_t>(peer)];
  if (reach < 0) {
    const std::string why = carrier(-1, static_cast<std::size_t>(rank_), static_cast<std::size_t>(peer)).why;
    return Error(Code::unsupported, fmt::format("no transport reaches {}; {}", overlay_->describe(peer), why), peer);
  }
  const auto t = static_cast<std::size_t>(reach);
  request.peer_address = offers_[static_cast<std::size_t>(peer)][t].address;
  return transports_[t]->connect(request);
}

}  // namespace tutti
