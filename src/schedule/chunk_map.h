// Turns chunks into element ranges: the one place where counts, displacements, uneven tails and empty chunks are handled.
//
// A block of n elements is cut into C chunks at multiples of 64 bytes where it is large enough, evenly to within one such
// unit; the cut depends on (n, C, element size) only, so all ranks cut alike. Uniform blocks cost O(1) memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tutti/schedule.h"

namespace tutti {

struct Extent {
  std::uint64_t offset = 0;  // elements from the start of the buffer
  std::uint64_t count = 0;
  friend bool operator==(const Extent&, const Extent&) = default;
};

// Element counts of a call's blocks: uniform, or one count per block with optional displacements (in elements).
struct Blocks {
  std::uint64_t uniform = 0;
  std::span<const std::uint64_t> counts = {};         // empty: uniform
  std::span<const std::uint64_t> displacements = {};  // empty: blocks lie one after the other
};

class ChunkMap {
 public:
  // `input` and `output` describe the blocks of the two buffers; where a buffer has a single block (the rank's own) in a
  // collective with p blocks, its count is looked up in the other one. For all_to_all(v) both are given.
  ChunkMap(Collective collective, Rank rank, Rank ranks, std::uint32_t chunks_per_block, const Blocks& input,
           const Blocks& output, std::size_t element_size, const ChunkList& scratch);

  // Offset and count of one chunk. Scratch chunks lie one after the other.
  [[nodiscard]] Extent chunk(Buffer buffer, std::uint32_t index) const;
  // A slice as contiguous extents, one message each. With equal blocks that is always a single one; with v-variants it is cut
  // at every chunk, so that both sides of a message cut alike whatever their displacements are.
  [[nodiscard]] std::vector<Extent> extents(const Slice& slice) const;
  [[nodiscard]] std::uint64_t scratch_elements() const noexcept { return scratch_begin_.empty() ? 0 : scratch_begin_.back(); }

 private:
  struct Side {
    std::uint32_t blocks = 0;
    std::uint64_t uniform = 0;
    std::vector<std::uint64_t> counts, begin;
    [[nodiscard]] std::uint64_t count(std::uint32_t block) const { return counts.empty() ? uniform : counts[block]; }
    [[nodiscard]] std::uint64_t offset(std::uint32_t block) const { return begin.empty() ? uniform * block : begin[block]; }
  };
  [[nodiscard]] Extent cut(std::uint64_t block_offset, std::uint64_t block_count, std::uint32_t part) const;
  [[nodiscard]] const Side& side(Buffer buffer) const { return buffer == Buffer::input ? input_ : output_; }

  std::uint32_t parts_;
  std::uint64_t unit_;
  bool split_blocks_;
  Side input_, output_;
  std::vector<std::uint64_t> scratch_begin_;  // prefix sums in elements
  std::vector<std::uint64_t> scratch_count_;
};

}  // namespace tutti
