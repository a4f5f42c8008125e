#include "simulate/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "schedule/access.h"
#include "schedule/chunk_map.h"
#include "schedule/passes.h"

namespace tutti::simulate {
namespace {

Schedule schedule_of(Rank rank, const Candidate& candidate, const SelectRequest& request, const JobMachine& machine) {
  return fuse(candidate.algorithm->build(rank, shape_on(machine, request.root), candidate.chunking));
}

std::uint64_t bytes_of(const Slice& slice, const ChunkMap& map) {
  const Extent first = map.chunk(slice.buffer, slice.chunk), last = map.chunk(slice.buffer, slice.chunk + slice.count - 1);
  return last.offset + last.count - first.offset;
}

}  // namespace

// By the schedules of the root and of some other ranks, wherever they sit in their groups.
Program::Size Program::forecast(const Candidate& candidate, const SelectRequest& request, const JobMachine& machine,
                                const Switches& switches) {
  struct Counts {
    double steps = 0, ends = 0, dependencies = 0;
    void add(const Schedule& s, double times) {
      steps += times * static_cast<double>(s.steps.size());
      ends += times * static_cast<double>(std::ranges::count_if(s.steps, communicates));
      dependencies += times * static_cast<double>(s.dependency_list.size());
    }
  } all;
  all.add(schedule_of(request.root, candidate, request, machine), 1);
  constexpr std::int64_t kMost = 64;
  const std::int64_t others = machine.ranks - 1, samples = std::min(others, kMost);
  for (std::int64_t i = 0; i < samples; ++i) {
    const std::int64_t from_root = 1 + i * others / samples + i % (others / samples);
    const auto r = static_cast<Rank>((request.root + from_root) % machine.ranks);
    all.add(schedule_of(r, candidate, request, machine), static_cast<double>(others) / static_cast<double>(samples));
  }
  for (Rank s = 0; s < switches.count; ++s) all.add(schedule_of(machine.ranks + s, candidate, request, machine), 1);
  constexpr double kMargin = 1.1;
  return {static_cast<std::uint64_t>(all.steps * kMargin), static_cast<std::uint64_t>(all.ends * kMargin / 2),
          static_cast<std::uint64_t>(all.dependencies * kMargin)};
}

std::uint64_t Program::Size::memory_bytes() const noexcept {
  return steps * sizeof(ProgramStep) + 2 * messages * sizeof(End) + dependencies * sizeof(StepId);
}

Result<Program> Program::of(const Candidate& candidate, const SelectRequest& request, const JobMachine& machine, const Size& size,
                            const Switches& switches) {
  Program program;
  program.switches_ = switches;
  if (size.steps >= kNoStep) return Error(Code::resource, fmt::format("{} steps are more than can be told apart", size.steps));
  program.first_.reserve(static_cast<std::size_t>(machine.ranks + switches.count) + 1);
  program.steps_.reserve(size.steps);
  program.successors_.reserve(size.dependencies);
  program.sends_.reserve(size.messages);
  program.receives_.reserve(size.messages);
  for (Rank r = 0; r < machine.ranks + switches.count; ++r) {
    const Schedule schedule = schedule_of(r, candidate, request, machine);
    if (program.steps_.size() + schedule.steps.size() >= kNoStep ||
        program.successors_.size() + schedule.dependency_list.size() >= kNoStep)
      return Error(Code::resource, fmt::format("ranks 0 to {} have more than {} steps", r, program.steps_.size()));
    program.add(schedule, request);
  }
  program.steps_.push_back({.successors = static_cast<std::uint32_t>(program.successors_.size())});
  if (auto s = program.match(); !s) return std::move(s.error());
  return program;
}

Rank Program::rank_of(StepId step) const noexcept {
  return static_cast<Rank>(std::ranges::upper_bound(first_, step) - first_.begin() - 1);
}

void Program::add(const Schedule& schedule, const SelectRequest& request) {
  const auto base = static_cast<StepId>(steps_.size());
  const auto count = static_cast<std::uint32_t>(schedule.steps.size());
  const Blocks blocks{.uniform = request.block_bytes};
  const ChunkMap map(schedule.collective, schedule.rank, schedule.ranks, schedule.chunks_per_block, blocks, blocks, 1,
                     schedule.scratch);
  std::vector<std::uint32_t> begin(count + 1);  // of each step's successors, which stand one after the other
  for (const std::uint32_t d : schedule.dependency_list) ++begin[d + 1];
  const auto offset = static_cast<std::uint32_t>(successors_.size());
  for (std::uint32_t i = 0; i < count; ++i) begin[i + 1] += begin[i];
  successors_.resize(successors_.size() + schedule.dependency_list.size());

  struct Stream {
    std::uint32_t messages = 0;
    StepId last = kNoStep;
  };
  std::map<std::tuple<Rank, std::uint16_t, bool>, Stream> streams;  // by peer, channel, direction
  std::vector<std::uint32_t> filled(begin.begin(), begin.end() - 1);
  for (std::uint32_t i = 0; i < count; ++i) {
    const Step& s = schedule.steps[i];
    const auto before = schedule.dependencies(i);
    for (const std::uint32_t d : before) successors_[offset + filled[d]++] = base + i;
    ProgramStep step{.kind = s.kind,
                     .channel = s.channel,
                     .waits_for = static_cast<std::uint32_t>(before.size()),
                     .successors = offset + begin[i],
                     .operands = s.operand_end - s.operand_begin,
                     .bytes = bytes_of(s.kind == StepKind::send ? s.from : s.to, map)};
    if (communicates(s)) {
      const bool sends = s.kind == StepKind::send;
      Stream& stream = streams[{s.peer, s.channel, sends}];
      if (stream.last != kNoStep) {
        steps_[stream.last].next_in_stream = base + i;
        ++step.waits_for;
      }
      stream.last = base + i;
      const Rank me = schedule.rank;
      (sends ? sends_ : receives_).push_back({sends ? me : s.peer, sends ? s.peer : me, s.channel, stream.messages++, base + i});
    }
    steps_.push_back(step);
  }
  first_.push_back(base + count);
}

Status Program::match() {
  std::ranges::sort(sends_);
  std::ranges::sort(receives_);
  const auto refuse = [](const End& end) {
    return Error(Code::mismatch, fmt::format("message {} from rank {} to rank {} on channel {} is not sent and received alike",
                                             end.number, end.source, end.destination, end.channel));
  };
  const std::size_t pairs = std::min(sends_.size(), receives_.size());
  for (std::size_t i = 0; i < pairs; ++i) {
    const End &from = sends_[i], &to = receives_[i];
    const bool same = std::tie(from.source, from.destination, from.channel, from.number) ==
                      std::tie(to.source, to.destination, to.channel, to.number);
    if (!same || steps_[from.step].bytes != steps_[to.step].bytes) return refuse(std::min(from, to));
    steps_[from.step].partner = to.step;
    steps_[to.step].partner = from.step;
  }
  if (sends_.size() > pairs) return refuse(sends_[pairs]);
  if (receives_.size() > pairs) return refuse(receives_[pairs]);
  sends_ = {};
  receives_ = {};
  return {};
}

}  // namespace tutti::simulate
