#include "schedule/chunk_map.h"

#include <algorithm>

namespace tutti {
namespace {

constexpr std::uint64_t kUnitBytes = 64;  // chunks start on cache lines where they are large enough

bool many_blocks(Collective collective, Buffer buffer) {
  return buffer == Buffer::input ? input_chunks(collective, 2, 1) == 2 : output_chunks(collective, 2, 1) == 2;
}

}  // namespace

ChunkMap::ChunkMap(Collective collective, Rank rank, Rank ranks, std::uint32_t chunks_per_block, const Blocks& input,
                   const Blocks& output, std::size_t element_size, const ChunkList& scratch)
    : parts_(chunks_per_block),
      unit_(std::max<std::uint64_t>(1, kUnitBytes / element_size)),
      split_blocks_(!input.counts.empty() || !output.counts.empty()) {
  const auto fill = [&](Side& side, Buffer buffer, const Blocks& own, const Blocks& other) {
    const bool many = many_blocks(collective, buffer);
    side.blocks = many ? static_cast<std::uint32_t>(ranks) : 1;
    side.uniform = own.uniform;
    if (many) {
      side.counts.assign(own.counts.begin(), own.counts.end());
      side.begin.assign(own.displacements.begin(), own.displacements.end());
      if (!side.counts.empty() && side.begin.empty()) {
        side.begin.resize(side.counts.size());
        for (std::size_t b = 1; b < side.counts.size(); ++b) side.begin[b] = side.begin[b - 1] + side.counts[b - 1];
      }
    } else if (!other.counts.empty()) {
      side.uniform = other.counts[static_cast<std::size_t>(rank)];
    }
  };
  fill(input_, Buffer::input, input, output);
  fill(output_, Buffer::output, output, input);

  const bool input_many = input_.blocks > 1 || many_blocks(collective, Buffer::input);
  const std::uint32_t input_side = input_.blocks * parts_;
  scratch_begin_.push_back(0);
  const auto add = [&](std::uint32_t like) {
    // all_to_all numbers its output chunks behind its input chunks; the others have one numbering of data chunks.
    const bool is_all_to_all = collective == Collective::all_to_all;
    const Buffer buffer =
        is_all_to_all ? (like < input_side ? Buffer::input : Buffer::output) : (input_many ? Buffer::input : Buffer::output);
    const std::uint64_t count = chunk(buffer, is_all_to_all && like >= input_side ? like - input_side : like).count;
    scratch_count_.push_back(count);
    scratch_begin_.push_back(scratch_begin_.back() + count);
  };
  scratch.for_each_range([&](std::uint32_t first, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) add(first + i);
  });
}

Extent ChunkMap::cut(std::uint64_t block_offset, std::uint64_t block_count, std::uint32_t part) const {
  // Small blocks are cut at elements so that no rank goes without work for the sake of alignment.
  const std::uint64_t unit = block_count >= unit_ * parts_ ? unit_ : 1;
  const std::uint64_t units = (block_count + unit - 1) / unit;
  const auto at = [&](std::uint64_t i) {
    return std::min(block_count, (units / parts_ * i + units % parts_ * i / parts_) * unit);
  };
  return {block_offset + at(part), at(part + 1) - at(part)};
}

Extent ChunkMap::chunk(Buffer buffer, std::uint32_t index) const {
  if (buffer == Buffer::scratch) return {scratch_begin_[index], scratch_count_[index]};
  const Side& s = side(buffer);
  const std::uint32_t block = index / parts_;
  return cut(s.offset(block), s.count(block), index % parts_);
}

std::vector<Extent> ChunkMap::extents(const Slice& slice) const {
  std::vector<Extent> result;
  for (std::uint32_t i = 0; i < slice.count; ++i) {
    const Extent next = chunk(slice.buffer, slice.chunk + i);
    if (!result.empty() && !split_blocks_ && result.back().offset + result.back().count == next.offset)
      result.back().count += next.count;
    else
      result.push_back(next);
  }
  return result;
}

}  // namespace tutti
