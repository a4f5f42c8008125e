#include "mpi/abi.h"

#include <array>
#include <vector>

namespace tutti::mpi {
namespace {

using enum TypeClass;

// Sizes are those of 64-bit Linux, and of Fortran's default kinds.
constexpr std::array kTypes{
    TypeRow{"MPI_CHAR", text, {}, "ompi_mpi_char", 0x4c000101, 0x243},
    TypeRow{"MPI_SIGNED_CHAR", c_integer, DataType::i8, "ompi_mpi_signed_char", 0x4c000118, 0x244},
    TypeRow{"MPI_UNSIGNED_CHAR", c_integer, DataType::u8, "ompi_mpi_unsigned_char", 0x4c000102, 0x245},
    TypeRow{"MPI_BYTE", byte, DataType::u8, "ompi_mpi_byte", 0x4c00010d, 0x247},
    TypeRow{"MPI_PACKED", text, {}, "ompi_mpi_packed", 0x4c00010f, 0x207},
    TypeRow{"MPI_WCHAR", text, {}, "ompi_mpi_wchar", 0x4c00040e, 0x23c},
    TypeRow{"MPI_SHORT", c_integer, DataType::i16, "ompi_mpi_short", 0x4c000203, 0x208},
    TypeRow{"MPI_UNSIGNED_SHORT", c_integer, DataType::u16, "ompi_mpi_unsigned_short", 0x4c000204, 0x20c},
    TypeRow{"MPI_INT", c_integer, DataType::i32, "ompi_mpi_int", 0x4c000405, 0x209},
    TypeRow{"MPI_UNSIGNED", c_integer, DataType::u32, "ompi_mpi_unsigned", 0x4c000406, 0x20d},
    TypeRow{"MPI_LONG", c_integer, DataType::i64, "ompi_mpi_long", 0x4c000807, 0x20a},
    TypeRow{"MPI_UNSIGNED_LONG", c_integer, DataType::u64, "ompi_mpi_unsigned_long", 0x4c000808, 0x20e},
    TypeRow{"MPI_LONG_LONG", c_integer, DataType::i64, "ompi_mpi_long_long_int", 0x4c000809, 0x20b},
    TypeRow{"MPI_UNSIGNED_LONG_LONG", c_integer, DataType::u64, "ompi_mpi_unsigned_long_long", 0x4c000819, 0x20f},
    TypeRow{"MPI_INT8_T", c_integer, DataType::i8, "ompi_mpi_int8_t", 0x4c000137, 0x240},
    TypeRow{"MPI_UINT8_T", c_integer, DataType::u8, "ompi_mpi_uint8_t", 0x4c00013b, 0x241},
    TypeRow{"MPI_INT16_T", c_integer, DataType::i16, "ompi_mpi_int16_t", 0x4c000238, 0x248},
    TypeRow{"MPI_UINT16_T", c_integer, DataType::u16, "ompi_mpi_uint16_t", 0x4c00023c, 0x249},
    TypeRow{"MPI_INT32_T", c_integer, DataType::i32, "ompi_mpi_int32_t", 0x4c000439, 0x250},
    TypeRow{"MPI_UINT32_T", c_integer, DataType::u32, "ompi_mpi_uint32_t", 0x4c00043d, 0x251},
    TypeRow{"MPI_INT64_T", c_integer, DataType::i64, "ompi_mpi_int64_t", 0x4c00083a, 0x258},
    TypeRow{"MPI_UINT64_T", c_integer, DataType::u64, "ompi_mpi_uint64_t", 0x4c00083e, 0x259},
    TypeRow{"MPI_AINT", address, DataType::i64, "ompi_mpi_aint", 0x4c000843, 0x201},
    TypeRow{"MPI_COUNT", address, DataType::i64, "ompi_mpi_count", 0x4c000845, 0x202},
    TypeRow{"MPI_OFFSET", address, DataType::i64, "ompi_mpi_offset", 0x4c000844, 0x203},
    TypeRow{"MPI_FLOAT", floating, DataType::f32, "ompi_mpi_float", 0x4c00040a, 0x210},
    TypeRow{"MPI_DOUBLE", floating, DataType::f64, "ompi_mpi_double", 0x4c00080b, 0x214},
    TypeRow{"MPI_LONG_DOUBLE", floating, {}, "ompi_mpi_long_double", 0x4c00100c, 0x220},
    TypeRow{"MPI_C_BOOL", logical, DataType::boolean, "ompi_mpi_c_bool", 0x4c00013f, 0x238},
    TypeRow{"MPI_C_FLOAT_COMPLEX", complex, DataType::c64, "ompi_mpi_c_float_complex", 0x4c000840, 0x212},
    TypeRow{"MPI_C_DOUBLE_COMPLEX", complex, DataType::c128, "ompi_mpi_c_double_complex", 0x4c001041, 0x216},
    TypeRow{"MPI_C_LONG_DOUBLE_COMPLEX", complex, {}, "ompi_mpi_c_long_double_complex", 0x4c002042, 0x224},
    TypeRow{"MPI_CXX_BOOL", logical, DataType::boolean, "ompi_mpi_cxx_bool", 0x4c000133, 0x239},
    TypeRow{"MPI_CXX_FLOAT_COMPLEX", complex, DataType::c64, "ompi_mpi_cxx_cplex", 0x4c000834, 0x213},
    TypeRow{"MPI_CXX_DOUBLE_COMPLEX", complex, DataType::c128, "ompi_mpi_cxx_dblcplex", 0x4c001035, 0x217},
    TypeRow{"MPI_CXX_LONG_DOUBLE_COMPLEX", complex, {}, "ompi_mpi_cxx_ldblcplex", 0x4c002036, 0x225},
    TypeRow{"MPI_FLOAT_INT", pair, {}, "ompi_mpi_float_int", 0x8c000000, 0x228},
    TypeRow{"MPI_DOUBLE_INT", pair, {}, "ompi_mpi_double_int", 0x8c000001, 0x229},
    TypeRow{"MPI_LONG_INT", pair, {}, "ompi_mpi_long_int", 0x8c000002, 0x22a},
    TypeRow{"MPI_SHORT_INT", pair, {}, "ompi_mpi_short_int", 0x8c000003, 0x22c},
    TypeRow{"MPI_2INT", pair, {}, "ompi_mpi_2int", 0x4c000816, 0x22b},
    TypeRow{"MPI_LONG_DOUBLE_INT", pair, {}, "ompi_mpi_longdbl_int", 0x8c000004, 0x22d},
    TypeRow{"MPI_CHARACTER", text, {}, "ompi_mpi_character", 0x4c00011a, 0x21e},
    TypeRow{"MPI_LOGICAL", logical, {}, "ompi_mpi_logical", 0x4c00041d, 0x218},
    TypeRow{"MPI_INTEGER", fortran_integer, DataType::i32, "ompi_mpi_integer", 0x4c00041b, 0x219},
    TypeRow{"MPI_REAL", floating, DataType::f32, "ompi_mpi_real", 0x4c00041c, 0x21a},
    TypeRow{"MPI_DOUBLE_PRECISION", floating, DataType::f64, "ompi_mpi_dblprec", 0x4c00081f, 0x21c},
    TypeRow{"MPI_COMPLEX", complex, DataType::c64, "ompi_mpi_cplex", 0x4c00081e, 0x21b},
    TypeRow{"MPI_DOUBLE_COMPLEX", complex, DataType::c128, "ompi_mpi_dblcplex", 0x4c001022, 0x21d},
    TypeRow{"MPI_2INTEGER", pair, {}, "ompi_mpi_2integer", 0x4c000820, 0x232},
    TypeRow{"MPI_2REAL", pair, {}, "ompi_mpi_2real", 0x4c000821, 0x230},
    TypeRow{"MPI_2DOUBLE_PRECISION", pair, {}, "ompi_mpi_2dblprec", 0x4c001023, 0x231},
    TypeRow{"MPI_INTEGER1", fortran_integer, DataType::i8, "ompi_mpi_integer1", 0x4c00012d, 0x2c1},
    TypeRow{"MPI_INTEGER2", fortran_integer, DataType::i16, "ompi_mpi_integer2", 0x4c00022f, 0x2c9},
    TypeRow{"MPI_INTEGER4", fortran_integer, DataType::i32, "ompi_mpi_integer4", 0x4c000430, 0x2d1},
    TypeRow{"MPI_INTEGER8", fortran_integer, DataType::i64, "ompi_mpi_integer8", 0x4c000831, 0x2d9},
    TypeRow{"MPI_REAL4", floating, DataType::f32, "ompi_mpi_real4", 0x4c000427, 0x2d2},
    TypeRow{"MPI_REAL8", floating, DataType::f64, "ompi_mpi_real8", 0x4c000829, 0x2da},
    TypeRow{"MPI_COMPLEX8", complex, DataType::c64, "ompi_mpi_complex8", 0x4c000828, 0x2db},
    TypeRow{"MPI_COMPLEX16", complex, DataType::c128, "ompi_mpi_complex16", 0x4c00102a, 0x2e3},
};

constexpr std::array kOps{
    OpRow{"MPI_SUM", ReduceKind::sum, "ompi_mpi_op_sum", 0x58000003, 0x21},
    OpRow{"MPI_PROD", ReduceKind::prod, "ompi_mpi_op_prod", 0x58000004, 0x24},
    OpRow{"MPI_MIN", ReduceKind::min, "ompi_mpi_op_min", 0x58000002, 0x22},
    OpRow{"MPI_MAX", ReduceKind::max, "ompi_mpi_op_max", 0x58000001, 0x23},
    OpRow{"MPI_BAND", ReduceKind::band, "ompi_mpi_op_band", 0x58000006, 0x28},
    OpRow{"MPI_BOR", ReduceKind::bor, "ompi_mpi_op_bor", 0x58000008, 0x29},
    OpRow{"MPI_BXOR", ReduceKind::bxor, "ompi_mpi_op_bxor", 0x5800000a, 0x2a},
    OpRow{"MPI_LAND", ReduceKind::land, "ompi_mpi_op_land", 0x58000005, 0x30},
    OpRow{"MPI_LOR", ReduceKind::lor, "ompi_mpi_op_lor", 0x58000007, 0x31},
    OpRow{"MPI_LXOR", ReduceKind::lxor, "ompi_mpi_op_lxor", 0x58000009, 0x32},
    OpRow{"MPI_MINLOC", {}, "ompi_mpi_op_minloc", 0x5800000b, 0x38},
    OpRow{"MPI_MAXLOC", {}, "ompi_mpi_op_maxloc", 0x5800000c, 0x39},
    OpRow{"MPI_REPLACE", {}, "ompi_mpi_op_replace", 0x5800000d, 0x3c},
    OpRow{"MPI_NO_OP", {}, "ompi_mpi_op_no_op", 0x5800000e, 0x3d},
};

Handle address_of(const char* variable) { return reinterpret_cast<Handle>(find_variable(variable)); }

template <class Row>
Handle handle_in_this_process(const Row& row) {
  switch (library().family) {
    case Family::open_mpi:
      return address_of(row.open_mpi);
    case Family::mpich:
      return row.mpich;
    case Family::standard:
      return row.standard;
    case Family::unknown:
      return 0;
  }
  return 0;
}

// Rows by their handles; a power of two of places, at most half of them taken.
template <class Row>
class Index {
 public:
  explicit Index(std::span<const Row> rows) : places_(256) {
    for (const Row& row : rows)
      if (const Handle handle = handle_in_this_process(row); handle != 0) insert(handle, row);
  }
  [[nodiscard]] const Row* find(Handle handle) const noexcept {
    for (std::size_t i = start(handle);; i = (i + 1) % places_.size())
      if (places_[i].handle == handle || places_[i].row == nullptr) return places_[i].row;
  }

 private:
  struct Place {
    Handle handle = 0;
    const Row* row = nullptr;
  };
  // Two names may share a handle, as MPI_REAL and MPI_REAL4 may: the first row serves both.
  void insert(Handle handle, const Row& row) {
    std::size_t i = start(handle);
    while (places_[i].row != nullptr && places_[i].handle != handle) i = (i + 1) % places_.size();
    if (places_[i].row == nullptr) places_[i] = {handle, &row};
  }
  [[nodiscard]] std::size_t start(Handle handle) const noexcept {
    return (handle * 0x9e3779b97f4a7c15ULL >> 48) % places_.size();
  }
  std::vector<Place> places_;
};

template <class Row>
Handle named(std::span<const Row> rows, std::string_view name) {
  for (const Row& row : rows)
    if (row.name == name) return handle_in_this_process(row);
  return 0;
}

[[gnu::noinline]] Abi make_abi() {  // so that abi() stays small
  Abi abi{};
  switch (library().family) {
    case Family::open_mpi:
      abi = {.handle_bytes = 8,
             .in_place = reinterpret_cast<const void*>(1),
             .root = -4,
             .err_truncate = 15,
             .err_other = 16,
             .err_count = 2,
             .err_no_mem = 39,
             .err_proc_failed = find_function("MPIX_Comm_shrink") != nullptr ? 75 : 16,
             .err_unsupported = 52,
             .graph = 2,
             .cart = 1,
             .dist_graph = 3,
             .comm_null = address_of("ompi_mpi_comm_null"),
             .comm_world = address_of("ompi_mpi_comm_world"),
             .comm_self = address_of("ompi_mpi_comm_self"),
             .type_null = address_of("ompi_mpi_datatype_null"),
             .op_null = address_of("ompi_mpi_op_null"),
             .info_null = address_of("ompi_mpi_info_null")};
      break;
    case Family::mpich:
      abi = {.handle_bytes = 4,
             .in_place = reinterpret_cast<const void*>(-1),  // NOLINT(performance-no-int-to-ptr)
             .root = -3,
             .err_truncate = 14,
             .err_other = 15,
             .err_count = 2,
             .err_no_mem = 34,
             .err_proc_failed = 15,
             .err_unsupported = 44,
             .graph = 1,
             .cart = 2,
             .dist_graph = 3,
             .comm_null = 0x04000000,
             .comm_world = 0x44000000,
             .comm_self = 0x44000001,
             .type_null = 0x0c000000,
             .op_null = 0x18000000,
             .info_null = 0x1c000000};
      break;
    case Family::standard:
      abi = {.handle_bytes = 8,
             .in_place = reinterpret_cast<const void*>(1),
             .root = -4,
             .err_truncate = 15,
             .err_other = 16,
             .err_count = 2,
             .err_no_mem = 39,
             .err_proc_failed = 16,
             .err_unsupported = 55,
             .graph = 212,
             .cart = 211,
             .dist_graph = 213,
             .comm_null = 0x100,
             .comm_world = 0x101,
             .comm_self = 0x102,
             .type_null = 0x200,
             .op_null = 0x20,
             .info_null = 0x130};
      break;
    case Family::unknown:
      break;
  }
  abi.byte = named(type_table(), "MPI_BYTE");
  abi.integer = named(type_table(), "MPI_INT");
  abi.float32 = named(type_table(), "MPI_FLOAT");
  abi.float64 = named(type_table(), "MPI_DOUBLE");
  abi.long_double = named(type_table(), "MPI_LONG_DOUBLE");
  abi.min = named(op_table(), "MPI_MIN");
  abi.sum = named(op_table(), "MPI_SUM");
  return abi;
}

}  // namespace

const Abi& abi() {
  static const Abi of_this_process = make_abi();
  return of_this_process;
}

std::span<const TypeRow> type_table() noexcept { return kTypes; }
std::span<const OpRow> op_table() noexcept { return kOps; }
Handle handle_of(const TypeRow& row) { return handle_in_this_process(row); }
Handle handle_of(const OpRow& row) { return handle_in_this_process(row); }

const TypeRow* find_type(Handle type) {
  static const auto& index = *new Index<TypeRow>(kTypes);  // never destroyed: calls may come until the very end
  return index.find(type);
}

const OpRow* find_op(Handle op) {
  static const auto& index = *new Index<OpRow>(kOps);
  return index.find(op);
}

bool defined(const OpRow& op, const TypeRow& type) noexcept {
  if (!op.native) return type.type_class == pair && (op.name == "MPI_MINLOC" || op.name == "MPI_MAXLOC");
  switch (*op.native) {
    case ReduceKind::min:
    case ReduceKind::max:
      return type.type_class <= floating;
    case ReduceKind::sum:
    case ReduceKind::prod:
      return type.type_class <= complex;
    case ReduceKind::land:
    case ReduceKind::lor:
    case ReduceKind::lxor:
      return type.type_class == c_integer || type.type_class == logical;
    case ReduceKind::band:
    case ReduceKind::bor:
    case ReduceKind::bxor:
      return type.type_class <= address || type.type_class == byte;
    default:
      return false;
  }
}

}  // namespace tutti::mpi
