#include "tutti/types.h"

#include <array>
#include <utility>

namespace tutti {
namespace {

struct TypeRow {
  DataType type;
  std::string_view name;
};
constexpr std::array<TypeRow, kDataTypes> kTypes{{
    {DataType::i8, "i8"},
    {DataType::u8, "u8"},
    {DataType::i16, "i16"},
    {DataType::u16, "u16"},
    {DataType::i32, "i32"},
    {DataType::u32, "u32"},
    {DataType::i64, "i64"},
    {DataType::u64, "u64"},
    {DataType::f16, "f16"},
    {DataType::bf16, "bf16"},
    {DataType::f32, "f32"},
    {DataType::f64, "f64"},
    {DataType::f8e4m3, "f8e4m3"},
    {DataType::f8e5m2, "f8e5m2"},
    {DataType::boolean, "bool"},
    {DataType::c64, "c64"},
    {DataType::c128, "c128"},
}};
constexpr bool rows_in_order() {
  for (std::size_t i = 0; i < kTypes.size(); ++i)
    if (kTypes[i].type != static_cast<DataType>(i)) return false;
  return true;
}
static_assert(rows_in_order());

constexpr std::array<std::pair<std::string_view, DataType>, 18> kAliases{{
    {"int8", DataType::i8},
    {"char", DataType::i8},
    {"uint8", DataType::u8},
    {"int16", DataType::i16},
    {"uint16", DataType::u16},
    {"int32", DataType::i32},
    {"int", DataType::i32},
    {"uint32", DataType::u32},
    {"int64", DataType::i64},
    {"uint64", DataType::u64},
    {"half", DataType::f16},
    {"float16", DataType::f16},
    {"bfloat16", DataType::bf16},
    {"float", DataType::f32},
    {"float32", DataType::f32},
    {"double", DataType::f64},
    {"float64", DataType::f64},
    {"boolean", DataType::boolean},
}};

constexpr std::array<std::string_view, kReduceKinds> kReduceNames{"sum",  "prod", "min", "max",  "avg",        "band", "bor",
                                                                  "bxor", "land", "lor", "lxor", "premul_sum", "user"};

constexpr std::array<std::string_view, kOrderClasses> kOrderNames{"fast", "same_layout", "placement_free", "size_free"};
constexpr std::array<std::string_view, kCollectives> kCollectiveNames{"all_reduce",     "reduce", "broadcast", "all_gather",
                                                                      "reduce_scatter", "gather", "scatter",   "all_to_all",
                                                                      "barrier",        "scan",   "exscan",    "send_recv"};

bool is_integer(DataType t) { return t <= DataType::u64 || t == DataType::boolean; }
bool is_complex(DataType t) { return t == DataType::c64 || t == DataType::c128; }

template <class Enum, std::size_t N>
std::optional<Enum> find_name(const std::array<std::string_view, N>& names, std::string_view text) {
  for (std::size_t i = 0; i < N; ++i)
    if (names[i] == text) return static_cast<Enum>(i);
  return std::nullopt;
}

}  // namespace

std::string_view name(DataType type) noexcept { return kTypes[static_cast<std::size_t>(type)].name; }

std::optional<DataType> parse_data_type(std::string_view text) noexcept {
  for (const auto& row : kTypes)
    if (row.name == text) return row.type;
  for (const auto& [alias, type] : kAliases)
    if (alias == text) return type;
  return std::nullopt;
}

std::string_view name(ReduceKind kind) noexcept { return kReduceNames[static_cast<std::size_t>(kind)]; }
std::optional<ReduceKind> parse_reduce_kind(std::string_view text) noexcept { return find_name<ReduceKind>(kReduceNames, text); }

bool supports(ReduceKind kind, DataType type) noexcept {
  switch (kind) {
    case ReduceKind::sum:
    case ReduceKind::prod:
    case ReduceKind::user:
      return true;
    case ReduceKind::avg:
    case ReduceKind::premul_sum:
      return type != DataType::boolean;
    case ReduceKind::min:
    case ReduceKind::max:
    case ReduceKind::land:
    case ReduceKind::lor:
    case ReduceKind::lxor:
      return !is_complex(type);
    case ReduceKind::band:
    case ReduceKind::bor:
    case ReduceKind::bxor:
      return is_integer(type);
  }
  return false;
}

std::string_view name(OrderClass order) noexcept { return kOrderNames[static_cast<std::size_t>(order)]; }
std::optional<OrderClass> parse_order_class(std::string_view text) noexcept { return find_name<OrderClass>(kOrderNames, text); }

std::string_view name(Collective collective) noexcept { return kCollectiveNames[static_cast<std::size_t>(collective)]; }
std::optional<Collective> parse_collective(std::string_view text) noexcept {
  return find_name<Collective>(kCollectiveNames, text);
}

}  // namespace tutti
