// Verifies rows of the table of algorithms: every shape that matters, the declared cost, and what the passes make of them.
#pragma once

#include <string>
#include <vector>

#include "algorithms/registry.h"
#include "tutti/result.h"

namespace tutti {

// Which ranks are in place: none, all, every second one; `both`: none and all, and of few ranks (all_roots_up_to) every second
// one.
enum class Places : std::uint8_t { out_of_place, in_place, every_second, both };

struct CatalogOptions {
  std::vector<std::uint32_t> pieces = {1, 2};                                       // only 1 where the row does not pipeline
  std::vector<std::uint32_t> radices = {std::begin(kRadices), std::end(kRadices)};  // only 2 where there is none
  Places places = Places::both;
  Rank all_roots_up_to = 16;                      // ranks; beyond, a few roots
  std::vector<Rank> roots = {};                   // these alone, counted round the ranks; none: as above
  bool fused = true;                              // the fusing pass's results as well, where it changes any
  const std::vector<Grouping>* levels = nullptr;  // the machine of all cases; none: made-up ones, where the row needs levels
};

struct CatalogSummary {
  std::size_t roots = 0;  // tried per shape
  std::size_t sets = 0;   // schedules of all ranks, verified together
  std::size_t schedules = 0;
  std::size_t steps = 0;
};

// Whether the row may be used with so many ranks at all.
[[nodiscard]] bool applies(const Algorithm& algorithm, Rank ranks) noexcept;

// Proves the row right for `ranks` ranks, which must satisfy applies(): in and out of place, with several roots where there is
// one, on several made-up machines where the row needs levels, on tori where it uses them, in the order of ranks unless the row
// needs a commutative operator, with unequal blocks unless it needs equal ones; and that its cost is what it declares (or less,
// where the cost says it is a bound), if it declares one. Shapes that it refuses are left out. The error says in which of these
// cases and why; also of what the row throws.
[[nodiscard]] Result<CatalogSummary> verify_algorithm(const Algorithm& algorithm, Rank ranks, const CatalogOptions& options = {});

// The same of one shape, which the row must not refuse, cut in one way: out of place, in place, and every second rank in place.
[[nodiscard]] Result<CatalogSummary> verify_cut(const Algorithm& algorithm, const Shape& shape, const Chunking& chunking);

}  // namespace tutti
