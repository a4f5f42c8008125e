// Slots: an order of the blocks of one part (patterns/swing.h) that is equal on all ranks, in which what travels in a step is one
// range, for all_gathers that take Swing's steps far to near, and for reduce_scatters that go the same way backwards. Slot 0 is a
// rank's own block; in each step what the peer has is appended, block by block in the peer's order. Where the number of ranks is
// no power of two some of that is there already: of each dimension one step carries but what is lacking.
//
//   6 ranks     slots of rank 0 after step 2: 0 3      (met 3)
//                            after step 1: 0 3 5 2     (met 5, which had 5 2)
//                            after step 0: 0 3 5 2 1 4 (met 1, which had 1 4 2 5: 2 and 5 are there)
#pragma once

#include <vector>

#include "algorithms/patterns/swing.h"

namespace tutti {

class SwingSlots {
 public:
  struct Run {
    std::uint32_t first = 0, count = 0;
  };
  struct Round {
    Swing::Step step;
    std::vector<Run> sent;  // slots of the sender, which become [received.first, ...) of the receiver
    Run received;
  };

  SwingSlots(const Swing& swing, std::uint32_t part) : swing_(&swing), part_(part), offsets_{0} {
    std::vector<bool> held(static_cast<std::size_t>(swing.ranks()));
    held[0] = true;
    const std::vector<Swing::Step> steps = swing.steps(part);
    for (auto step = steps.rbegin(); step != steps.rend(); ++step) append(*step, held);
  }

  [[nodiscard]] const std::vector<Round>& rounds() const noexcept { return rounds_; }  // far to near
  [[nodiscard]] std::uint32_t slots() const noexcept { return static_cast<std::uint32_t>(offsets_.size()); }
  // Whose block lies there.
  [[nodiscard]] std::uint32_t block(std::uint32_t slot, Rank me) const noexcept {
    return static_cast<std::uint32_t>(swing_->at_offset(me, part_, offsets_[slot]));
  }

 private:
  void append(Swing::Step step, std::vector<bool>& held) {
    const std::uint32_t before = slots();
    Round round{.step = step, .sent = {}, .received = {before, 0}};
    for (std::uint32_t slot = 0; slot < before; ++slot) {
      const Rank offset = swing_->from_peer(offsets_[slot], step);
      if (held[static_cast<std::size_t>(offset)]) continue;
      held[static_cast<std::size_t>(offset)] = true;
      offsets_.push_back(offset);
      ++round.received.count;
      if (round.sent.empty() || round.sent.back().first + round.sent.back().count != slot)
        round.sent.push_back({slot, 1});
      else
        ++round.sent.back().count;
    }
    rounds_.push_back(std::move(round));
  }

  const Swing* swing_;
  std::uint32_t part_;
  std::vector<Rank> offsets_;  // by slot
  std::vector<Round> rounds_;
};

}  // namespace tutti
