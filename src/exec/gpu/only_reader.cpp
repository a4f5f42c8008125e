#include "gpu/only_reader.h"

namespace tutti::gpu {

std::optional<std::size_t> only_reader(const Plan& plan, std::uint64_t element_bytes, std::size_t receive) {
  const PlanStep& r = plan.steps[receive];
  if (r.to.buffer != Buffer::scratch || r.count == 0) return {};
  int reads = 0;
  std::size_t reader = 0;
  bool other = false;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const PlanStep& s = plan.steps[i];
    const auto touches = [&](const PlanRange& range) {
      return range.buffer == Buffer::scratch && range.offset < r.to.offset + r.count * element_bytes &&
             r.to.offset < range.offset + s.count * element_bytes;
    };
    const auto read = [&](const PlanRange& range) {
      if (!touches(range)) return;
      ++reads;
      reader = i;
      other |= range.offset != r.to.offset || s.count != r.count || i < receive;
    };
    if (i == receive || s.count == 0) continue;
    if (s.kind != StepKind::send) other |= touches(s.to);
    if (s.kind != StepKind::recv && s.kind != StepKind::fold) read(s.from);
    for (auto o = s.operands_begin; o < s.operands_end; ++o) read(plan.operands[o]);
  }
  if (reads != 1 || other) return {};
  return reader;
}

}  // namespace tutti::gpu
