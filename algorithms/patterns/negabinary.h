// Numbers to base -2, and what Swing and Bine trees make of them: peers at distances of alternating sign on a circle of an even
// number of ranks. In step s an even rank meets the one rho(s) = 1 + (-2) + (-2)^2 + ... + (-2)^s further on, an odd rank the one
// rho(s) back. rho is odd, so even ranks meet odd ones, and both agree. The way is 1, 1, 3, 5, 11, 21, ..., two thirds of the 1,
// 2, 4, 8, 16, 32, ... of other algorithms that double.
//
//   8 ranks      0   1   2   3   4   5   6   7
//   step 0       0---1   2---3   4---5   6---7           rho = 1
//   step 1     --0   1---2   3---4   5---6   7--         rho = -1
//   step 2       0-----------3   4-----------7           rho = 3, and 2 with 5, 6 with 1
//
// What a rank reaches by steps k-1, ..., 1, 0, each taken or left out, are 2^k neighbours: an even rank adds all numbers of k
// digits to base -2, which follow each other, and an odd rank subtracts them. Two that meet in step k stand for neighbouring
// runs.
//
// Sources: D. De Sensi, T. Bonato, D. Saam, T. Hoefler, "Swing: Short-cutting Rings for Higher Bandwidth Allreduce", NSDI 2024;
// D. De Sensi et al., "Bine Trees: Enhancing Collective Operations by Optimizing Communication Locality", SC 2025.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "algorithms/patterns/arc.h"
#include "algorithms/patterns/logarithm.h"
#include "algorithms/patterns/ring.h"
#include "schedule/carried.h"

namespace tutti::negabinary {

[[nodiscard]] constexpr Rank rho(int step) noexcept {
  const std::int64_t power = std::int64_t{1} << (step + 1);  // of 2; of -2 where step is odd
  return static_cast<Rank>((1 - (step % 2 == 0 ? -power : power)) / 3);
}

// Way of `me` in a step, if even numbers go forward.
[[nodiscard]] constexpr Rank way(Rank me, int step) noexcept { return me % 2 == 0 ? rho(step) : -rho(step); }
[[nodiscard]] constexpr Rank peer(Rank me, int step, Rank ranks) noexcept { return ring::shift(me, way(me, step), ranks); }

// Steps until everybody has reached everybody else.
[[nodiscard]] constexpr int steps(Rank ranks) noexcept { return ceil_log2(ranks); }

// The least number of so many digits: those at odd places are all 1.
[[nodiscard]] constexpr Rank least(int digits) noexcept {
  const std::int64_t odd_places = std::int64_t{1} << (digits / 2 * 2);
  return static_cast<Rank>(-2 * (odd_places - 1) / 3);
}

// The ranks that `me` reaches by steps digits-1, ..., 0; 2^digits must be at most `ranks`.
[[nodiscard]] constexpr Arc reach(Rank me, int digits, Rank ranks) noexcept {
  const Rank size = Rank{1} << digits, first = me % 2 == 0 ? least(digits) : 1 - size - least(digits);
  return {ring::shift(me, first, ranks), size};
}
// Whether the run of the one met in `step`, where both stand for what they reach by the steps below, is behind that of `me`.
[[nodiscard]] constexpr bool peer_is_behind(Rank me, int step) noexcept { return way(me, step) > 0; }

// Where all swap what they have, far to near, and nobody gets anything twice: how many ranks' data each has from `step` on. Data
// then comes from all ranks that differ by a multiple of 2^(step+1), or stand opposite of one; where there are not so many, from
// those.
[[nodiscard]] constexpr Rank known_from(int step, Rank ranks) noexcept {
  return step < std::countr_zero(static_cast<std::uint32_t>(ranks)) ? ranks >> step : Rank{1} << (steps(ranks) - step);
}

// All blocks but those of an arc.
[[nodiscard]] constexpr Arc rest(Arc arc, Rank ranks) noexcept {
  return {ring::shift(arc.first, arc.size, ranks), ranks - arc.size};
}

// Arcs of blocks of so many chunks grow from one to all, or shrink; the last step carries what is lacking.
inline void tell(Carried& network, Rank ranks, std::uint64_t chunks) {
  for (int step = 0; step < steps(ranks); ++step) {
    const Rank known = Rank{1} << step, blocks = std::min(known, ranks - known);
    for (Rank r = 0; r < ranks; ++r) network.message(r, peer(r, step, ranks), static_cast<std::uint64_t>(blocks) * chunks);
  }
}

// LevelCost::posted of such a gather, scatter, and scatter with a gather behind it, where blocks lie on a line and an arc that
// wraps is two messages. The first rank's arcs reach to both sides as soon as they have four blocks; a scatter has blocks on the
// line in its farthest step only, where pairs lie within the line.
[[nodiscard]] constexpr std::uint64_t posted_gathering(Rank ranks) noexcept {
  std::uint64_t messages = 0;
  for (int step = 0; step < steps(ranks); ++step) {
    const bool last = step + 1 == steps(ranks);
    const Arc sent = last ? rest(reach(peer(0, step, ranks), step, ranks), ranks) : reach(0, step, ranks);
    messages += sent.first + sent.size > ranks ? 2 : 1;
  }
  return messages;
}
[[nodiscard]] constexpr std::uint64_t posted_scattering(Rank ranks) noexcept {
  const Rank carried = ranks - (Rank{1} << steps(ranks)) / 2;  // in the farthest step
  return static_cast<std::uint64_t>(steps(ranks)) + (carried > 2 ? 1 : 0);
}
[[nodiscard]] constexpr std::uint64_t posted_both_ways(Rank ranks) noexcept {
  return posted_gathering(ranks) + static_cast<std::uint64_t>(steps(ranks));
}

// The longest chain of messages where arcs grow from one block to all or shrink from all to one. Where the farthest step has less
// than half an arc left to carry, that part is not of the arc that the step before it brings.
struct Chain {
  std::uint64_t rounds = 0, path = 0;
  friend constexpr bool operator==(const Chain&, const Chain&) = default;
};
[[nodiscard]] constexpr Chain longest_chain(Rank ranks) noexcept {
  const Rank known = (Rank{1} << steps(ranks)) / 2, carried = ranks - known;  // before and in the farthest step
  if (2 * carried <= known)
    return {.rounds = static_cast<std::uint64_t>(steps(ranks) - 1), .path = static_cast<std::uint64_t>(known - 1)};
  return {.rounds = static_cast<std::uint64_t>(steps(ranks)), .path = static_cast<std::uint64_t>(ranks - 1)};
}

static_assert(rho(0) == 1 && rho(1) == -1 && rho(2) == 3 && rho(3) == -5 && rho(4) == 11 && rho(5) == -21);
static_assert(peer(0, 2, 8) == 3 && peer(3, 2, 8) == 0 && peer(1, 2, 8) == 6 && peer(2, 1, 6) == 1 && peer(0, 1, 6) == 5);
static_assert(least(0) == 0 && least(1) == 0 && least(2) == -2 && least(3) == -2 && least(4) == -10 && least(5) == -10);
static_assert(reach(0, 2, 8).first == 6 && reach(3, 2, 8).first == 2 && reach(1, 1, 8).first == 0 && reach(5, 0, 8).first == 5);
static_assert(known_from(2, 6) == 2 && known_from(1, 6) == 4 && known_from(0, 6) == 6 && known_from(1, 12) == 6);
static_assert(longest_chain(2) == Chain{1, 1} && longest_chain(6) == Chain{2, 3} && longest_chain(8) == Chain{3, 7});

}  // namespace tutti::negabinary
