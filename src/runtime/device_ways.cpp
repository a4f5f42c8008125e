#include "runtime/device_ways.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/hash.h"
#include "gpu/one_pass.h"
#include "schedule/passes.h"

namespace tutti {
namespace {

// Of what ranks must agree on.
std::uint32_t agreement_hash(const Request& r, const DeviceWay& way) {
  const Candidate& chosen = way.candidate;
  Hasher h;
  h.value(r.collective).value(r.count).value(r.type).value(r.root).text(way.algorithm());
  if (reduces(r.collective)) h.value(r.op.kind);
  h.value(chosen.chunking.pieces).value(chosen.chunking.radix);
  h.value(way.protocol ? static_cast<int>(*way.protocol) : -1).value(way.channels);
  return static_cast<std::uint32_t>(h.result());
}

}  // namespace

device::Protocol protocol_of(KernelProtocol protocol) {
  switch (protocol) {
    case KernelProtocol::ll:
      return device::Protocol::ll;
    case KernelProtocol::ll128:
      return device::Protocol::ll128;
    case KernelProtocol::simple:
      break;
  }
  return device::Protocol::simple;
}

DeviceWays::DeviceWays(JobMachine job, DeviceLayout layout)
    : job_(std::move(job)),
      layout_(std::move(layout)),
      machine_(on_devices(job_, layout_)),
      no_kernels_(kernels_refused(layout_)) {}

std::string DeviceWays::refusal(const Request& r) {
  if (!r.equal_blocks()) return "this is a v-variant: the devices' pieces are equal parts of all blocks";
  if (reduces(r.collective) && r.op.kind == ReduceKind::user) return "the operator is the user's: no kernel does it";
  if (r.numerics.accumulation != Accumulation::usual) return "no kernel accumulates like that";
  if (r.numerics.order == OrderClass::placement_free)
    return "devices combine from the first rank to the last, not in the canonical tree";
  return "";
}

DeviceWays::Costed& DeviceWays::costed(std::optional<KernelProtocol> protocol, unsigned channels) {
  if (const auto known = costed_.find({protocol, channels}); known != costed_.end()) return known->second;
  JobMachine machine = protocol ? on_kernels(job_, layout_, *protocol, channels) : machine_;
  return costed_.emplace(std::pair{protocol, channels}, Costed{std::move(machine)}).first->second;
}

Result<DeviceWay> DeviceWays::price(const Request& r, const SelectRequest& asked, std::optional<KernelProtocol> protocol) {
  DeviceWay way{.protocol = protocol};
  if (protocol)
    way.channels = channels_for(*protocol,
                                asked.block_bytes * std::max(input_chunks(r.collective, machine_.ranks, 1),
                                                             output_chunks(r.collective, machine_.ranks, 1)),
                                layout_);
  Costed& on = costed(protocol, way.channels);
  auto selection = select(asked, on.machine, on.costs);
  if (!selection) return std::move(selection.error());
  std::optional<DeviceWay> best;
  for (Candidate& candidate : selection->candidates) {
    const double least_us = candidate.total_us + (protocol ? launch_us(*protocol) : 0);
    if (best && (!candidate.refused.empty() || (best->refused.empty() && best->us <= least_us))) break;
    way.candidate = std::move(candidate);
    way.refused.clear();
    if (auto s = count_turns(r, way); !s) return std::move(s.error());
    way.us = least_us + (way.turns - 1) * way.candidate.latency_us;
    if (!best || (way.refused.empty() && (!best->refused.empty() || way.us < best->us))) best = way;
  }
  return std::move(*best);
}

Status DeviceWays::count_turns(const Request& r, DeviceWay& way) const {
  const gpu::CollectiveCall call = call_of(r, way);
  std::uint64_t turns = 1;
  if (!way.protocol) {
    auto pieces = gpu::cut(call);
    if (!pieces) return std::move(pieces.error());
    turns = pieces->pieces;
  } else {
    auto layout = gpu::kernel_layout(call, protocol_of(*way.protocol), way.channels);
    if (!layout && layout.error().code() != Code::unsupported) return std::move(layout.error());
    if (layout)
      turns = (layout->cut.pieces + layout->blocks - 1) / layout->blocks;
    else
      way.refused = fmt::format("by {}: {}", way.candidate.algorithm->name, layout.error().to_string());
  }
  way.turns = static_cast<double>(std::max<std::uint64_t>(turns, 1));
  return {};
}

Schedule DeviceWays::schedule_of(const DeviceWay& way, Rank rank, Rank root, bool in_place) const {
  return fuse(way.candidate.algorithm->build(rank, shape_on(machine_, root, in_place), way.candidate.chunking));
}

gpu::CollectiveCall DeviceWays::call_of(const Request& r, const DeviceWay& way) const {
  gpu::CollectiveCall call{.collective = r.collective,
                           .ranks = machine_.ranks,
                           .count = r.count,
                           .type = r.type,
                           .op = r.op,
                           .root = r.root,
                           .meets_at_once = false,
                           .build = {},
                           .signature = agreement_hash(r, way)};
  if (way.one_pass) return call;
  call.meets_at_once = way.candidate.algorithm->meets_at_once;
  call.build = [this, &way, root = r.root](Rank rank) { return schedule_of(way, rank, root, false); };
  return call;
}

DeviceWay DeviceWays::in_one_pass(const Request& r, const SelectRequest& asked) const {
  DeviceWay way{.one_pass = true, .refused = one_pass_refused(layout_)};
  if (way.refused.empty()) way.refused = gpu::one_pass_refusal(r.collective, machine_.ranks, r.op);
  if (way.refused.empty() && !asked.forced.empty()) way.refused = fmt::format("{} names an algorithm", asked.forced_by);
  if (way.refused.empty() && !asked.filter.empty()) way.refused = fmt::format("{} names algorithms", asked.filtered_by);
  if (way.refused.empty()) way.us = one_pass_us(machine_.ranks, gpu::one_pass_bytes(call_of(r, way)));
  return way;
}

Result<std::vector<DeviceWay>> DeviceWays::all(const Request& r, const SelectRequest& asked, std::string_view no_more_kernels) {
  std::vector<DeviceWay> ways;
  bool kernels = false;
  for (const auto protocol : {KernelProtocol::simple, KernelProtocol::ll, KernelProtocol::ll128}) {
    std::string why_not = !no_kernels_.empty()       ? no_kernels_
                          : !no_more_kernels.empty() ? std::string(no_more_kernels)
                                                     : protocol_refused(layout_, protocol);
    auto way = why_not.empty() ? price(r, asked, protocol) : DeviceWay{.protocol = protocol, .refused = std::move(why_not)};
    if (!way) return std::move(way.error());
    kernels = kernels || way->refused.empty();
    ways.push_back(std::move(*way));
  }
  ways.push_back(in_one_pass(r, asked));
  auto streams = kernels && !no_streams_.empty() ? DeviceWay{.refused = no_streams_} : price(r, asked, {});
  if (!streams) return std::move(streams.error());
  ways.push_back(std::move(*streams));
  std::ranges::stable_sort(ways, [](const DeviceWay& a, const DeviceWay& b) {
    return a.refused.empty() != b.refused.empty() ? a.refused.empty() : a.us < b.us;
  });
  return ways;
}

Result<DeviceWay> DeviceWays::choose(const Request& r, const SelectRequest& asked, std::string_view no_more_kernels) {
  auto ways = all(r, asked, no_more_kernels);
  if (!ways) return std::move(ways.error());
  return std::move(ways->front());
}

Result<DeviceExplanation> DeviceWays::explain(const Request& r, const SelectRequest& asked, std::string_view no_more_kernels) {
  DeviceExplanation explanation{.request = asked, .ranks = machine_.ranks, .layout = &layout_, .ways = {}};
  if (layout_.hosts > 1)
    explanation.left_to_host = "the ranks are on several hosts, which map no memory of each other's devices";
  else if (machine_.ranks == 1)
    explanation.left_to_host = "there is one rank, and no device that it would have to meet";
  else
    explanation.left_to_host = refusal(r);
  if (!explanation.left_to_host.empty()) return explanation;
  auto ways = all(r, asked, no_more_kernels);
  if (!ways) return std::move(ways.error());
  for (DeviceWay& way : *ways) {
    ExplainedWay one{.way = std::move(way)};
    if (one.way.refused.empty() && !one.way.one_pass) {
      Costed& on = costed(one.way.protocol, one.way.channels);
      auto selection = select(asked, on.machine, on.costs);
      if (!selection) return std::move(selection.error());
      one.machine = on.machine;
      one.selection = std::move(*selection);
    }
    explanation.ways.push_back(std::move(one));
  }
  return explanation;
}

}  // namespace tutti
