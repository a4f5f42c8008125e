#include "gpu/pieces.h"

#include <algorithm>
#include <numeric>

namespace tutti::gpu {
namespace {

constexpr std::uint64_t kUnitBytes = 64;  // pieces start on cache lines

std::uint32_t blocks_of(Collective collective, Rank ranks) {
  return std::max(input_chunks(collective, ranks, 1), output_chunks(collective, ranks, 1));
}

// What lies in a rank's inboxes in the first piece, both halves.
Result<std::uint64_t> inboxes(const CollectiveCall& call, Rank rank, const Cut& cut) {
  auto plan = plan_of_piece(call, call.build(rank), cut, cut.per_piece);
  if (!plan) return std::move(plan.error());
  std::vector<std::uint64_t> bytes(plan->links.size());
  for (const PlanStep& s : plan->steps)
    if ((s.kind == StepKind::recv || s.kind == StepKind::recv_reduce)) bytes[s.stream] += room_of(s.count * call.element_bytes());
  return std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0},
                         [](std::uint64_t sum, std::uint64_t b) { return b == 0 ? sum : sum + 2 * inbox_bytes(b); });
}

Result<bool> fits(const CollectiveCall& call, const Cut& cut) {
  for (Rank r = 0; r < call.ranks; ++r) {
    auto bytes = inboxes(call, r, cut);
    if (!bytes) return std::move(bytes.error());
    if (*bytes > kMostInboxBytes) return false;
  }
  return true;
}

}  // namespace

Cut cut(Collective collective, std::uint64_t count, Rank ranks, std::size_t element_bytes, std::uint64_t piece_bytes) {
  if (count == 0) return {.pieces = collective == Collective::barrier ? 1U : 0U};
  const std::uint64_t unit = std::max<std::uint64_t>(1, kUnitBytes / element_bytes);
  const std::uint64_t most = piece_bytes / blocks_of(collective, ranks) / element_bytes;
  const std::uint64_t per_piece = std::min(count, std::max(unit, most / unit * unit));
  return {.count = count, .per_piece = per_piece, .pieces = (count + per_piece - 1) / per_piece};
}

Result<Plan> plan_of_piece(const CollectiveCall& call, const Schedule& schedule, const Cut& cut, std::uint64_t elements) {
  std::vector<std::uint64_t> counts, displacements;
  if (cut.pieces > 1) {
    counts.assign(static_cast<std::size_t>(call.ranks), elements);
    for (Rank r = 0; r < call.ranks; ++r) displacements.push_back(static_cast<std::uint64_t>(r) * cut.count);
  }
  const auto blocks = [&](std::uint32_t chunks) {
    const bool many = cut.pieces > 1 && chunks > 1;
    return Blocks{.uniform = elements,
                  .counts = many ? std::span<const std::uint64_t>(counts) : std::span<const std::uint64_t>(),
                  .displacements = many ? std::span<const std::uint64_t>(displacements) : std::span<const std::uint64_t>()};
  };
  const ChunkMap map(call.collective, schedule.rank, call.ranks, schedule.chunks_per_block,
                     blocks(input_chunks(call.collective, call.ranks, 1)), blocks(output_chunks(call.collective, call.ranks, 1)),
                     call.element_bytes(), schedule.scratch);
  return lower(schedule, map, {.count = elements, .collective = static_cast<std::uint8_t>(call.collective)}, call.type, call.op,
               {.meets_at_once = call.meets_at_once});
}

Result<Cut> cut(const CollectiveCall& call) {
  for (std::uint64_t bytes = call.most_bytes;; bytes /= 2) {
    const Cut found = cut(call.collective, call.count, call.ranks, call.element_bytes(), bytes);
    const std::uint64_t piece = found.per_piece * call.element_bytes() * blocks_of(call.collective, call.ranks);
    if (piece <= kSmallestInbox || bytes == 0) return found;
    auto good = fits(call, found);
    if (!good) return std::move(good.error());
    if (*good) return found;
  }
}

}  // namespace tutti::gpu
