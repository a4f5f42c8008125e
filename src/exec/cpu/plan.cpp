#include "exec/cpu/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>

#include "exec/cpu/make_exchanges.h"
#include "schedule/access.h"

namespace tutti {
namespace {

class Lowering {
 public:
  Lowering(const Schedule& schedule, const ChunkMap& map, Plan& plan, const PlanOptions& options)
      : schedule_(schedule),
        map_(map),
        plan_(plan),
        size_(element_bytes(plan.type, plan.op)),
        cache_bytes_(options.cache_bytes),
        publishes_(options.publishes),
        all_know_sizes_(plan.signature.count > 0 && schedule.collective != Collective::all_to_all &&
                        schedule.collective != Collective::send_recv) {}

  Status run() {
    first_.reserve(schedule_.steps.size() + 1);
    for (const Step& step : schedule_.steps) {
      first_.push_back(next_step());
      if (auto s = lower_step(step); !s) return s;
    }
    first_.push_back(next_step());
    choose_past_caches();
    plan_.scratch_bytes = map_.scratch_elements() * size_;
    if (publishes_) return make_exchanges(schedule_, map_, first_, plan_);
    connect_steps();
    mark_just_written();
    return {};
  }

 private:
  [[nodiscard]] std::uint32_t next_step() const { return static_cast<std::uint32_t>(plan_.steps.size()); }
  PlanRange range(const Slice& slice, const Extent& extent) {
    std::uint64_t& end = end_[static_cast<std::size_t>(slice.buffer)];
    end = std::max(end, (extent.offset + extent.count) * size_);
    return {slice.buffer, extent.offset * size_};
  }

  // A slice becomes one plan step per contiguous extent.
  Status lower_step(const Step& step) {
    const bool sends = step.kind == StepKind::send;
    const auto main = map_.extents(sends ? step.from : step.to);
    const bool has_from = step.kind == StepKind::copy || step.kind == StepKind::reduce || step.kind == StepKind::recv_reduce;
    const auto other = has_from ? map_.extents(step.from) : std::vector<Extent>{};
    std::vector<std::vector<Extent>> operands;
    for (auto o = step.operand_begin; o < step.operand_end; ++o) operands.push_back(map_.extents(schedule_.operands[o]));

    for (std::size_t e = 0; e < main.size(); ++e) {
      PlanStep p{.kind = step.kind, .from_is_left = step.from_is_left};
      p.count = main[e].count;
      (sends ? p.from : p.to) = range(sends ? step.from : step.to, main[e]);
      if (has_from) p.from = range(step.from, other[e]);
      p.operands_begin = static_cast<std::uint32_t>(plan_.operands.size());
      for (std::size_t o = 0; o < operands.size(); ++o)
        plan_.operands.push_back(range(schedule_.operands[step.operand_begin + o], operands[o][e]));
      p.operands_end = static_cast<std::uint32_t>(plan_.operands.size());
      // Nothing is sent for an empty chunk where all ranks know that it is empty. Calls that are empty altogether do send, so
      // that ranks that disagree about that find out.
      const bool skip = p.count == 0 && all_know_sizes_ && !publishes_;
      if (skip) p.kind = StepKind::copy;
      if (communicates(step) && !skip && !publishes_) join_stream(step, p);
      plan_.steps.push_back(p);
    }
    return {};
  }

  void join_stream(const Step& step, PlanStep& p) {
    const auto [known, fresh] =
        stream_index_.try_emplace({step.peer, step.channel}, static_cast<std::uint32_t>(plan_.links.size()));
    if (fresh) {
      const auto own = schedule_.collective == Collective::send_recv ? kPointToPointChannel : std::uint16_t{0};
      plan_.links.push_back({step.peer, static_cast<std::uint16_t>(step.channel | own)});
      last_post_.push_back({kNoStep, kNoStep});
    }
    p.stream = known->second;
    if (step.kind == StepKind::recv_reduce) p.arrival = plan_.arrivals++;
    std::uint32_t& last = last_post_[p.stream][step.kind == StepKind::send ? 0 : 1];
    if (last != kNoStep) {
      plan_.steps[last].next_in_stream = next_step();
      ++p.remaining;
    }
    last = next_step();
  }

  void connect_steps() {
    std::vector<std::vector<std::uint32_t>> after(plan_.steps.size());
    for (std::uint32_t i = 0; i + 1 < first_.size(); ++i)
      for (const auto d : schedule_.dependencies(i))
        for (auto from = first_[d]; from < first_[d + 1]; ++from)
          for (auto to = first_[i]; to < first_[i + 1]; ++to) {
            after[from].push_back(to);
            ++plan_.steps[to].remaining;
          }
    for (std::uint32_t i = 0; i < after.size(); ++i) {
      plan_.steps[i].successors_begin = static_cast<std::uint32_t>(plan_.successors.size());
      plan_.successors.insert(plan_.successors.end(), after[i].begin(), after[i].end());
      plan_.steps[i].successors_end = static_cast<std::uint32_t>(plan_.successors.size());
      plan_.steps[i].awaited = plan_.steps[i].kind == StepKind::send && !after[i].empty();
      if (plan_.steps[i].remaining == 0) plan_.ready.push_back(i);
    }
    // A peer that knows early where its message belongs can put it there.
    std::ranges::stable_partition(plan_.ready, [this](std::uint32_t i) { return plan_.steps[i].kind == StepKind::recv; });
  }

  void mark_just_written() {
    const auto computes = [](const Step& step) {
      return step.kind == StepKind::reduce || step.kind == StepKind::recv_reduce || step.kind == StepKind::fold;
    };
    for (std::uint32_t i = 0; i < schedule_.steps.size(); ++i) {
      const Step& step = schedule_.steps[i];
      if (step.kind != StepKind::send) continue;
      const bool written = std::ranges::any_of(schedule_.dependencies(i), [&](std::uint32_t d) {
        return computes(schedule_.steps[d]) && schedule_.steps[d].to.overlaps(step.from);
      });
      for (auto p = first_[i]; p < first_[i + 1]; ++p) plan_.steps[p].just_written = written;
    }
  }

  // Where the caches cannot hold the whole call, results that this rank does not read again need not pass through them. What a
  // step reads of another's result it depends on.
  void choose_past_caches() {
    if (cache_bytes_ == 0 || std::accumulate(end_.begin(), end_.end(), std::uint64_t{0}) <= cache_bytes_) return;
    std::vector<bool> read_again(schedule_.steps.size());
    for (std::uint32_t i = 0; i < schedule_.steps.size(); ++i)
      for (const auto d : schedule_.dependencies(i))
        for_each_read(schedule_, schedule_.steps[i], [&](const Slice& from) {
          if (from.overlaps(schedule_.steps[d].to)) read_again[d] = true;
        });
    for (std::uint32_t i = 0; i < schedule_.steps.size(); ++i)
      for (auto p = first_[i]; p < first_[i + 1]; ++p)
        plan_.steps[p].past_caches = !read_again[i] && schedule_.steps[i].to.buffer == Buffer::output;
  }

  const Schedule& schedule_;
  const ChunkMap& map_;
  Plan& plan_;
  std::size_t size_;
  std::uint64_t cache_bytes_;
  bool publishes_;
  std::array<std::uint64_t, 3> end_{};  // of what is touched of each buffer, in bytes
  bool all_know_sizes_;
  std::vector<std::uint32_t> first_;  // first plan step of each schedule step
  std::map<std::pair<Rank, std::uint16_t>, std::uint32_t> stream_index_;
  std::vector<std::array<std::uint32_t, 2>> last_post_;  // per stream: last send, last receive
};

// Where this rank's result of a reduction lies when the schedule is done.
Slice result_slice(const Schedule& schedule) {
  const std::uint32_t chunks = schedule.chunks_per_block;
  const bool has_output = schedule.collective != Collective::reduce || schedule.rank == schedule.root;
  const bool untouched = schedule.collective == Collective::exscan && schedule.rank == 0;
  if (!has_output || untouched) return {Buffer::output, 0, 0};
  if (schedule.in_place && schedule.collective == Collective::reduce_scatter)
    return {Buffer::input, static_cast<std::uint32_t>(schedule.rank) * chunks, chunks};
  return {Buffer::output, 0, chunks};
}

// Whether every combining step of every rank takes in the contributions of all ranks: the schedules of other ranks cannot be seen
// from here, so either the algorithm says so, or two contributions are all there are. Prefixes have fewer.
bool all_meet_at_once(const Schedule& schedule, bool algorithm_says_so) {
  const bool prefixes = schedule.collective == Collective::scan || schedule.collective == Collective::exscan;
  return !prefixes && (algorithm_says_so || schedule.ranks == 2);
}

// avg: where all contributions meet in one step, that step divides before it rounds. Elsewhere the schedule sums up, and each
// rank divides what it ends up with: who passes a sum on does not know whether it is complete. A 16-bit sum may overflow on the
// way. Scaling every input beforehand would prevent that, but would lose small numbers, and silently, where an overflow shows.
Status place_division(const Schedule& schedule, const ChunkMap& map, const PlanOptions& options, Plan& plan) {
  if (!all_meet_at_once(schedule, options.meets_at_once)) {
    const Slice result = result_slice(schedule);
    plan.average_in = result.buffer;
    if (result.count > 0) plan.average = map.extents(result);
    return {};
  }
  for (const Step& step : schedule.steps) {
    const bool combines = step.kind == StepKind::fold || step.kind == StepKind::reduce || step.kind == StepKind::recv_reduce;
    const auto operands = step.kind == StepKind::fold ? step.operand_end - step.operand_begin : 2;
    if (combines && operands != static_cast<std::uint32_t>(schedule.ranks))
      return Error(Code::internal, fmt::format("{} combines {} of {} contributions in one step, not all", schedule.algorithm,
                                               operands, schedule.ranks));
  }
  plan.reduction = kernels::Reduction(plan.op, plan.type, schedule.ranks, options.accumulation);
  return {};
}

}  // namespace

std::uint64_t Plan::largest_message() const noexcept {
  std::uint64_t most = 0;
  for (const PlanStep& s : steps)
    if (s.kind == StepKind::send || s.kind == StepKind::recv || s.kind == StepKind::recv_reduce) most = std::max(most, s.count);
  return publishes ? 0 : most * element_bytes(type, op);
}

std::size_t Plan::memory_bytes() const noexcept {
  return sizeof(*this) + steps.capacity() * sizeof(PlanStep) +
         (successors.capacity() + ready.capacity()) * sizeof(std::uint32_t) + operands.capacity() * sizeof(PlanRange) +
         links.capacity() * sizeof(PlanLink) + streams.capacity() * sizeof(Stream*) + exchanges.memory_bytes();
}

Result<Plan> lower(const Schedule& schedule, const ChunkMap& map, const Signature& signature, DataType type, const ReduceOp& op,
                   const PlanOptions& options) {
  Plan plan;
  plan.signature = signature;
  plan.type = type;
  plan.op = op;
  plan.rank = schedule.rank;
  plan.ranks = schedule.ranks;
  plan.in_place = schedule.in_place;
  plan.publishes = options.publishes;
  if (reduces(schedule.collective)) plan.reduction = kernels::Reduction(op, type, 0, options.accumulation);
  if (auto s = Lowering(schedule, map, plan, options).run(); !s) return std::move(s.error());
  if (op.kind == ReduceKind::avg && reduces(schedule.collective))
    if (auto s = place_division(schedule, map, options, plan); !s) return std::move(s.error());
  if (op.kind == ReduceKind::premul_sum && reduces(schedule.collective)) {
    // In place the input is part of the output, except where the output is part of the input.
    const bool in_output = schedule.in_place && schedule.collective != Collective::reduce_scatter;
    plan.premultiply_in = in_output ? Buffer::output : Buffer::input;
    plan.premultiply =
        map.extents({plan.premultiply_in, 0, input_chunks(schedule.collective, schedule.ranks, schedule.chunks_per_block)});
    for (const Extent& e : plan.premultiply) plan.premultiplied = std::max(plan.premultiplied, e.offset + e.count);
  }
  return plan;
}

Status connect(Plan& plan, StreamSource& streams) {
  for (const PlanLink& link : plan.links) {
    auto stream = streams.stream(link.peer, link.channel);
    if (!stream) return std::move(stream.error());
    plan.streams.push_back(*stream);
    if (!plan.publishes) continue;
    plan.exchanges.board = (*stream)->endpoint().board();
    if (plan.exchanges.board == nullptr)
      return Error(Code::internal, fmt::format("there is no board between ranks {} and {}", plan.rank, link.peer));
  }
  return {};
}

Result<Plan> lower(const Schedule& schedule, const ChunkMap& map, const Signature& signature, DataType type, const ReduceOp& op,
                   StreamSource& streams, const PlanOptions& options) {
  auto plan = lower(schedule, map, signature, type, op, options);
  if (plan)
    if (auto s = connect(*plan, streams); !s) return std::move(s.error());
  return plan;
}

}  // namespace tutti
