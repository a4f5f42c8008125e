#include "runtime/alone.h"

#include "kernels/kernels.h"

namespace tutti {
namespace {

std::uint64_t offset_of(const Blocks& blocks) { return blocks.displacements.empty() ? 0 : blocks.displacements.front(); }

}  // namespace

void run_alone(const Request& r) {
  // Rank 0 of an exscan has nothing before it; a barrier has nothing at all.
  if (r.footprint.input_bytes == 0 || r.footprint.output_bytes == 0) return;
  const Blocks& blocks = r.input_blocks.counts.empty() ? r.output_blocks : r.input_blocks;
  const std::uint64_t count = blocks.counts.empty() ? r.count : blocks.counts.front();
  const ReduceOp op = reduces(r.collective) ? r.op : ReduceOp{};
  const std::size_t size = element_bytes(r.type, op);
  const std::byte* from = r.input + offset_of(r.input_blocks) * size;
  std::byte* to = r.output + offset_of(r.output_blocks) * size;
  kernels::prepare(op, r.type, from, to, count);
}

}  // namespace tutti
