// Swing on a torus: who meets whom, in which step. The data is cut into two parts for each dimension, which travel at the same
// time: parts 2d and 2d+1 begin in dimension d, in opposite directions, so in every step a rank uses all its links. A part goes
// from one dimension to the next and, when it comes back to one, takes the next step there (patterns/negabinary.h), until each
// dimension has taken all its steps.
//
//   4x4 torus, part 0     step 0: dimension 0, rho 1     step 1: dimension 1, rho 1
//                         step 2: dimension 0, rho -1    step 3: dimension 1, rho -1
//
// A single part where the ranks are no torus, or one with a dimension that is not even: all ranks on one circle. Steps are
// numbered near to far.
//
// Source: D. De Sensi, T. Bonato, D. Saam, T. Hoefler, "Swing: Short-cutting Rings for Higher Bandwidth Allreduce", NSDI 2024.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "algorithms/patterns/negabinary.h"
#include "schedule/carried.h"
#include "tutti/schedule.h"

namespace tutti {

class Swing {
 public:
  struct Step {
    std::size_t dimension = 0;
    int number = 0;  // within the dimension
  };

  explicit Swing(const Shape& shape) : ranks_(shape.ranks) {
    for (const Rank size : shape.torus)
      if (size > 1) sizes_.push_back(size);
    parts_ = static_cast<std::uint32_t>(2 * sizes_.size());
    if (sizes_.empty() || std::ranges::any_of(sizes_, [](Rank size) { return size % 2 != 0; })) {
      sizes_ = {ranks_};
      parts_ = 1;
    }
    strides_.resize(sizes_.size(), 1);
    for (std::size_t d = sizes_.size(); d-- > 1;) strides_[d - 1] = strides_[d] * sizes_[d];
  }

  [[nodiscard]] Rank ranks() const noexcept { return ranks_; }
  [[nodiscard]] std::uint32_t parts() const noexcept { return parts_; }
  [[nodiscard]] bool power_of_two() const noexcept { return std::has_single_bit(static_cast<std::uint32_t>(ranks_)); }

  [[nodiscard]] std::vector<Step> steps(std::uint32_t part) const {
    std::vector<Step> steps;
    for (int number = 0, added = 1; added > 0; ++number) {
      added = 0;
      for (std::size_t i = 0; i < sizes_.size(); ++i) {
        const std::size_t d = (part / 2 + i) % sizes_.size();
        if (number >= negabinary::steps(sizes_[d])) continue;
        steps.push_back({d, number});
        ++added;
      }
    }
    return steps;
  }

  [[nodiscard]] Rank peer(Rank me, std::uint32_t part, Step step) const noexcept {
    const Rank way = negabinary::way(coordinate(me, step.dimension), step.number);
    return shifted(me, step.dimension, part % 2 == 0 ? way : -way);
  }

  // For a power of two of ranks. Ranks that meet in this step or in later ones fall into two halves, which meet in this step
  // only. Both know which is which: an even rank and the odd one it meets in the last step have the number of the even one, whose
  // next bit tells them apart from others; in the last step, even and odd do.
  [[nodiscard]] bool in_second_half(Rank me, std::uint32_t part, Step step) const noexcept {
    const Rank size = sizes_[step.dimension], last = negabinary::steps(size) - 1;
    const Rank at = ring::shift(0, part % 2 == 0 ? coordinate(me, step.dimension) : -coordinate(me, step.dimension), size);
    if (step.number == last) return at % 2 != 0;
    const Rank even = at % 2 == 0 ? at : ring::shift(at, -negabinary::rho(last), size);
    return (even >> (step.number + 1)) % 2 != 0;
  }

  // Offsets, packed as ranks are: in each dimension, how far a rank with an even coordinate has to go. One with an odd coordinate
  // goes as far the other way, and so does everybody in the second part of a dimension.
  [[nodiscard]] Rank at_offset(Rank me, std::uint32_t part, Rank offset) const noexcept {
    Rank at = me;
    for (std::size_t d = 0; d < sizes_.size(); ++d) {
      const bool forward = (coordinate(me, d) % 2 == 0) == (part % 2 == 0);
      at = shifted(at, d, forward ? coordinate(offset, d) : -coordinate(offset, d));
    }
    return at;
  }
  // What is at `offset` of a rank's peer, seen from the rank.
  [[nodiscard]] Rank from_peer(Rank offset, Step step) const noexcept {
    return shifted(offset, step.dimension, negabinary::rho(step.number) - 2 * coordinate(offset, step.dimension));
  }

  // What a rank sends in each step, in blocks of a part, if it gathers blocks far to near or scatters them near to far.
  [[nodiscard]] std::vector<std::uint64_t> blocks(std::uint32_t part) const {
    const std::vector<Step> all = steps(part);
    std::vector<std::uint64_t> sent(all.size());
    std::uint64_t known = 1;
    for (std::size_t s = all.size(); s-- > 0;) {
      const Rank size = sizes_[all[s].dimension];
      const auto before = static_cast<std::uint64_t>(negabinary::known_from(all[s].number + 1, size)),
                 after = static_cast<std::uint64_t>(negabinary::known_from(all[s].number, size));
      sent[s] = known / before * (after - before);
      known += sent[s];
    }
    return sent;
  }

  // That a rank sends, and receives, in all steps of all parts.
  [[nodiscard]] std::uint64_t messages() const { return parts_ * steps(0).size(); }

  // The longest chain of messages of such a scatter or gather, and the heaviest. One step of a dimension of 3 * 2^k carries the
  // two blocks of its group that are still lacking, and neither came in the step before, if that was of the same dimension.
  struct Chain {
    std::uint64_t rounds = 0, path = 0;
  };
  [[nodiscard]] Chain longest_chain() const {
    Chain longest;
    for (std::uint32_t part = 0; part < parts_; part += 2) {
      const std::vector<Step> all = steps(part);
      const std::vector<std::uint64_t> sent = blocks(part);
      Chain chain{.rounds = all.size(), .path = static_cast<std::uint64_t>(ranks_ - 1)};
      for (std::size_t s = 0; s + 1 < all.size(); ++s) {
        const int twos = std::countr_zero(static_cast<std::uint32_t>(sizes_[all[s].dimension]));
        const bool lacks_two = sizes_[all[s].dimension] == Rank{3} << twos && all[s].number == twos - 1;
        if (!lacks_two || all[s].dimension != all[s + 1].dimension) continue;
        chain.rounds -= 1;
        chain.path -= sent[s];
      }
      longest = {std::max(longest.rounds, chain.rounds), std::max(longest.path, chain.path)};
    }
    return longest;
  }

  // Such a scatter or gather of all parts, in blocks of a part.
  void tell(Carried& network) const {
    for (std::uint32_t part = 0; part < parts_; ++part) {
      const std::vector<Step> all = steps(part);
      const std::vector<std::uint64_t> sent = blocks(part);
      for (std::size_t s = 0; s < all.size(); ++s)
        for (Rank r = 0; r < ranks_; ++r) network.message(r, peer(r, part, all[s]), sent[s]);
    }
  }

 private:
  [[nodiscard]] Rank coordinate(Rank rank, std::size_t d) const noexcept { return rank / strides_[d] % sizes_[d]; }
  [[nodiscard]] Rank shifted(Rank rank, std::size_t d, Rank way) const noexcept {
    const Rank at = coordinate(rank, d);
    return rank + (ring::shift(at, way, sizes_[d]) - at) * strides_[d];
  }

  Rank ranks_;
  std::uint32_t parts_ = 1;
  std::vector<Rank> sizes_, strides_;  // by dimension
};

}  // namespace tutti
