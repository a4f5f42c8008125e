#include "exec/cpu/make_exchanges.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "schedule/access.h"

namespace tutti {
namespace {

class Exchanges {
 public:
  Exchanges(const Schedule& schedule, const ChunkMap& map, std::span<const std::uint32_t> first, Plan& plan)
      : schedule_(schedule),
        map_(map),
        first_(first),
        plan_(plan),
        out_(plan.exchanges),
        element_(element_bytes(plan.type, plan.op)),
        placed_(schedule.steps.size()) {}

  Status run() {
    for (std::uint32_t i = 0; i < schedule_.steps.size(); ++i) {
      if (placed_[i] != kNotYet) continue;
      if (auto s = place(i); !s) return s;
    }
    if (!waiting_.empty()) return unfit("receives what it does not use at once");
    if (!uses_scratch_) plan_.scratch_bytes = 0;
    std::set<Rank> from;
    for (const ExchangeOperand& operand : out_.operands) from.insert(operand.member);
    from.erase(kNoRank);
    out_.from_one = from.size() == 1;
    return {};
  }

 private:
  // Where a step has got to: into the order by itself, or into the n-th exchange (kFirstExchange + n).
  static constexpr std::uint32_t kNotYet = 0, kAlone = 1, kFirstExchange = 2;

  [[nodiscard]] Error unfit(std::string_view why) const {
    return {Code::internal, fmt::format("{} {} cannot be published: rank {} {}", name(schedule_.collective), schedule_.algorithm,
                                        schedule_.rank, why)};
  }
  [[nodiscard]] std::uint32_t in_last() const { return kFirstExchange + static_cast<std::uint32_t>(out_.exchanges.size()) - 1; }
  [[nodiscard]] Exchange& last() { return out_.exchanges.back(); }
  [[nodiscard]] const PlanStep& planned(std::uint32_t step) const { return plan_.steps[first_[step]]; }
  [[nodiscard]] std::uint64_t bytes_of(std::uint32_t step) const { return planned(step).count * element_; }
  // Whether a step needs what the exchange that is open gives, or must not overtake it.
  [[nodiscard]] bool follows_open(std::uint32_t step) const {
    return open_ && std::ranges::any_of(schedule_.dependencies(step), [this](auto d) { return placed_[d] == in_last(); });
  }
  [[nodiscard]] bool may_start(std::uint32_t step) const {
    return std::ranges::none_of(schedule_.dependencies(step), [this](auto d) { return placed_[d] == kNotYet; });
  }

  Status place(std::uint32_t step) {
    const Step& s = schedule_.steps[step];
    if (communicates(s) && first_[step + 1] != first_[step] + 1) return unfit("sends blocks in parts");
    switch (s.kind) {
      case StepKind::send:
        return publish(step);
      case StepKind::recv:
        return receive(step);
      case StepKind::recv_reduce:
        return unfit("reduces what arrives one by one");
      case StepKind::fold:
        if (takes_in(step)) return fold(step);
        [[fallthrough]];
      case StepKind::reduce:
      case StepKind::copy:
        return compute(step);
    }
    return unfit("has an unknown kind of step");
  }

  void begin() {
    const auto parts = static_cast<std::uint32_t>(out_.parts.size()), takes = static_cast<std::uint32_t>(out_.takes.size());
    out_.order.push_back({.is_exchange = true, .index = static_cast<std::uint32_t>(out_.exchanges.size())});
    out_.exchanges.push_back({.parts_begin = parts, .parts_end = parts, .takes_begin = takes, .takes_end = takes});
    if (schedule_.collective == Collective::scatter) last().parts_at_once = static_cast<std::uint32_t>(schedule_.ranks);
    if (into_root()) last().largest = largest_chunk();
    from_.clear();
    open_ = true;
  }

  // All sends from this one on that need nothing which is not there yet, up to the second one to the same rank.
  Status publish(std::uint32_t step) {
    if (!waiting_.empty()) return unfit("sends before it uses what it has received");
    const auto ranks = static_cast<std::size_t>(schedule_.ranks);
    std::vector<std::uint32_t> to(ranks, kNoStep);
    std::size_t found = 0;
    bool same = true;
    for (std::uint32_t i = step; i < schedule_.steps.size() && found + 1 < ranks; ++i) {
      const Step& s = schedule_.steps[i];
      if (s.kind != StepKind::send || placed_[i] != kNotYet) continue;
      if (to[static_cast<std::size_t>(s.peer)] != kNoStep || !may_start(i)) break;
      to[static_cast<std::size_t>(s.peer)] = i;
      same = same && s.from == schedule_.steps[step].from;
      ++found;
    }
    const bool to_root = into_root() && found == 1 && schedule_.steps[step].peer == schedule_.root;
    if (found + 1 != ranks && !to_root) return unfit(fmt::format("sends to {} other ranks at once, not to all", found));
    begin();
    if (to_root) last().only_for = schedule_.root;
    for (const std::uint32_t i : to)
      if (i != kNoStep) placed_[i] = in_last();
    const auto part_of = [this](std::uint32_t i) { return ExchangePart{planned(i).from, bytes_of(i)}; };
    if (same) {
      out_.parts.push_back(part_of(step));
    } else {
      for (const std::uint32_t i : to) out_.parts.push_back(i == kNoStep ? ExchangePart{} : part_of(i));
    }
    last().parts_end = static_cast<std::uint32_t>(out_.parts.size());
    last().parts_at_once = same ? 1 : static_cast<std::uint32_t>(ranks);
    for (std::uint32_t i = last().parts_begin; i < last().parts_end; ++i)
      last().largest = std::max(last().largest, out_.parts[i].bytes);
    return {};
  }

  [[nodiscard]] bool into_root() const {
    return schedule_.collective == Collective::reduce || schedule_.collective == Collective::gather;
  }
  // Chunks may differ by a line, and all ranks must cut into as many pieces, whatever they publish, take or pass over themselves.
  [[nodiscard]] std::uint64_t largest_chunk() const {
    std::uint64_t most = 0;
    const std::uint32_t chunks = input_chunks(schedule_.collective, schedule_.ranks, schedule_.chunks_per_block);
    for (std::uint32_t c = 0; c < chunks; ++c) most = std::max(most, map_.chunk(Buffer::input, c).count);
    return most * element_;
  }

  // Into its place, or, where that is scratch, to whoever uses it.
  Status receive(std::uint32_t step) {
    const Step& s = schedule_.steps[step];
    if (!open_ || follows_open(step) || std::ranges::find(from_, s.peer) != from_.end()) {
      if (!waiting_.empty()) return unfit("receives before it uses what it has received");
      begin();
    }
    from_.push_back(s.peer);
    placed_[step] = in_last();
    last().largest = std::max(last().largest, bytes_of(step));
    if (s.to.buffer == Buffer::scratch) {
      waiting_.push_back({s.to, s.peer});
      return {};
    }
    out_.operands.push_back({.member = s.peer});
    add_take(step, 1);
    return {};
  }

  struct Received {
    Slice to;
    Rank from;
  };
  [[nodiscard]] std::vector<Received>::iterator find_received(const Slice& slice) {
    return std::ranges::find(waiting_, slice, &Received::to);
  }
  [[nodiscard]] bool takes_in(std::uint32_t step) {
    const Step& s = schedule_.steps[step];
    for (auto o = s.operand_begin; o < s.operand_end; ++o)
      if (find_received(schedule_.operands[o]) != waiting_.end()) return true;
    return false;
  }

  Status fold(std::uint32_t step) {
    const Step& s = schedule_.steps[step];
    for (auto o = s.operand_begin; o < s.operand_end; ++o) {
      const auto received = find_received(schedule_.operands[o]);
      if (received == waiting_.end()) {
        out_.operands.push_back({.range = plan_.operands[planned(step).operands_begin + (o - s.operand_begin)]});
        uses_scratch_ |= schedule_.operands[o].buffer == Buffer::scratch;
        continue;
      }
      out_.operands.push_back({.member = received->from});
      waiting_.erase(received);
    }
    placed_[step] = in_last();
    add_take(step, s.operand_end - s.operand_begin);
    return {};
  }

  void add_take(std::uint32_t step, std::uint32_t operands) {
    const PlanStep& p = planned(step);
    const auto end = static_cast<std::uint32_t>(out_.operands.size());
    out_.takes.push_back({.to = p.to,
                          .bytes = bytes_of(step),
                          .operands_begin = end - operands,
                          .operands_end = end,
                          .past_caches = p.past_caches});
    last().takes_end = static_cast<std::uint32_t>(out_.takes.size());
    last().largest = std::max(last().largest, bytes_of(step));
    uses_scratch_ |= p.to.buffer == Buffer::scratch;
  }

  // Before the open exchange where it may be, so that others wait less for what this rank publishes after it.
  Status compute(std::uint32_t step) {
    const bool after = follows_open(step);
    if (after && !waiting_.empty()) return unfit("uses only a part of what it has received");
    const auto at = out_.order.end() - (open_ && !after ? 1 : 0);
    std::vector<ExchangePlan::Item> items;
    for (auto i = first_[step]; i < first_[step + 1]; ++i) items.push_back({.index = i});
    out_.order.insert(at, items.begin(), items.end());
    if (after) open_ = false;
    placed_[step] = kAlone;
    for (const Slice& slice : {schedule_.steps[step].from, schedule_.steps[step].to})
      uses_scratch_ |= slice.buffer == Buffer::scratch;
    for (auto o = schedule_.steps[step].operand_begin; o < schedule_.steps[step].operand_end; ++o)
      uses_scratch_ |= schedule_.operands[o].buffer == Buffer::scratch;
    return {};
  }

  const Schedule& schedule_;
  const ChunkMap& map_;
  std::span<const std::uint32_t> first_;
  Plan& plan_;
  ExchangePlan& out_;
  std::size_t element_;
  std::vector<std::uint32_t> placed_;  // by step
  bool open_ = false;                  // the last exchange may still get takes
  std::vector<Rank> from_;             // that it takes from
  std::vector<Received> waiting_;      // that it has taken into scratch, for a fold
  bool uses_scratch_ = false;
};

// In place a result may be written to what is published only where the piece that is written has been published.
Status check_in_place(const Schedule& schedule, const ExchangePlan& plan) {
  for (const Exchange& x : plan.exchanges)
    for (auto t = x.takes_begin; t < x.takes_end; ++t)
      for (auto p = x.parts_begin; p < x.parts_end; ++p) {
        const ExchangeTake& take = plan.takes[t];
        const ExchangePart& part = plan.parts[p];
        const bool overlap = take.to.buffer == part.from.buffer && take.to.offset < part.from.offset + part.bytes &&
                             part.from.offset < take.to.offset + take.bytes;
        if (overlap && take.to.offset != part.from.offset)
          return Error(Code::internal, fmt::format("{} {} cannot be published: it writes to what it sends",
                                                   name(schedule.collective), schedule.algorithm));
      }
  return {};
}

}  // namespace

std::size_t ExchangePlan::memory_bytes() const noexcept {
  return exchanges.capacity() * sizeof(Exchange) + parts.capacity() * sizeof(ExchangePart) +
         takes.capacity() * sizeof(ExchangeTake) + operands.capacity() * sizeof(ExchangeOperand) +
         order.capacity() * sizeof(Item);
}

Status make_exchanges(const Schedule& schedule, const ChunkMap& map, std::span<const std::uint32_t> first, Plan& plan) {
  if (auto s = Exchanges(schedule, map, first, plan).run(); !s) return s;
  if (auto s = check_in_place(schedule, plan.exchanges); !s) return s;
  for (Rank r = 0; r < schedule.ranks; ++r)
    if (r != schedule.rank) plan.links.push_back({.peer = r});
  return {};
}

}  // namespace tutti
