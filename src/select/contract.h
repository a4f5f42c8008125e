// The numeric contract: what a reduction promises about its bits, and what that asks of whoever does it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "algorithms/registry.h"
#include "core/config.h"
#include "core/numerics.h"
#include "tutti/result.h"

namespace tutti {

// As in Options, with the defaults.
struct Contract {
  OrderClass order = OrderClass::same_layout;
  std::optional<DataType> accumulate = {};
};

// As TUTTI_ORDER and TUTTI_ACCUMULATE have it.
[[nodiscard]] Contract contract_of(const Config& config);

// What it means for one call.
struct Numerics {
  OrderClass asked = OrderClass::fast;
  // That the algorithm must keep; `fast` where no order changes a bit: of two ranks, of integers, of exact sums.
  OrderClass order = OrderClass::fast;
  Accumulation accumulation = Accumulation::usual;
  bool at_once = false;  // all contributions to a result must meet in one step
  bool widens = false;   // a step adds up in more than what it sends
  friend bool operator==(const Numerics&, const Numerics&) = default;
};

// Code::invalid_argument where it cannot be: says what could. Collectives that combine nothing promise nothing.
[[nodiscard]] Result<Numerics> numerics_of(Collective collective, DataType type, const ReduceOp& op, Rank ranks,
                                           const Contract& contract);
// The same of a contract that is meant for many calls: as much of it as this one can keep.
[[nodiscard]] Numerics numerics_within(Collective collective, DataType type, const ReduceOp& op, Rank ranks, Contract contract);

// Placement-free where only the same layout is promised: ways that keep this have the same bits.
[[nodiscard]] Numerics placement_free(Numerics numerics) noexcept;

// What less could be asked for, the strictest first; nothing below the same layout, and without an accumulation.
[[nodiscard]] std::vector<Numerics> less_strict(const Numerics& numerics);

// Whether this way of doing the call keeps it.
[[nodiscard]] bool keeps(const Numerics& numerics, const Algorithm& row, const Shape& shape, const Chunking& chunking);
// Why no way of the row does.
[[nodiscard]] std::string_view why_not(const Numerics& numerics) noexcept;

// "placement_free: the same bits whatever the algorithm and the places of ranks"; empty: nothing is promised.
[[nodiscard]] std::string describe(const Numerics& numerics);

}  // namespace tutti
