#include "gpu/ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "gpu/piece_layout.h"

namespace tutti::gpu {
namespace {

using device::OpKind;
using device::Space;

constexpr std::uint64_t kScratchUnit = 256;  // blocks' scratch begins at multiples

// The ops of a piece, while lanes of the call are found.
class Lister {
 public:
  Lister(const Plan& plan, const CollectiveCall& call, const Cut& cut, std::uint64_t elements, KernelCall& whole)
      : plan_(plan), layout_(plan, call, cut, elements), size_(call.element_bytes()), whole_(whole) {}

  Result<OpList> run() {
    for (const PieceLayout::Product& p : layout_.products()) {
      list_.ops.push_back({.kind = OpKind::multiply, .from = as_place(p.from), .to = as_place(p.to), .count = p.count});
      reach(as_place(p.to), p.count);
    }
    for (const PlanLink& link : plan_.links) lane_of_.push_back(lane(link));
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) add(i);
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

  static device::Place as_place(const PlanRange& range) {
    if (range.buffer == Buffer::scratch) return {range.offset, Space::scratch};
    return {range.offset, range.buffer == Buffer::input ? Space::input : Space::output};
  }
  [[nodiscard]] device::Place place(const PlanRange& range) const { return as_place(layout_.place(range)); }
  device::Place place(const PlanRange& range, std::uint64_t count) {
    reach(place(range), count);
    return place(range);
  }
  void reach(const device::Place& place, std::uint64_t count) {
    if (place.space == Space::scratch) scratch_end_ = std::max(scratch_end_, place.offset + count * size_);
  }

  void add(std::size_t i) {
    const PlanStep& s = plan_.steps[i];
    const bool here = s.kind == StepKind::reduce || s.kind == StepKind::copy || s.kind == StepKind::fold;
    if (here && s.count == 0) return;  // empty messages are sent
    switch (s.kind) {
      case StepKind::send:
        return send(s);
      case StepKind::recv:
        return recv(i);
      case StepKind::recv_reduce: {
        const device::Place arrival = arrive(s);
        const device::Place mine = place(s.from, s.count);
        return s.from_is_left ? fold(s, {mine, arrival}) : fold(s, {arrival, mine});
      }
      case StepKind::reduce: {
        const device::Place from = place(s.from, s.count), to = place(s.to);
        return s.from_is_left ? fold(s, {from, to}) : fold(s, {to, from});
      }
      case StepKind::copy:
        return add({.kind = OpKind::copy, .from = place(s.from, s.count), .to = place(s.to, s.count), .count = s.count});
      case StepKind::fold: {
        std::vector<device::Place> operands;
        for (auto o = s.operands_begin; o < s.operands_end; ++o) operands.push_back(operand(plan_.operands[o], s.count));
        return fold(s, operands);
      }
    }
  }
  void add(const device::Op& op) { list_.ops.push_back(op); }

  // What has stayed in its mailbox, or a place.
  device::Place operand(const PlanRange& range, std::uint64_t count) {
    if (range.buffer == Buffer::scratch)
      if (const auto found = in_mailbox_.find(range.offset); found != in_mailbox_.end()) return found->second;
    return place(range, count);
  }

  void send(const PlanStep& s) {
    const std::uint32_t lane = lane_of_[s.stream];
    Mailed& mailed = mailed_[lane];
    add({.kind = OpKind::send,
         .message = mailed.sent++,
         .from = place(s.from, s.count),
         .to = {mailed.sent_room, Space::mailbox, lane},
         .count = s.count});
    mailed.sent_room += room(s);
    list_.lane_use[lane] |= device::kSends;
  }

  // Where a message arrives. What is read there by a fold has been awaited, or is then.
  device::Place arrive(const PlanStep& s) {
    const device::Place arrival = next_arrival(s);
    if (whole_.protocol == device::Protocol::simple)
      add({.kind = OpKind::await, .message = mailed_[arrival.lane].received - 1, .from = arrival, .count = s.count});
    return arrival;
  }
  device::Place next_arrival(const PlanStep& s) {
    const std::uint32_t lane = lane_of_[s.stream];
    Mailed& mailed = mailed_[lane];
    const device::Place arrival{mailed.received_room, Space::mailbox, lane};
    ++mailed.received;
    mailed.received_room += room(s);
    list_.lane_use[lane] |= device::kReceives;
    return arrival;
  }
  [[nodiscard]] std::uint64_t room(const PlanStep& s) const { return device::room_of(whole_.protocol, s.count * size_, size_); }

  void recv(std::size_t i) {
    const PlanStep& s = plan_.steps[i];
    const auto reader = only_reader(plan_, size_, i);
    if (reader && plan_.steps[*reader].kind == StepKind::fold) {
      in_mailbox_[s.to.offset] = arrive(s);
      return;
    }
    const device::Place arrival = next_arrival(s);
    add({.kind = OpKind::recv,
         .message = mailed_[arrival.lane].received - 1,
         .from = arrival,
         .to = place(s.to, s.count),
         .count = s.count});
  }

  void fold(const PlanStep& s, const std::vector<device::Place>& operands) {
    const auto begin = static_cast<std::uint32_t>(list_.operands.size());
    list_.operands.insert(list_.operands.end(), operands.begin(), operands.end());
    const auto end = static_cast<std::uint32_t>(list_.operands.size());
    whole_.most_operands = std::max(whole_.most_operands, end - begin);
    add({.kind = OpKind::fold, .operands_begin = begin, .operands_end = end, .to = place(s.to, s.count), .count = s.count});
  }

  const Plan& plan_;
  PieceLayout layout_;
  std::uint64_t size_;
  KernelCall& whole_;
  std::uint64_t scratch_end_ = 0;
  std::vector<std::uint32_t> lane_of_;                 // of the plan's links
  std::vector<Mailed> mailed_;                         // of the call's lanes
  std::map<std::uint64_t, device::Place> in_mailbox_;  // by offset in scratch
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
