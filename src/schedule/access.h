// Which slices a step reads and which it writes: said once, for the builder and the passes.
// (The verifier has its own idea of this, on purpose.)
#pragma once

#include "tutti/schedule.h"

namespace tutti {

template <class Visit>
void for_each_read(const Schedule& schedule, const Step& step, Visit&& visit) {
  switch (step.kind) {
    case StepKind::send:
    case StepKind::copy:
    case StepKind::recv_reduce:
      visit(step.from);
      break;
    case StepKind::reduce:
      visit(step.from);
      visit(step.to);
      break;
    case StepKind::fold:
      for (std::uint32_t o = step.operand_begin; o < step.operand_end; ++o) visit(schedule.operands[o]);
      break;
    case StepKind::recv:
      break;
  }
}

template <class Visit>
void for_each_write(const Step& step, Visit&& visit) {
  if (step.kind != StepKind::send) visit(step.to);
}

[[nodiscard]] inline bool communicates(const Step& step) noexcept {
  return step.kind == StepKind::send || step.kind == StepKind::recv || step.kind == StepKind::recv_reduce;
}

}  // namespace tutti
