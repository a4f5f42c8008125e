#include "gpu/piece_layout.h"

namespace tutti::gpu {

PieceLayout::PieceLayout(const Plan& plan, const CollectiveCall& call, const Cut& cut, std::uint64_t elements) : plan_(plan) {
  const std::uint64_t size = call.element_bytes();
  if (cut.pieces > 1 && input_chunks(call.collective, 2, 1) == 2) {
    input_block_bytes_ = cut.count * size;
    piece_bytes_ = elements * size;
  }
  for (const Extent& e : plan.premultiply) {
    const PlanRange from{plan.premultiply_in, e.offset * size};
    if (e.count > 0) products_.push_back({plan.in_place ? from : product(from.offset), from, e.count});
  }
  moved_ = !plan.premultiply.empty() && !plan.in_place;
}

PlanRange PieceLayout::product(std::uint64_t offset) const {
  if (input_block_bytes_ > 0) offset = offset / input_block_bytes_ * piece_bytes_ + offset % input_block_bytes_;
  return {Buffer::scratch, plan_.scratch_bytes + offset};
}

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
