#include "select/contract.h"

#include <fmt/format.h>

#include <utility>

namespace tutti {
namespace {

bool is_small_float(DataType type) {
  return type == DataType::f16 || type == DataType::bf16 || type == DataType::f8e4m3 || type == DataType::f8e5m2;
}
bool is_complex(DataType type) { return type == DataType::c64 || type == DataType::c128; }
bool is_float(DataType type) {
  return is_small_float(type) || is_complex(type) || type == DataType::f32 || type == DataType::f64;
}

bool adds(ReduceKind kind) { return kind == ReduceKind::sum || kind == ReduceKind::avg || kind == ReduceKind::premul_sum; }
// Whether results are rounded, so that the order of operands matters.
bool rounds(ReduceKind kind, DataType type) { return is_float(type) && (adds(kind) || kind == ReduceKind::prod); }

Error impossible(ReduceKind kind, DataType type, std::string_view what, std::string_view why) {
  return {Code::invalid_argument, fmt::format("{} of {} cannot be {}: {}", name(kind), name(type), what, why)};
}

// Adds what was asked to be accumulated in.
Status accumulate(DataType wanted, ReduceKind kind, DataType type, Numerics& n) {
  const bool own = wanted == (type == DataType::c64 ? DataType::f32 : type == DataType::c128 ? DataType::f64 : type);
  if (own) return {};
  const std::string what = fmt::format("accumulated in {}", name(wanted));
  if (wanted == DataType::f32 && is_small_float(type)) {
    n.at_once = true;
  } else if (wanted == DataType::f64 && (type == DataType::f32 || (type == DataType::c64 && adds(kind)))) {
    n.accumulation = Accumulation::f64;
    n.at_once = true;
  } else {
    return impossible(kind, type, what, "f32 can be asked for of 16- and 8-bit floats, f64 of f32 and of sums of c64");
  }
  return {};
}

}  // namespace

Contract contract_of(const Config& config) {
  Contract contract{.order = parse_order_class(config.text(Var::order)).value_or(OrderClass::same_layout), .accumulate = {}};
  if (const std::string& type = config.text(Var::accumulate); type != "usual") contract.accumulate = parse_data_type(type);
  return contract;
}

Result<Numerics> numerics_of(Collective collective, DataType type, const ReduceOp& op, Rank ranks, const Contract& contract) {
  Numerics n;
  if (!reduces(collective)) return n;
  const bool user = op.kind == ReduceKind::user;
  if (!user && !rounds(op.kind, type)) return n;
  n.asked = contract.order;
  n.widens = !user && is_small_float(type);
  if (user && contract.accumulate)
    return Error(Code::invalid_argument, "a user's operator adds up as it likes: no type to accumulate in can be asked for");
  if (!user && contract.accumulate)
    if (auto s = accumulate(*contract.accumulate, op.kind, type, n); !s) return std::move(s.error());
  if (contract.order == OrderClass::size_free) {
    if (user || !adds(op.kind))
      return Error(Code::invalid_argument,
                   fmt::format("{}{} cannot be size_free: only sums and means can be exact; placement_free can be had",
                               name(op.kind), user ? "" : fmt::format(" of {}", name(type))));
    n.accumulation = Accumulation::exact;
    n.at_once = true;
  } else if (ranks > 2) {
    n.order = contract.order;
  }
  if (n.order == OrderClass::placement_free) n = placement_free(n);
  if (ranks <= 2) n.at_once = false;  // there is but one step
  return n;
}

Numerics numerics_within(Collective collective, DataType type, const ReduceOp& op, Rank ranks, Contract contract) {
  if (auto all = numerics_of(collective, type, op, ranks, contract)) return *all;
  const std::optional<DataType> accumulate = std::exchange(contract.accumulate, std::nullopt);
  if (auto order = numerics_of(collective, type, op, ranks, contract)) return *order;
  contract = {.order = OrderClass::placement_free, .accumulate = accumulate};
  if (auto all = numerics_of(collective, type, op, ranks, contract)) return *all;
  contract.accumulate = {};
  return *numerics_of(collective, type, op, ranks, contract);
}

std::vector<Numerics> less_strict(const Numerics& n) {
  const Numerics same_layout{.asked = OrderClass::same_layout, .order = OrderClass::same_layout, .widens = n.widens};
  Numerics free = placement_free(same_layout);
  free.asked = OrderClass::placement_free;
  if (n.asked == OrderClass::size_free) return {free, same_layout};
  if (n.accumulation != Accumulation::usual || (n.at_once && n.order != OrderClass::placement_free)) {
    Numerics less = n;
    less.accumulation = Accumulation::usual;
    less.at_once = false;
    return {n.order == OrderClass::placement_free ? placement_free(less) : less};
  }
  if (n.asked == OrderClass::placement_free) return {same_layout};
  return {};
}

Numerics placement_free(Numerics n) noexcept {
  n.order = OrderClass::placement_free;
  n.at_once |= n.widens;
  return n;
}

bool keeps(const Numerics& n, const Algorithm& row, const Shape& shape, const Chunking& chunking) {
  if (n.at_once && !row.meets_at_once) return false;
  return n.order != OrderClass::placement_free || is_canonical(row, shape, chunking);
}

std::string_view why_not(const Numerics& n) noexcept {
  if (n.asked == OrderClass::same_layout && n.order == OrderClass::placement_free)
    return "gives other bits than what is chosen without measuring (fast may take it)";
  return n.at_once ? "rounds, or adds up, in several steps; the numeric contract asks for one"
                   : "combines ranks in an order of its own; the numeric contract asks for the canonical one";
}

std::string describe(const Numerics& n) {
  constexpr std::string_view kPromises[kOrderClasses] = {"", "the same bits in every run with this layout",
                                                         "the same bits whatever the algorithm and the places of ranks",
                                                         "the same bits whatever the number of ranks: exact sums"};
  std::string text;
  if (n.asked != OrderClass::fast) text = fmt::format("{}: {}", name(n.asked), kPromises[static_cast<std::size_t>(n.asked)]);
  if (n.accumulation == Accumulation::f64) text += fmt::format("{}accumulated in f64", text.empty() ? "" : "; ");
  return text;
}

}  // namespace tutti
