#include "gpu/one_pass.h"

#include <fmt/format.h>

#include <bit>

namespace tutti::gpu {
namespace {

using device::OnePassItem;

constexpr std::uint16_t kChannel = 0x8001;  // no schedule's

// What the collective gives: blocks of one input, or of all of them together, for one output, or for all.
std::vector<OnePassItem> items_of(const CollectiveCall& call) {
  const auto all = static_cast<std::uint16_t>((1U << call.ranks) - 1);
  const auto one = [](Rank r) { return static_cast<std::uint16_t>(1U << r); };
  const std::uint64_t block = call.count * call.element_bytes();
  const auto at = [&](Rank r) { return static_cast<std::uint64_t>(r) * block; };
  std::vector<OnePassItem> items;
  for (Rank r = 0; r < call.ranks; ++r) switch (call.collective) {
      case Collective::all_reduce:
      case Collective::reduce:
        if (r == 0) items.push_back({.inputs = all, .outputs = call.collective == Collective::reduce ? one(call.root) : all});
        break;
      case Collective::broadcast:
        if (r == 0) items.push_back({.inputs = one(call.root), .outputs = all});
        break;
      case Collective::reduce_scatter:
        items.push_back({.from = at(r), .inputs = all, .outputs = one(r)});
        break;
      case Collective::all_gather:
        items.push_back({.to = at(r), .inputs = one(r), .outputs = all});
        break;
      case Collective::gather:
        items.push_back({.to = at(r), .inputs = one(r), .outputs = one(call.root)});
        break;
      case Collective::scatter:
        items.push_back({.from = at(r), .inputs = one(call.root), .outputs = one(r)});
        break;
      case Collective::all_to_all:
        items.push_back({.to = at(r), .from_step = block, .inputs = one(r), .outputs = all});
        break;
      case Collective::barrier:
      case Collective::scan:
      case Collective::exscan:
      case Collective::send_recv:
        break;
    }
  return items;
}

LaneUse lane(Rank peer) { return {.peer = peer, .channel = kChannel, .messages = 1, .bytes = 1}; }

}  // namespace

std::string one_pass_refusal(Collective collective, Rank ranks, ReduceOp op) {
  if (collective == Collective::scan || collective == Collective::exscan || collective == Collective::send_recv)
    return fmt::format("{} is not done so", name(collective));
  if (ranks > static_cast<Rank>(device::kMostOperands))
    return fmt::format("{} ranks, but at most {} can be done at once", ranks, device::kMostOperands);
  if (reduces(collective) && op.kind == ReduceKind::premul_sum) return "each rank has a factor of its own";
  return "";
}

std::uint64_t one_pass_bytes(const CollectiveCall& call) {
  std::uint64_t blocks = 0;
  for (const OnePassItem& item : items_of(call))
    blocks += static_cast<std::uint64_t>(std::popcount(item.inputs) * (item.from_step == 0 ? 1 : call.ranks) +
                                         std::popcount(item.outputs));
  return blocks * call.count * call.element_bytes();
}

Program one_pass_program(Rank me, const CollectiveCall& call) {
  Program program;
  program.ranks = call.ranks;
  if (reduces(call.collective)) {
    program.type = call.type;
    program.op = call.op;
    if (call.op.kind == ReduceKind::avg) program.average_over = call.ranks;
  }
  if (me != kOnePassRank) {
    program.outgoing = program.incoming = {lane(kOnePassRank)};
    program.ops = {{.kind = OpKind::tell, .signature = call.signature}, {.kind = OpKind::told}};
    return program;
  }
  for (Rank r = 1; r < call.ranks; ++r) program.incoming.push_back(lane(r));
  program.outgoing = program.incoming;
  program.items = items_of(call);
  const std::uint64_t count = reduces(call.collective) ? call.count : call.count * call.element_bytes();  // of u8
  program.ops = {{.kind = OpKind::one_pass, .signature = call.signature, .count = count}};
  return program;
}

}  // namespace tutti::gpu
