#include "gpu/ops.h"

#include <fmt/format.h>

#include <algorithm>

namespace tutti::gpu {
namespace {

using device::OpKind;

constexpr std::uint64_t kScratchUnit = 256;  // blocks' scratch begins at multiples

OpKind kind_of(StepKind kind) {
  switch (kind) {
    case StepKind::send:
      return OpKind::send;
    case StepKind::recv:
      return OpKind::recv;
    case StepKind::reduce:
      return OpKind::reduce;
    case StepKind::copy:
      return OpKind::copy;
    case StepKind::recv_reduce:
      return OpKind::recv_reduce;
    case StepKind::fold:
      return OpKind::fold;
  }
  return OpKind::copy;
}

// The ops of a piece, while lanes of the call are found.
class Lister {
 public:
  Lister(const Plan& plan, const CollectiveCall& call, const Cut& cut, std::uint64_t elements, KernelCall& whole)
      : plan_(plan), call_(call), size_(call.element_bytes()), whole_(whole) {
    if (cut.pieces > 1 && input_chunks(call.collective, 2, 1) == 2) {
      input_block_bytes_ = cut.count * size_;
      piece_bytes_ = elements * size_;
    }
  }

  Result<OpList> run() {
    if (!plan_.premultiply.empty()) premultiply();
    for (const PlanLink& link : plan_.links) lane_of_.push_back(lane(link));
    for (const PlanStep& step : plan_.steps) add(step);
    for (const Extent& e : plan_.average)
      if (e.count > 0)
        list_.ops.push_back({.kind = OpKind::divide, .to = place({plan_.average_in, e.offset * size_}), .count = e.count});
    for (const Mailed& m : mailed_) {
      if (std::max(m.sent, m.received) >= device::kMostMessages)
        return Error(Code::unsupported,
                     fmt::format("a piece has {} messages on one lane, and {} at most are possible: use smaller pieces",
                                 std::max(m.sent, m.received), device::kMostMessages - 1));
      whole_.half_bytes = std::max({whole_.half_bytes, m.sent_room, m.received_room});
    }
    whole_.scratch_bytes = std::max(whole_.scratch_bytes, (scratch_end_ + kScratchUnit - 1) / kScratchUnit * kScratchUnit);
    return std::move(list_);
  }

 private:
  struct Mailed {
    std::uint32_t sent = 0, received = 0;
    std::uint64_t sent_room = 0, received_room = 0;
  };

  std::uint32_t lane(const PlanLink& link) {
    const auto known = std::ranges::find(whole_.lanes, link);
    const auto index = static_cast<std::uint32_t>(known - whole_.lanes.begin());
    if (known == whole_.lanes.end()) whole_.lanes.push_back(link);
    if (mailed_.size() <= index) mailed_.resize(index + 1);
    if (list_.lane_use.size() <= index) list_.lane_use.resize(index + 1);
    return index;
  }

  // The product takes the input's place: in scratch, block by block of the piece, where the input must be kept.
  void premultiply() {
    for (const Extent& e : plan_.premultiply) {
      const device::Place from = place({plan_.premultiply_in, e.offset * size_});
      const device::Place to = plan_.in_place ? from : product(e.offset * size_);
      if (e.count > 0) list_.ops.push_back({.kind = OpKind::multiply, .from = from, .to = to, .count = e.count});
      reach(to, e.count);
    }
    multiplied_ = !plan_.in_place;
  }
  [[nodiscard]] device::Place product(std::uint64_t offset) const {
    if (input_block_bytes_ > 0) offset = offset / input_block_bytes_ * piece_bytes_ + offset % input_block_bytes_;
    return {plan_.scratch_bytes + offset, Buffer::scratch};
  }
  [[nodiscard]] device::Place place(const PlanRange& range) const {
    if (multiplied_ && range.buffer == plan_.premultiply_in) return product(range.offset);
    return {range.offset, range.buffer};
  }
  void reach(const device::Place& place, std::uint64_t count) {
    if (place.buffer == Buffer::scratch) scratch_end_ = std::max(scratch_end_, place.offset + count * size_);
  }

  void add(const PlanStep& step) {
    const bool sends = step.kind == StepKind::send;
    const bool receives = step.kind == StepKind::recv || step.kind == StepKind::recv_reduce;
    if (step.count == 0 && !sends && !receives) return;
    device::Op op{.kind = kind_of(step.kind), .from_is_left = step.from_is_left, .count = step.count};
    if (step.kind != StepKind::recv && step.kind != StepKind::fold) op.from = place(step.from);
    if (!sends) op.to = place(step.to);
    reach(op.from, step.count);
    reach(op.to, step.count);
    if (sends || receives) mail(step, op);
    if (step.kind == StepKind::fold) add_operands(step, op);
    list_.ops.push_back(op);
  }

  void mail(const PlanStep& step, device::Op& op) {
    const bool sends = step.kind == StepKind::send;
    op.lane = lane_of_[step.stream];
    Mailed& mailed = mailed_[op.lane];
    std::uint64_t& room = sends ? mailed.sent_room : mailed.received_room;
    op.message = (sends ? mailed.sent : mailed.received)++;
    op.message_room = room;
    room += device::room_of(whole_.protocol, step.count * size_, size_);
    list_.lane_use[op.lane] |= sends ? device::kSends : device::kReceives;
  }

  void add_operands(const PlanStep& step, device::Op& op) {
    op.operands_begin = static_cast<std::uint32_t>(list_.operands.size());
    for (auto o = step.operands_begin; o < step.operands_end; ++o) {
      list_.operands.push_back(place(plan_.operands[o]));
      reach(list_.operands.back(), step.count);
    }
    op.operands_end = static_cast<std::uint32_t>(list_.operands.size());
    whole_.most_operands = std::max(whole_.most_operands, op.operands_end - op.operands_begin);
  }

  const Plan& plan_;
  const CollectiveCall& call_;
  std::uint64_t size_;
  KernelCall& whole_;
  std::uint64_t input_block_bytes_ = 0, piece_bytes_ = 0;  // where the input's blocks are far apart
  bool multiplied_ = false;
  std::uint64_t scratch_end_ = 0;
  std::vector<std::uint32_t> lane_of_;  // of the plan's links
  std::vector<Mailed> mailed_;          // of the call's lanes
  OpList list_;
};

Result<OpList> list_of(const CollectiveCall& call, const Schedule& schedule, const Cut& cut, std::uint64_t elements,
                       KernelCall& whole) {
  auto plan = plan_of_piece(call, schedule, cut, elements);
  if (!plan) return std::move(plan.error());
  if (reduces(call.collective)) whole.average_over = plan->reduction.average_over();
  return Lister(*plan, call, cut, elements, whole).run();
}

device::Program program_of(const OpList& list) { return {.count = static_cast<std::uint32_t>(list.ops.size())}; }

}  // namespace

Result<KernelCall> kernel_call(const CollectiveCall& call, const Schedule& schedule, const Cut& cut, device::Protocol protocol) {
  if (reduces(call.collective) && call.op.kind == ReduceKind::user)
    return Error(Code::unsupported, "a reduction by a user's function cannot run on a GPU: use host buffers");
  KernelCall whole{.protocol = protocol,
                   .piece_bytes = cut.per_piece * call.element_bytes(),
                   .type = call.type,
                   .kind = call.op.kind,
                   .ranks = call.ranks,
                   .factor = call.op.scalar};
  if (cut.pieces == 0) return whole;
  const bool uneven = cut.rest() != cut.per_piece;
  whole.pieces = uneven ? cut.pieces - 1 : cut.pieces;
  for (const bool last : {false, true}) {
    if (last ? !uneven : whole.pieces == 0) continue;
    auto list = list_of(call, schedule, cut, last ? cut.rest() : cut.per_piece, whole);
    if (!list) return std::move(list.error());
    (last ? whole.last : whole.piece) = std::move(*list);
  }
  whole.half_bytes = (whole.half_bytes + device::kLineBytes - 1) / device::kLineBytes * device::kLineBytes;
  for (OpList* list : {&whole.piece, &whole.last}) list->lane_use.resize(whole.lanes.size());
  return whole;
}

device::InterpretArguments arguments_of(const KernelCall& call) {
  return {.piece = program_of(call.piece),
          .last = program_of(call.last),
          .pieces = call.pieces,
          .piece_bytes = call.piece_bytes,
          .scratch_bytes = call.scratch_bytes,
          .half_bytes = call.half_bytes,
          .factor = call.factor,
          .lane_count = static_cast<std::uint32_t>(call.lanes.size()),
          .most_operands = call.most_operands,
          .average_over = call.average_over,
          .ranks = call.ranks,
          .protocol = call.protocol,
          .type = call.type,
          .kind = call.kind};
}

}  // namespace tutti::gpu
