#include "select/select.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

#include "select/cost.h"

namespace tutti {
namespace {

constexpr std::array<std::uint32_t, 6> kPieces{1, 2, 4, 8, 16, 32};
constexpr std::uint64_t kSmallestPiece = 16u << 10;  // bytes; below this a message costs its latency, not its size

// All ranks must know how large it is what the others publish, and pieces of what is combined must hold whole elements.
bool may_publish(const Algorithm& a, const SelectRequest& request, const JobMachine& machine) {
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

// The ways of doing the call by this row, one for each choice of its parameters.
std::vector<Candidate> variants(const Algorithm& a, const SelectRequest& request, const JobMachine& machine,
                                const ForcedAlgorithm& forced) {
  std::vector<Candidate> all;
  const Shape shape = shape_on(machine, request.root);
  const auto add = [&](const Candidate& c) {
    if (keeps(request.numerics, a, shape, c.chunking)) all.push_back(c);
  };
  if (!forced.only_sent() && may_publish(a, request, machine)) add({.algorithm = &a, .published = true});
  if (forced.published) return all;
  for (const std::uint32_t pieces : values_of(forced.pieces, kPieces)) {
    if (forced.pieces == 0 && pieces > 1 && (!a.pipelines || request.block_bytes / pieces < kSmallestPiece)) break;
    for (const std::uint32_t radix : values_of(forced.radix, kRadices)) {
      if (forced.radix == 0 && radix > 2 && (!a.has_radix || radix > static_cast<std::uint32_t>(machine.ranks))) break;
      add({.algorithm = &a, .chunking = {.pieces = pieces, .radix = radix}});
    }
  }
  return all;
}

std::optional<double> measured_us(const Candidate& c, const SelectRequest& request, const JobMachine& machine, Costs& costs) {
  // Where the order matters or blocks differ, the fastest of what was measured may not do, and what is left may be far behind.
  if (machine.measured.empty() || !request.commutative || !request.equal_blocks) return {};
  const Variant variant{request.collective, std::string(c.algorithm->name), c.chunking, c.published};
  return machine.measured.time_us(variant, request.block_bytes, [&](std::uint64_t bytes) {
    Candidate same = c;
    SelectRequest there = request;
    there.block_bytes = bytes;
    price(same, there, machine, costs);
    return same.total_us;
  });
}

// What the caller wants of the choice besides speed.
struct Wish {
  ForcedAlgorithm forced;
  AlgorithmFilter filter;

  static Result<Wish> of(const SelectRequest& request, const JobMachine& machine) {
    auto forced = ForcedAlgorithm::parse(request.forced);
    if (!forced) return std::move(forced.error());
    auto filter = AlgorithmFilter::parse(request.filter, machine.algorithms);
    if (!filter) return filter.because(std::string(request.filtered_by));
    return Wish{*forced, std::move(*filter)};
  }
};

// Why this row is not priced; empty where it is.
std::string unwanted(const Algorithm& a, const Wish& wish, const SelectRequest& request, const JobMachine& machine) {
  if (!wish.filter.leaves(a)) return fmt::format("filtered out by {}", request.filtered_by);
  std::string why_not = wish.forced.misfit(a);
  if (why_not.empty()) why_not = refusal(a, request, machine);
  if (why_not.empty() && wish.forced.published && !may_publish(a, request, machine))
    why_not = machine.boards ? "cannot publish what not all ranks know the size of, or elements of this size"
                             : "cannot publish here: that takes more than two ranks, all of one host, and shared memory";
  if (why_not.empty() && a.shortens_ways && machine.torus.empty() && machine.pods.empty() && wish.forced.name.empty())
    why_not = "is for tori and tapered networks, where long ways cost more; it can be asked for by name";
  if (why_not.empty() && variants(a, request, machine, wish.forced).empty()) why_not = tutti::why_not(request.numerics);
  return why_not;
}

// A measured one goes before one that was not.
bool better(const Candidate& a, const Candidate& b) {
  if (a.measured_us.has_value() != b.measured_us.has_value()) return a.measured_us.has_value();
  return a.us() < b.us();
}

// Of those that have been measured to take as long as the fastest, but for noise, the one that the model holds to be fastest.
void prefer_predicted(std::vector<Candidate>& sorted) {
  constexpr double kNoise = 1.03;
  if (sorted.empty() || !sorted.front().measured_us || !sorted.front().refused.empty()) return;
  const double most_us = *sorted.front().measured_us * kNoise;
  const auto end = std::ranges::find_if(
      sorted, [&](const Candidate& c) { return !c.refused.empty() || !c.measured_us || *c.measured_us > most_us; });
  const auto chosen = std::ranges::min_element(sorted.begin(), end, {}, &Candidate::total_us);
  std::rotate(sorted.begin(), chosen, chosen + 1);
}

// Of what a row of a plugin does, only what is used is proved: proofs take long.
std::string unproved(const Candidate& c, const SelectRequest& request, const JobMachine& machine) {
  const Algorithm& a = *c.algorithm;
  return a.refuses_cut ? a.refuses_cut(shape_on(machine, request.root), c.chunking) : "";
}

Candidate best_variant(const Algorithm& a, const SelectRequest& request, const JobMachine& machine, const ForcedAlgorithm& forced,
                       Costs& costs) {
  auto all = variants(a, request, machine, forced);
  for (Candidate& c : all) {
    price(c, request, machine, costs);
    c.measured_us = measured_us(c, request, machine, costs);
  }
  std::ranges::stable_sort(all, better);
  for (Candidate& c : all) {
    c.refused = unproved(c, request, machine);
    if (c.refused.empty()) return std::move(c);
  }
  return std::move(all.front());
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

// What could be had instead of a numeric contract that nothing keeps, and in which time. Each is asked for less than the one
// before.
std::string less_strict(const SelectRequest& request, const JobMachine& machine) {
  std::string could;
  for (const Numerics& numerics : less_strict(request.numerics)) {
    SelectRequest less = request;
    less.numerics = numerics;
    if (auto selection = select(less, machine))
      could += fmt::format("{}{} could be had by {} in {:.1f} us", could.empty() ? "; " : ", ",
                           numerics.asked == request.numerics.asked ? "the same without that accumulation" : name(numerics.asked),
                           selection->winner().algorithm->name, selection->winner().us());
  }
  return could;
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
          fmt::format("no algorithm can serve {}{} on {} ranks ({}){}", name(request.collective),
                      less_strict(request.numerics).empty() ? "" : fmt::format(" ({})", describe(request.numerics)),
                      machine.ranks, reasons, less_strict(request, machine))};
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
  if (needs.routes == RouteKind::rings && machine.routes.rings.empty())
    return "needs rings over links of their own; none are known here, or one does as well";
  if (needs.routes == RouteKind::trees && machine.routes.trees.empty())
    return "needs trees over links of their own; none are known here, or one does as well";
  if (a.refuses) return a.refuses(shape_on(machine, request.root));
  return "";
}

std::string forced_name(const Candidate& candidate) {
  std::string name(candidate.algorithm->name);
  if (candidate.algorithm->has_radix) name += fmt::format("/radix={}", candidate.chunking.radix);
  if (candidate.published) return name + "/published";
  if (candidate.algorithm->pipelines)
    name += fmt::format("/pieces={}", candidate.chunking.pieces);
  else if (candidate.algorithm->publishes)
    name += "/sent";
  return name;
}

std::string name_with_radix(const Algorithm& algorithm, const Chunking& chunking) {
  return algorithm.has_radix ? fmt::format("{}, radix {}", algorithm.name, chunking.radix) : std::string(algorithm.name);
}

Result<Selection> select(const SelectRequest& request, const JobMachine& machine) {
  Costs costs;
  return select(request, machine, costs);
}

Result<Selection> select(const SelectRequest& request, const JobMachine& machine, Costs& costs) {
  Selection selection;
  auto wish = Wish::of(request, machine);
  if (!wish) return std::move(wish.error());
  for (const Algorithm* a : machine.algorithms.of(request.collective)) {
    if (!wish->forced.name.empty() && a->name != wish->forced.name) continue;
    std::string why_not = unwanted(*a, *wish, request, machine);
    selection.candidates.push_back(why_not.empty() ? best_variant(*a, request, machine, wish->forced, costs)
                                                   : Candidate{.algorithm = a, .chunking = {}, .refused = std::move(why_not)});
  }
  std::ranges::stable_sort(selection.candidates, [](const Candidate& a, const Candidate& b) {
    if (a.refused.empty() != b.refused.empty()) return a.refused.empty();
    return better(a, b);
  });
  prefer_predicted(selection.candidates);
  if (!wish->forced.name.empty())
    if (auto s = check_forced(selection, request, machine.algorithms); !s) return std::move(s.error());
  if (selection.candidates.empty() || !selection.winner().refused.empty()) return nothing_left(selection, request, machine);
  return selection;
}

std::vector<Candidate> all_variants(const SelectRequest& request, const JobMachine& machine) {
  std::vector<Candidate> all;
  auto wish = Wish::of(request, machine);
  if (!wish) return all;
  Costs costs;
  for (const Algorithm* a : machine.algorithms.of(request.collective)) {
    if (!unwanted(*a, *wish, request, machine).empty()) continue;
    for (Candidate& c : variants(*a, request, machine, wish->forced)) {
      if (!unproved(c, request, machine).empty()) continue;
      price(c, request, machine, costs);
      all.push_back(std::move(c));
    }
  }
  std::ranges::stable_sort(all, {}, &Candidate::total_us);
  return all;
}

}  // namespace tutti
