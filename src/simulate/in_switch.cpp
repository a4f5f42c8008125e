#include "simulate/in_switch.h"

#include <algorithm>
#include <cmath>

#include "algorithms/registry.h"
#include "select/cost.h"

namespace tutti::simulate {
namespace {

constexpr std::uint64_t kPieceBytes = std::uint64_t{1} << 20;  // of a part
constexpr std::uint32_t kMostUsualPieces = 64;
constexpr std::uint16_t kToSwitch = 0, kBack = 1, kBetweenHosts = 2;  // channels

const Algorithm& between_hosts() { return *find_algorithm(Collective::all_reduce, "double_binary_tree"); }

// Who sits below which switch, and how the vector is cut.
class Layout {
 public:
  Layout(const Grouping& hosts, std::uint32_t pieces) : hosts_(hosts), pieces_(pieces) {
    if (hosts.groups() > 1) unit_ = tree(0).chunks_per_block;
  }
  [[nodiscard]] std::uint32_t pieces() const { return pieces_; }
  [[nodiscard]] std::uint32_t parts() const { return static_cast<std::uint32_t>(hosts_.largest()); }
  [[nodiscard]] std::uint32_t chunks() const { return pieces_ * parts() * unit_; }
  [[nodiscard]] std::uint32_t unit() const { return unit_; }  // chunks of one part of one piece
  [[nodiscard]] std::uint32_t first(std::uint32_t piece, std::uint32_t part) const { return (piece * parts() + part) * unit_; }
  [[nodiscard]] Schedule tree(Rank host) const {
    return between_hosts().build(host, Shape{.ranks = static_cast<Rank>(hosts_.groups())}, {.pieces = 1});
  }

 private:
  const Grouping& hosts_;
  std::uint32_t pieces_, unit_ = 1;
};

// The state of the row.
struct Machine {
  Rank ranks = 0;
  Grouping hosts;
};

Schedule of_rank(Rank me, const Machine& machine, const Layout& layout, const Shape& shape) {
  const Grouping& hosts = machine.hosts;
  const int host = hosts.group_of(me);
  const auto own_part = static_cast<std::uint32_t>(hosts.index_in_group(me));
  const Rank above = machine.ranks + host;
  const auto on_rail = [&](Rank h) { return hosts.members(h)[own_part]; };
  Schedule tree;
  if (hosts.groups() > 1) tree = layout.tree(host);
  Builder b(Collective::all_reduce, std::string(kInSwitch), me, shape, layout.chunks());
  for (std::uint32_t piece = 0; piece < layout.pieces(); ++piece) {
    for (std::uint32_t part = 0; part < layout.parts(); ++part)
      b.send(b.input(layout.first(piece, part), layout.unit()), above, kToSwitch);
    const Slice own = b.output(layout.first(piece, own_part), layout.unit());
    b.recv(above, own, kToSwitch);
    if (hosts.groups() > 1) embed(b, tree, on_rail, {own}, {own}, kBetweenHosts);
    b.send(own, above, kBack);
    for (std::uint32_t part = 0; part < layout.parts(); ++part)
      b.recv(above, b.output(layout.first(piece, part), layout.unit()), kBack);
  }
  return std::move(b).finish();
}

Schedule of_switch(Rank me, const Machine& machine, const Layout& layout, const Shape& shape) {
  const auto below = machine.hosts.members(me - machine.ranks);
  Builder b(Collective::all_reduce, std::string(kInSwitch), me, shape, layout.chunks());
  for (std::uint32_t piece = 0; piece < layout.pieces(); ++piece) {
    for (std::uint32_t part = 0; part < layout.parts(); ++part) {
      const Slice combined = b.output(layout.first(piece, part), layout.unit());
      b.recv(below.front(), combined, kToSwitch);
      for (const Rank r : below.subspan(1)) {
        const Slice arrival = b.scratch_like(combined);
        b.recv(r, arrival, kToSwitch);
        b.reduce(arrival, combined);
      }
      b.send(combined, below[part], kToSwitch);
    }
    for (std::uint32_t part = 0; part < layout.parts(); ++part) {
      const Slice result = b.output(layout.first(piece, part), layout.unit());
      b.recv(below[part], result, kBack);
      for (const Rank r : below) b.send(result, r, kBack);
    }
  }
  return std::move(b).finish();
}

Schedule build(const void* state, Rank me, const Shape& shape, const Chunking& chunking) {
  const Machine& machine = *static_cast<const Machine*>(state);
  const Layout layout(machine.hosts, chunking.pieces);
  return (me < machine.ranks ? of_rank : of_switch)(me, machine, layout, shape);
}

Grouping hosts_of(const JobMachine& machine) {
  std::vector<int> host(static_cast<std::size_t>(machine.ranks), 0);
  const Grouping* groups = host_groups(machine);
  if (groups != nullptr)
    for (Rank r = 0; r < machine.ranks; ++r) host[static_cast<std::size_t>(r)] = groups->group_of(r);
  return Grouping(host);
}

}  // namespace

Result<Switches> reducing_switches(const JobMachine& machine, double gbps, double latency_us) {
  const Grouping hosts = hosts_of(machine);
  if (machine.ranks > 1 && machine.ranks_per_host == 1)
    return Error(Code::invalid_argument, "each rank has a host of its own: there is nothing that a host's switch could combine");
  if (!hosts.equal_sizes())
    return Error(Code::invalid_argument, "hosts whose switches combine must have the same number of ranks each");
  const Grouping* level = host_groups(machine);
  const auto inside = level == nullptr ? machine.links.size() - 1 : static_cast<std::size_t>(level - machine.levels.data());
  const double to_neighbour = machine.links[inside].latency_us;
  return Switches{.count = hosts.groups(), .gbps = gbps, .latency_us = latency_us > 0 ? latency_us : to_neighbour / 2};
}

std::shared_ptr<const Algorithm> in_switch_row(const JobMachine& machine) {
  struct Row {
    Machine machine;
    Algorithm algorithm;
  };
  auto row = std::make_shared<Row>(Row{{machine.ranks, hosts_of(machine)}, {}});
  row->algorithm = {.collective = Collective::all_reduce,
                    .name = kInSwitch,
                    .summary = "switches combine what the ranks of a host send, and copy it to all",
                    .source = "Klenk et al. 2020: An In-Network Architecture for Accelerating Multiprocessor Collectives",
                    .needs = {.commutative = true},
                    .pipelines = true,
                    .build = {&row->machine, build},
                    .cost = nullptr};
  return {row, &row->algorithm};
}

std::uint32_t usual_pieces(const SelectRequest& request, const JobMachine& machine) {
  const auto parts = static_cast<std::uint64_t>(hosts_of(machine).largest());
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(request.block_bytes / (parts * kPieceBytes), 1, kMostUsualPieces));
}

Candidate in_switch(const Algorithm& row, const SelectRequest& request, const JobMachine& machine, const Switches& switches,
                    std::uint32_t pieces) {
  const Grouping hosts = hosts_of(machine);
  const double ranks = hosts.largest(), bytes = static_cast<double>(request.block_bytes);
  Candidate candidate{.algorithm = &row, .chunking = {.pieces = pieces}};
  candidate.rounds = 4;
  candidate.latency_us = 4 * switches.latency_us;
  candidate.bandwidth_us = bytes * (1 + 1 / ranks) / (switches.gbps * 1e3);
  if (hosts.groups() > 1) {
    // The pieces follow each other, so that the slower of the two stages is all that shows of either.
    const double part = bytes / ranks, depth = std::ceil(std::log2(hosts.groups()));
    const double network_us = 2 * part / (machine.links.back().bandwidth_gbps * 1e3);
    candidate.rounds += static_cast<std::uint32_t>(2 * depth);
    candidate.latency_us += 2 * depth * machine.links.back().latency_us;
    if (network_us > candidate.bandwidth_us) candidate.bounding_link = machine.links.size() - 1;
    candidate.bandwidth_us = std::max(candidate.bandwidth_us, network_us);
  }
  candidate.total_us = candidate.latency_us + candidate.bandwidth_us;
  return candidate;
}

}  // namespace tutti::simulate
