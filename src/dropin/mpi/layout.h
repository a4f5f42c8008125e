// How the elements of an MPI type lie in memory, and how they travel: packed, one after the other, in the order of their
// signature.
#pragma once

#include <span>

#include "mpi/abi.h"

namespace tutti::mpi {

struct Layout {
  Count size = 0;
  Aint extent = 0, true_lb = 0, true_extent = 0;
  bool dense = false;  // packed elements are the very bytes in memory
  const TypeRow* row = nullptr;

  // Where the first byte of `count` elements lies relative to their address, and where the last one ends.
  [[nodiscard]] Aint low(Count count) const noexcept { return true_lb + std::min<Aint>(0, (count - 1) * extent); }
  [[nodiscard]] Aint high(Count count) const noexcept { return true_lb + true_extent + std::max<Aint>(0, (count - 1) * extent); }
};

// Consecutive elements of one type at an offset in a buffer.
struct Block {
  Count count = 0;
  Aint offset = 0;
  Handle type = 0;
  Layout layout;

  [[nodiscard]] Count bytes() const noexcept { return count * layout.size; }
};
[[nodiscard]] Count total_bytes(std::span<const Block> blocks) noexcept;
// The first byte that they hold in a buffer; null where they are empty.
[[nodiscard]] const void* first_byte(const void* buffer, std::span<const Block> blocks) noexcept;

// Memory may be a device's: what is not dense is then worked on in a copy, of all that lies between, too.
// All of these return what MPI said; an error has then been through MPI's error handler. The type must not be null.
int layout_of(Handle type, Handle comm, Layout& layout);
int pack(const void* elements, Count count, Handle type, const Layout& layout, std::byte* packed, Handle comm);
int unpack(const std::byte* packed, void* elements, Count count, Handle type, const Layout& layout, Handle comm);
// Blocks one after the other.
int pack(const void* buffer, std::span<const Block> blocks, std::byte* packed, Handle comm);
int unpack(const std::byte* packed, void* buffer, std::span<const Block> blocks, Handle comm);

}  // namespace tutti::mpi
