// The memory that two ranks move large messages through. It is cut into cells, and each cell belongs to one of the two at a time:
// its owner fills it and says so, and it belongs to the other one from then on, who takes the bytes out and may fill it next.
//
// So the lines that a rank writes are those that it has read just now, which its own cache holds. Where each side has a ring of
// its own to write to, each line has to come back from the reader's cache before it can be written again, and moves twice for
// each time that it carries something.
//
// Whoever takes a cell and then has more than its half and a few gives back all above the half, as many entries as lie in a line
// of the queue that says so; what the other side has given back to it and it has not used counts. And never more than a certain
// number of a rank's cells lie before the other side. So nobody is left without cells for long: when all have been taken that a
// rank sent, the other one has no more than its half and a few and what it has sent itself, and that is less than all.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "tutti/types.h"

namespace tutti::shm {

// One rank's view of the cells of a connection. Both ranks cut the memory alike.
class Cells {
 public:
  static constexpr std::uint32_t kMost = 128;
  static constexpr std::size_t kMostBytes = std::size_t{32} << 10;   // of a cell
  static constexpr std::size_t kLeastMemory = std::size_t{8} << 10;  // 16 cells of 512 bytes
  static constexpr std::size_t kMostMemory = std::size_t{kMost} * kMostBytes;

  // Memory of a power of two, within these bounds. `first_half`: owns the first half at the beginning.
  void open(Bytes memory, bool first_half) noexcept {
    memory_ = memory.data();
    cell_bytes_ = std::clamp(memory.size() / 32, kLeastMemory / 16, kMostBytes);
    number_ = static_cast<std::uint32_t>(memory.size() / cell_bytes_);
    for (std::uint32_t i = 0; i < number_ / 2; ++i) (void)give(first_half ? i : number_ / 2 + i);
  }
  [[nodiscard]] std::size_t cell_bytes() const noexcept { return cell_bytes_; }
  [[nodiscard]] bool is_cell(std::uint64_t number) const noexcept { return number < number_; }
  [[nodiscard]] std::byte* at(std::uint32_t cell) const noexcept { return memory_ + cell * cell_bytes_; }

  // How many cells may lie before the other side.
  [[nodiscard]] std::uint32_t most_sent() const noexcept { return number_ / 2 - spare() - number_ / 8; }
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  // Whether to look for cells that the other side has given back.
  [[nodiscard]] bool lacks() const noexcept { return count_ + spare() < number_ / 2; }
  // The cell to fill next, the one that was taken over last, which the caches hold, or the one that was first, which may have
  // left them; not when empty.
  std::uint32_t take_newest() noexcept { return ids_[(first_ + --count_) % kMost]; }
  std::uint32_t take_oldest() noexcept {
    --count_;
    return ids_[first_++ % kMost];
  }
  // false: there are not so many.
  [[nodiscard]] bool give(std::uint32_t cell) noexcept {
    if (count_ == number_) return false;
    ids_[(first_ + count_++) % kMost] = static_cast<std::uint16_t>(cell);
    return true;
  }
  // When there are too many, `give_back` gets one after the other until the half is left, the oldest of those above it first:
  // those below may never have been in use.
  template <class GiveBack>
  void give_back_surplus(GiveBack&& give_back) {
    const std::uint32_t half = number_ / 2;
    if (count_ < half + spare()) return;
    for (std::uint32_t i = half; i < count_; ++i) give_back(std::uint32_t{ids_[(first_ + i) % kMost]});
    count_ = half;
  }

 private:
  [[nodiscard]] std::uint32_t spare() const noexcept { return std::min(number_ / 8, 8U); }

  std::byte* memory_ = nullptr;
  std::size_t cell_bytes_ = 0;
  std::uint32_t number_ = 0;
  std::array<std::uint16_t, kMost> ids_{};  // this rank's, oldest first, from first_ on
  std::uint32_t first_ = 0, count_ = 0;
};

}  // namespace tutti::shm
