// The memory of one rank as the verifier sees it: one cell per chunk, shared cells where input and output are in place.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tutti/result.h"
#include "tutti/schedule.h"

namespace tutti::verifier {

struct Range {
  std::uint32_t begin = 0, end = 0;
  [[nodiscard]] bool overlaps(const Range& other) const noexcept { return begin < other.end && other.begin < end; }
  friend bool operator==(const Range&, const Range&) = default;
};

class Layout {
 public:
  // Refuses schedules whose buffers cannot be laid out; nothing about the steps is looked at.
  static Result<Layout> of(const Schedule& schedule);

  [[nodiscard]] std::uint32_t cells() const noexcept { return cells_; }
  [[nodiscard]] std::uint32_t chunks(Buffer buffer) const noexcept { return chunks_[static_cast<std::size_t>(buffer)]; }
  [[nodiscard]] bool holds(const Slice& slice) const noexcept {
    return slice.count > 0 && std::uint64_t{slice.chunk} + slice.count <= chunks(slice.buffer);
  }
  // The slice must be held.
  [[nodiscard]] Range cells(const Slice& slice) const noexcept {
    const std::uint32_t begin = base_[static_cast<std::size_t>(slice.buffer)] + slice.chunk;
    return {begin, begin + slice.count};
  }
  [[nodiscard]] bool writable(const Range& range) const noexcept;
  // The name of one cell as a user would write it.
  [[nodiscard]] Slice slice(std::uint32_t cell) const noexcept;

  // Which datum a chunk is for, equal on all ranks: its piece of its block (of its pair of ranks in all_to_all).
  [[nodiscard]] std::uint64_t datum(Buffer buffer, std::uint32_t chunk) const noexcept;

 private:
  explicit Layout(const Schedule& schedule) : schedule_(&schedule) {}

  const Schedule* schedule_;
  std::array<std::uint32_t, 3> base_{}, chunks_{};
  std::vector<std::uint32_t> scratch_like_;  // Schedule::scratch, chunk by chunk
  std::uint32_t cells_ = 0;
};

// Visits what a step touches: visit(slice, reads, writes).
template <class Visit>
void for_each_touch(const Schedule& schedule, const Step& step, Visit&& visit) {
  switch (step.kind) {
    case StepKind::send:
      visit(step.from, true, false);
      return;
    case StepKind::recv:
      visit(step.to, false, true);
      return;
    case StepKind::copy:
    case StepKind::recv_reduce:
      visit(step.from, true, false);
      visit(step.to, false, true);
      return;
    case StepKind::reduce:
      visit(step.from, true, false);
      visit(step.to, true, true);
      return;
    case StepKind::fold:
      for (std::uint32_t o = step.operand_begin; o < step.operand_end; ++o) visit(schedule.operands[o], true, false);
      visit(step.to, false, true);
      return;
  }
}

[[nodiscard]] inline bool sends(const Step& step) noexcept { return step.kind == StepKind::send; }
[[nodiscard]] inline bool receives(const Step& step) noexcept {
  return step.kind == StepKind::recv || step.kind == StepKind::recv_reduce;
}
// The slice whose chunks travel.
[[nodiscard]] inline const Slice& payload(const Step& step) noexcept { return sends(step) ? step.from : step.to; }

// "rank 2 step 5 (recv 1 -> output[3])"
[[nodiscard]] std::string describe(const Schedule& schedule, std::size_t step);
[[nodiscard]] Error refuse(const Schedule& schedule, std::string why);

}  // namespace tutti::verifier
