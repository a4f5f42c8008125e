#include "mpi/layout.h"

#include <array>
#include <atomic>
#include <climits>
#include <cstring>
#include <vector>

#include "core/log.h"
#include "mpi/device.h"

namespace tutti::mpi {
namespace {

constexpr Count kMostProbed = 1 << 16;  // larger elements are always packed
constexpr Count kBytesAtOnce = 1 << 30;
enum : std::uintptr_t { kDense = 1, kNot };  // values of a type's attribute

// Whether packing keeps every byte of an element in its place, which extents alone do not tell: a type may permute.
int probe(Handle type, Count size, Handle comm, bool& dense) {
  std::vector<std::byte> element(static_cast<std::size_t>(size)), packed(element.size());
  dense = true;
  for (Count digit = 0; dense && size >> (8 * digit) > 0; ++digit) {  // all positions differ in some digit
    for (std::size_t i = 0; i < element.size(); ++i) element[i] = static_cast<std::byte>(i >> (8 * digit));
    int position = 0;
    if (const int code = pmpi::pack(element.data(), 1, type, packed.data(), static_cast<int>(size), &position, comm);
        code != kSuccess)
      return code;
    dense = std::memcmp(element.data(), packed.data(), element.size()) == 0;
  }
  return kSuccess;
}

int no_delete(Handle /*type*/, int /*keyval*/, void* /*value*/, void* /*extra*/) { return kSuccess; }

// What was probed is kept at the type itself: handles are used again for other types.
int keyval() {
  static const int made = [] {
    int key = 0;
    pmpi::type_create_keyval(reinterpret_cast<void*>(do_not_copy), reinterpret_cast<void*>(no_delete), &key, nullptr);
    return key;
  }();
  return made;
}

int find_dense(Handle type, Handle comm, Layout& layout) {
  void* value = nullptr;
  int known = 0;
  if (const int code = pmpi::type_get_attr(type, keyval(), &value, &known); code != kSuccess) return code;
  if (known == 0) {
    bool dense = false;
    if (const int code = probe(type, layout.size, comm, dense); code != kSuccess) return code;
    value = reinterpret_cast<void*>(dense ? kDense : kNot);  // NOLINT(performance-no-int-to-ptr)
    if (const int code = pmpi::type_set_attr(type, keyval(), value); code != kSuccess) return code;
  }
  layout.dense = reinterpret_cast<std::uintptr_t>(value) == kDense;
  return kSuccess;
}

int ask(Handle type, Handle comm, Layout& layout) {
  Aint lb = 0;
  if (const int code = pmpi::type_size(type, &layout.size); code != kSuccess) return code;
  if (const int code = pmpi::type_get_extent(type, &lb, &layout.extent); code != kSuccess) return code;
  if (const int code = pmpi::type_get_true_extent(type, &layout.true_lb, &layout.true_extent); code != kSuccess) return code;
  const bool compact = lb == 0 && layout.true_lb == 0 && layout.size == layout.extent && layout.size == layout.true_extent;
  layout.dense = compact && layout.row != nullptr;
  return compact && layout.row == nullptr && layout.size <= kMostProbed ? find_dense(type, comm, layout) : kSuccess;
}

// MPI_Pack and MPI_Unpack count in an int.
template <class Batch>
int in_batches(Count count, const Layout& layout, Handle comm, Batch&& batch) {
  const Count at_once = std::clamp<Count>(kBytesAtOnce / layout.size, 1, INT_MAX);
  for (Count done = 0; done < count; done += at_once) {
    const Count n = std::min(at_once, count - done);
    if (n * layout.size > INT_MAX) return pmpi::comm_call_errhandler(comm, abi().err_count), abi().err_count;
    if (const int code = batch(done, static_cast<int>(n), static_cast<int>(n * layout.size)); code != kSuccess) return code;
  }
  return kSuccess;
}

int told(const Status& status, Handle comm) {
  if (status) [[likely]]
    return kSuccess;
  log(LogLevel::error, status.error().to_string());
  pmpi::comm_call_errhandler(comm, abi().err_other);
  return abi().err_other;
}

}  // namespace

const void* first_byte(const void* buffer, std::span<const Block> blocks) noexcept {
  for (const Block& b : blocks)
    if (b.bytes() > 0) return static_cast<const std::byte*>(buffer) + b.offset + b.layout.true_lb;
  return nullptr;
}

Count total_bytes(std::span<const Block> blocks) noexcept {
  Count sum = 0;
  for (const Block& b : blocks) sum += b.bytes();
  return sum;
}

int layout_of(Handle type, Handle comm, Layout& layout) {
  struct Memo {
    Handle type = 0;
    const Layout* layout = nullptr;
  };
  static thread_local Memo memo;  // a program's next call is mostly of the same type
  if (memo.type == type && memo.layout != nullptr) [[likely]] {
    layout = *memo.layout;
    return kSuccess;
  }
  static std::array<std::atomic<const Layout*>, 128> predefined;  // by row
  const TypeRow* row = find_type(type);
  if (row == nullptr) {
    layout = {};
    return ask(type, comm, layout);
  }
  auto& place = predefined[static_cast<std::size_t>(row - type_table().data())];
  const Layout* known = place.load(std::memory_order_acquire);
  if (known == nullptr) {
    layout = {.row = row};
    if (const int code = ask(type, comm, layout); code != kSuccess) return code;
    known = new Layout(layout);  // for the life of the process
    place.store(known, std::memory_order_release);
  }
  memo = {type, known};
  layout = *known;
  return kSuccess;
}

int pack(const void* elements, Count count, Handle type, const Layout& layout, std::byte* packed, Handle comm) {
  const Count size = count * layout.size;
  if (size <= 0) return kSuccess;
  if (layout.dense) return told(copy_bytes(packed, elements, static_cast<std::size_t>(size)), comm);
  const Aint low = layout.low(count);
  OnHost from(static_cast<const std::byte*>(elements) + low, static_cast<std::size_t>(layout.high(count) - low));
  OnHost to(packed, static_cast<std::size_t>(size));
  if (const int code = told(from.fetch(), comm); code != kSuccess) return code;
  const int code = in_batches(count, layout, comm, [&](Count done, int n, int bytes) {
    int position = 0;
    return pmpi::pack(from.data() - low + done * layout.extent, n, type, to.data() + done * layout.size, bytes, &position, comm);
  });
  return code != kSuccess ? code : told(to.put(), comm);
}

int unpack(const std::byte* packed, void* elements, Count count, Handle type, const Layout& layout, Handle comm) {
  const Count size = count * layout.size;
  if (size <= 0) return kSuccess;
  if (layout.dense) return told(copy_bytes(elements, packed, static_cast<std::size_t>(size)), comm);
  const Aint low = layout.low(count);
  OnHost from(packed, static_cast<std::size_t>(size));
  OnHost to(static_cast<std::byte*>(elements) + low, static_cast<std::size_t>(layout.high(count) - low));
  if (const int code = told(from.fetch(), comm); code != kSuccess) return code;
  if (const int code = told(to.fetch(), comm); code != kSuccess) return code;
  const int code = in_batches(count, layout, comm, [&](Count done, int n, int bytes) {
    int position = 0;
    return pmpi::unpack(from.data() + done * layout.size, bytes, &position, to.data() - low + done * layout.extent, n, type,
                        comm);
  });
  return code != kSuccess ? code : told(to.put(), comm);
}

int pack(const void* buffer, std::span<const Block> blocks, std::byte* packed, Handle comm) {
  for (const Block& b : blocks) {
    const auto* elements = static_cast<const std::byte*>(buffer) + b.offset;
    if (const int code = pack(elements, b.count, b.type, b.layout, packed, comm); code != kSuccess) return code;
    packed += b.bytes();
  }
  return kSuccess;
}

int unpack(const std::byte* packed, void* buffer, std::span<const Block> blocks, Handle comm) {
  for (const Block& b : blocks) {
    auto* elements = static_cast<std::byte*>(buffer) + b.offset;
    if (const int code = unpack(packed, elements, b.count, b.type, b.layout, comm); code != kSuccess) return code;
    packed += b.bytes();
  }
  return kSuccess;
}

}  // namespace tutti::mpi
