#include "select/select.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "select/cost.h"

namespace tutti {
namespace {

constexpr std::array<std::uint32_t, 6> kPieces{1, 2, 4, 8, 16, 32};
constexpr std::uint64_t kSmallestPiece = 16u << 10;  // bytes; below this a message costs its latency, not its size

// All ranks must know how large it is what the others publish, and pieces of what is combined must hold whole elements.
bool is_published(const Algorithm& a, const SelectRequest& request, const JobMachine& machine) {
  constexpr std::uint32_t kMostElementBytes = Consumer::kGrain;  // a board holds one for each rank
  const bool all_know =
      request.equal_blocks || request.collective == Collective::all_gather || request.collective == Collective::reduce_scatter;
  return a.publishes && machine.boards && all_know &&
         (!reduces(request.collective) || request.element_bytes <= kMostElementBytes);
}

// What is tried: this value, where one is forced, or all.
std::span<const std::uint32_t> values_of(const std::uint32_t& forced, std::span<const std::uint32_t> all) {
  return forced > 0 ? std::span(&forced, 1) : all;
}

Candidate cheapest_chunking(const Algorithm& a, const SelectRequest& request, const JobMachine& machine,
                            const ForcedAlgorithm& forced) {
  if (forced.pieces <= 1 && is_published(a, request, machine)) {
    Candidate c{.algorithm = &a, .published = true, .refused = ""};
    price(c, request, machine);
    return c;
  }
  Candidate best;
  for (const std::uint32_t pieces : values_of(forced.pieces, kPieces)) {
    if (forced.pieces == 0 && pieces > 1 && (!a.pipelines || request.block_bytes / pieces < kSmallestPiece)) break;
    for (const std::uint32_t radix : values_of(forced.radix, kRadices)) {
      if (forced.radix == 0 && radix > 2 && (!a.has_radix || radix > static_cast<std::uint32_t>(machine.ranks))) break;
      Candidate c{.algorithm = &a, .chunking = {.pieces = pieces, .radix = radix}, .refused = ""};
      price(c, request, machine);
      if (best.algorithm == nullptr || c.total_us < best.total_us) best = c;
    }
  }
  return best;
}

std::string forced_by(const SelectRequest& request) {
  return request.forced_by.empty() ? "" : fmt::format(" (it is forced by {})", request.forced_by);
}

Status check_forced(const Selection& selection, const SelectRequest& request, const AlgorithmTable& table) {
  if (selection.candidates.empty())
    return Error(Code::invalid_argument,
                 fmt::format("there is no algorithm \"{}\" for {}; there are {}{}", request.forced, name(request.collective),
                             table.names(request.collective), forced_by(request)));
  const Candidate& c = selection.winner();
  if (!c.refused.empty())
    return Error(Code::invalid_argument, fmt::format("{} cannot be done by {}: {}{}", name(request.collective), request.forced,
                                                     c.refused, forced_by(request)));
  return {};
}

Error nothing_left(const Selection& selection, const SelectRequest& request, const JobMachine& machine) {
  std::vector<std::pair<std::string_view, std::string>> names;  // by reason
  for (const Candidate& c : selection.candidates) {
    auto same = std::ranges::find(names, c.refused, [](const auto& entry) { return entry.first; });
    if (same == names.end())
      names.emplace_back(c.refused, c.algorithm->name);
    else
      same->second += fmt::format(", {}", c.algorithm->name);
  }
  std::string reasons;
  for (const auto& [reason, of] : names) reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", of, reason);
  return {request.filter.empty() && request.forced.empty() ? Code::unsupported : Code::invalid_argument,
          fmt::format("no algorithm can serve {} on {} ranks ({})", name(request.collective), machine.ranks, reasons)};
}

}  // namespace

std::string refusal(const Algorithm& a, const SelectRequest& request, const JobMachine& machine) {
  const Requirements& needs = a.needs;
  const auto p = static_cast<std::uint32_t>(machine.ranks);
  if (machine.ranks < needs.min_ranks) return fmt::format("needs at least {} ranks; there are {}", needs.min_ranks, p);
  if (needs.power_of_two && !std::has_single_bit(p)) return fmt::format("needs a power of two of ranks; there are {}", p);
  if (needs.even && p % 2 != 0) return fmt::format("needs an even number of ranks; there are {}", p);
  if (needs.commutative && !request.commutative) return "changes the order of ranks; the operator is not commutative";
  if (needs.equal_blocks && !request.equal_blocks) return "needs blocks of one size; this is a v-variant";
  if (needs.levels && machine.levels.empty()) return "needs a machine with levels; these ranks are all alike";
  if (a.refuses) return a.refuses(shape_of(request, machine));
  return "";
}

std::string name_with_radix(const Algorithm& algorithm, const Chunking& chunking) {
  return algorithm.has_radix ? fmt::format("{}, radix {}", algorithm.name, chunking.radix) : std::string(algorithm.name);
}

Result<Selection> select(const SelectRequest& request, const JobMachine& machine, const AlgorithmTable& table) {
  Selection selection;
  auto forced = ForcedAlgorithm::parse(request.forced);
  if (!forced) return std::move(forced.error());
  auto filter = AlgorithmFilter::parse(request.filter, table);
  if (!filter) return filter.because(std::string(request.filtered_by));
  for (const Algorithm* a : table.of(request.collective)) {
    if (!forced->name.empty() && a->name != forced->name) continue;
    std::string why_not = !filter->leaves(*a) ? fmt::format("filtered out by {}", request.filtered_by) : forced->misfit(*a);
    if (why_not.empty()) why_not = refusal(*a, request, machine);
    selection.candidates.push_back(why_not.empty() ? cheapest_chunking(*a, request, machine, *forced)
                                                   : Candidate{.algorithm = a, .chunking = {}, .refused = std::move(why_not)});
  }
  std::ranges::stable_sort(selection.candidates, [](const Candidate& a, const Candidate& b) {
    if (a.refused.empty() != b.refused.empty()) return a.refused.empty();
    return a.total_us < b.total_us;
  });
  if (!forced->name.empty())
    if (auto s = check_forced(selection, request, table); !s) return std::move(s.error());
  if (selection.candidates.empty() || !selection.winner().refused.empty()) return nothing_left(selection, request, machine);
  return selection;
}

}  // namespace tutti
