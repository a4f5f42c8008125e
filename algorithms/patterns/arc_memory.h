// Arcs of blocks (patterns/arc.h) in memory: a buffer has them in the order of ranks, where one that wraps is two slices; scratch
// that is made for an arc has it in its own order, as one slice.
#pragma once

#include "algorithms/patterns/arc.h"
#include "algorithms/patterns/ring.h"
#include "tutti/schedule.h"

namespace tutti {

[[nodiscard]] inline Slice part(const Slice& whole, Rank at, Rank size) noexcept {
  return {whole.buffer, whole.chunk + static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(size)};
}

// Scratch for an arc of the blocks in `all`, which may be a buffer that this rank does not have.
inline Slice room_for_arc(Builder& b, const Slice& all, Arc arc) {
  Slice room;
  for_each_range(arc, b.ranks(), [&](Rank first, Rank count, int number) {
    const Slice range = b.scratch_like(part(all, first, count));
    if (number == 0) room = range;
  });
  room.count = static_cast<std::uint32_t>(arc.size);
  return room;
}

// visit(slice of all, slice of room) for each range of an arc that lies in order in `room`.
template <class Visit>
void for_each_range_in(const Slice& room, Arc arc, const Slice& all, Visit&& visit) {
  Rank at = 0;
  for_each_range(arc, static_cast<Rank>(all.count), [&](Rank first, Rank count, int) {
    visit(part(all, first, count), part(room, at, count));
    at += count;
  });
}

}  // namespace tutti
