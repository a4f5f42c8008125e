#include "verify/well_formed.h"

#include <fmt/format.h>

#include "schedule/text.h"

namespace tutti::verifier {
namespace {

Error refuse_step(const Schedule& s, std::size_t step, std::string_view why) {
  return {Code::invalid_argument, fmt::format("{} {}", describe(s, step), why), s.rank};
}

Status check_peer(const Schedule& s, std::size_t i) {
  const Step& step = s.steps[i];
  if (!sends(step) && !receives(step)) return {};
  if (step.peer < 0 || step.peer >= s.ranks)
    return refuse_step(s, i, fmt::format("names rank {}; ranks are 0 to {}", step.peer, s.ranks - 1));
  if (step.peer == s.rank) return refuse_step(s, i, "talks to itself; use a copy");
  return {};
}

Status check_bounds(const Schedule& s, const Layout& layout, std::size_t i, const Slice& slice) {
  if (static_cast<std::size_t>(slice.buffer) > static_cast<std::size_t>(Buffer::scratch))
    return refuse_step(s, i, "names a buffer that does not exist");
  if (layout.holds(slice)) return {};
  if (slice.count == 0) return refuse_step(s, i, fmt::format("touches no chunk of {}", name(slice.buffer)));
  const std::uint32_t chunks = layout.chunks(slice.buffer);
  if (chunks == 0)
    return refuse_step(s, i, fmt::format("touches {}, but this rank has no {}", slice_text(slice), name(slice.buffer)));
  return refuse_step(s, i, fmt::format("touches {}, but {} has {} chunks", slice_text(slice), name(slice.buffer), chunks));
}

Status check_operands(const Schedule& s, std::size_t i) {
  const Step& step = s.steps[i];
  if (step.kind != StepKind::fold) return {};
  if (step.operand_begin > step.operand_end || step.operand_end > s.operands.size())
    return refuse_step(s, i, "has operands outside of the schedule's list");
  if (step.operand_end - step.operand_begin < 2) return refuse_step(s, i, "needs two operands at least");
  return {};
}

// Chunks combined or copied inside a rank: as many on both sides, and in each step a written slice either is the read one
// (where the arithmetic allows it) or has nothing in common with it.
Status check_pair(const Schedule& s, const Layout& layout, std::size_t i, const Slice& from, const Slice& to) {
  if (from.count != to.count)
    return refuse_step(s, i,
                       fmt::format("brings {} chunks of {} to {} of {}", from.count, slice_text(from), to.count, slice_text(to)));
  const Range a = layout.cells(from), b = layout.cells(to);
  const StepKind kind = s.steps[i].kind;
  const bool may_be_same = kind == StepKind::recv_reduce || kind == StepKind::fold;
  if (a.overlaps(b) && !(may_be_same && a == b))
    return refuse_step(s, i, fmt::format("has {} and {} in the same memory", slice_text(from), slice_text(to)));
  return {};
}

Status check_slices(const Schedule& s, const Layout& layout, std::size_t i, std::uint64_t& touched) {
  const Step& step = s.steps[i];
  Status status;
  for_each_touch(s, step, [&](const Slice& slice, bool, bool writes) {
    if (!status) return;
    status = check_bounds(s, layout, i, slice);
    if (status && writes && !layout.writable(layout.cells(slice)))
      status = refuse_step(s, i, fmt::format("writes {}, which is the user's and const", slice_text(slice)));
    touched += slice.count;
  });
  if (!status) return status;
  if (step.kind == StepKind::fold) {
    for (auto o = step.operand_begin; o < step.operand_end && status; ++o)
      status = check_pair(s, layout, i, s.operands[o], step.to);
  } else if (step.kind != StepKind::send && step.kind != StepKind::recv) {
    status = check_pair(s, layout, i, step.from, step.to);
  }
  return status;
}

Status check_dependencies(const Schedule& s) {
  const auto& begin = s.dependency_begin;
  if (begin.size() != s.steps.size() + 1 || begin.front() != 0 || begin.back() != s.dependency_list.size())
    return refuse(s, "has a dependency table that does not fit its steps");
  for (std::size_t i = 0; i < s.steps.size(); ++i) {
    if (begin[i] > begin[i + 1]) return refuse(s, "has a dependency table that does not fit its steps");
    for (std::uint32_t d = begin[i]; d < begin[i + 1]; ++d)
      if (s.dependency_list[d] >= i)
        return refuse_step(s, i, fmt::format("depends on step {}, which does not come before it", s.dependency_list[d]));
  }
  return {};
}

}  // namespace

Status check_set(std::span<const Schedule> ranks) {
  if (ranks.empty()) return Error(Code::invalid_argument, "no schedules to verify");
  const Schedule& first = ranks.front();
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    const Schedule& s = ranks[r];
    const auto differs = [&](std::string_view what) {
      return Error(Code::invalid_argument, fmt::format("rank 0 and rank {} do not have the same {}", r, what), s.rank);
    };
    if (s.rank != static_cast<Rank>(r))
      return Error(Code::invalid_argument,
                   fmt::format("the schedule at place {} is rank {}'s; one of every rank is needed", r, s.rank), s.rank);
    if (s.ranks != static_cast<Rank>(ranks.size()))
      return Error(Code::invalid_argument,
                   fmt::format("rank {}'s schedule is for {} ranks, but {} schedules were given", r, s.ranks, ranks.size()),
                   s.rank);
    if (s.collective != first.collective) return differs("collective");
    if (s.root != first.root) return differs("root");
    if (s.chunks_per_block != first.chunks_per_block) return differs("number of chunks per block");
  }
  if (first.root < 0 || first.root >= first.ranks)
    return Error(Code::invalid_argument, fmt::format("the root is {}; ranks are 0 to {}", first.root, first.ranks - 1));
  return {};
}

Status check_steps(const Schedule& schedule, const Layout& layout, std::uint64_t& touched) {
  for (std::size_t i = 0; i < schedule.steps.size(); ++i) {
    if (static_cast<std::size_t>(schedule.steps[i].kind) > static_cast<std::size_t>(StepKind::fold))
      return refuse(schedule, fmt::format("step {} is of no known kind", i));
    if (auto operands = check_operands(schedule, i); !operands) return operands;
    if (auto peer = check_peer(schedule, i); !peer) return peer;
    if (auto slices = check_slices(schedule, layout, i, touched); !slices) return slices;
  }
  return check_dependencies(schedule);
}

}  // namespace tutti::verifier
