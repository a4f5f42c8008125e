#include "verify/verify.h"

#include <fmt/format.h>

#include <algorithm>

#include "verify/layout.h"
#include "verify/matching.h"
#include "verify/progress.h"
#include "verify/races.h"
#include "verify/well_formed.h"

namespace tutti {
namespace {

using namespace verifier;

// What the memory and time of a proof are proportional to; beyond these a machine would be stuck rather than busy.
constexpr std::size_t kMaxRanks = std::size_t{1} << 24;
constexpr std::uint64_t kMaxSteps = std::uint64_t{1} << 31;
constexpr std::uint64_t kMaxCells = std::uint64_t{1} << 27;
constexpr std::uint64_t kMaxTouched = std::uint64_t{1} << 33;

Error too_big(std::string_view what, std::uint64_t most) {
  return {Code::unsupported, fmt::format("too big to verify: more than {} {}", most, what)};
}

}  // namespace

Result<Proof> verify(std::span<const Schedule> ranks, const VerifyOptions& options) {
  if (ranks.size() >= kMaxRanks) return too_big("ranks", kMaxRanks);
  if (auto set = check_set(ranks); !set) return std::move(set.error());

  std::vector<Layout> layouts;
  layouts.reserve(ranks.size());
  std::uint64_t steps = 0, cells = 0, touched = 0;
  for (const Schedule& s : ranks) {
    auto layout = Layout::of(s);
    if (!layout) return std::move(layout.error());
    steps += s.steps.size();
    cells += layout->cells();
    if (auto status = check_steps(s, *layout, touched); !status) return std::move(status.error());
    if (steps > kMaxSteps) return too_big("steps", kMaxSteps);
    if (cells > kMaxCells) return too_big("chunks of memory", kMaxCells);
    if (touched > kMaxTouched) return too_big("chunks touched", kMaxTouched);
    layouts.push_back(*std::move(layout));
  }

  const Numbering numbering(ranks);
  const Sizes sizes(ranks, options.equal_blocks);
  auto matching = match(ranks, layouts, numbering, sizes);
  if (!matching) return std::move(matching.error());
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    if (auto status = check_local_sizes(ranks[r], layouts[r], sizes); !status) return std::move(status.error());
    if (auto status = check_races(ranks[r], layouts[r]); !status) return std::move(status.error());
  }
  return run(ranks, layouts, numbering, *matching, options);
}

std::uint64_t most_leaving(std::span<const Schedule> ranks, const Grouping& groups) {
  std::vector<std::uint64_t> leaving(static_cast<std::size_t>(groups.groups()));
  for (const Schedule& s : ranks)
    for (const Step& step : s.steps)
      if (sends(step) && groups.group_of(step.peer) != groups.group_of(s.rank))
        leaving[static_cast<std::size_t>(groups.group_of(s.rank))] += step.from.count;
  return leaving.empty() ? 0 : *std::max_element(leaving.begin(), leaving.end());
}

}  // namespace tutti
