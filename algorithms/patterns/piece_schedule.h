// Which piece a rank receives and sends in each round when a root broadcasts n pieces over the circulant graph
// (patterns/circulant.h) to all p ranks in n-1+q rounds, q = ceil(log2 p): as few as there can be when a rank sends and receives
// one piece per round, for any p. Ranks are counted from the root on, which is 0. In round i every rank sends to the one skip(i
// mod q) further on, and receives from the one as far back; skips grow from 1 to about p/2. The root sends piece after piece.
//
//   5 ranks      round      skip      0       1       2       3       4        (what each sends; - nothing)
//   3 pieces     0          1         a       -       -       -       -
//                1          2         b       a       -       -       -        1 has a: 3 gets it
//                2          3         c       a       b       -       -        4 gets a; 2's b is for 0, which is left out
//                3          1         c       ...     and so on; at the end c is all that there is to send
//
// A rank does the same in every q rounds with pieces q further on, so q numbers say what it receives. They are found from the
// paths of falling skips from the root to a rank one lap on, p + r. The first piece (of q, which the root sends in turn) that
// comes to a rank is the number of the last skip on its one greedy path. In the rounds to come r gets each of the others from a
// rank that has had it before, each once and in an order that also suits those that it sends to.
//
// Source: J. L. Träff, "Optimal Broadcast Schedules in Logarithmic Time with Applications to Broadcast, All-Broadcast, Reduction
// and All-Reduction" (2024), arXiv 2407.18004, which also proves it. There, what is sent is found in O(log p), too; here it is
// what the peer receives, in O(log^2 p).
#pragma once

#include <algorithm>
#include <array>
#include <bit>

#include "algorithms/patterns/circulant.h"
#include "algorithms/patterns/ring.h"

namespace tutti::circulant {

inline constexpr int kMostRounds = 31;

// In rounds numbered from 0 to q - 1; skip(q) is all ranks.
[[nodiscard]] constexpr Rank skip(Rank ranks, int number) noexcept { return ((ranks - 1) >> (rounds(ranks) - number)) + 1; }

// The first piece that comes to a rank other than the root: the last skip's number if one goes to it by the largest skips that
// fit.
[[nodiscard]] constexpr int first_piece(Rank rank, Rank ranks) noexcept {
  int number = rounds(ranks);
  while (rank > 0) {
    --number;
    if (skip(ranks, number) <= rank) rank -= skip(ranks, number);
  }
  return number;
}

// The most skips on the greedy path to any rank, which is how far a piece alone would have to go.
[[nodiscard]] constexpr std::uint64_t most_skips(Rank ranks) noexcept {
  std::array<std::uint64_t, kMostRounds + 1> most{};  // to a rank below skip(i)
  for (int number = 1; number <= rounds(ranks); ++number) {
    std::uint64_t taken = 0;
    Rank below = skip(ranks, number);
    for (int i = number; i-- > 0;) {
      if (below <= skip(ranks, i)) continue;
      most[static_cast<std::size_t>(number)] =
          std::max(most[static_cast<std::size_t>(number)], taken + most[static_cast<std::size_t>(i)]);
      below -= skip(ranks, i);
      ++taken;
    }
    most[static_cast<std::size_t>(number)] = std::max(most[static_cast<std::size_t>(number)], taken);
  }
  return most[static_cast<std::size_t>(rounds(ranks))];
}

// The longest chain of messages: a piece's way, behind those that have gone from one rank to another before, once in a turn of q.
// It is shorter than the rounds, in which a rank sends one piece after the other to different ranks.
[[nodiscard]] constexpr std::uint64_t longest_chain(Rank ranks, std::uint32_t pieces) noexcept {
  if (ranks == 1) return 0;
  const auto turn = static_cast<std::uint64_t>(rounds(ranks));
  return most_skips(ranks) + (pieces - 1 + turn - 1) / turn;
}

// What a rank receives (the root: would receive, and does not) in the rounds 0 .. q-1 of any q: pieces counted from the first of
// these q that the root sends, so that those below 0 were sent in the q rounds before, and do not exist at the very beginning.
class Received {
 public:
  constexpr Received(Rank rank, Rank ranks) noexcept
      : ranks_(ranks), rounds_(rounds(ranks)), target_(std::int64_t{ranks} + rank), last_(2 * std::int64_t{ranks}) {
    const int first = first_piece(rank, ranks);
    left_ = ((std::uint64_t{1} << (rounds_ + 1)) - 1) & ~(std::uint64_t{1} << first);
    extend(0, rounds_);
    for (int i = 0; i < rounds_; ++i) piece_[i] = piece_[i] == rounds_ ? first : piece_[i] - rounds_;
  }
  [[nodiscard]] constexpr int operator[](int round) const noexcept { return piece_[static_cast<std::size_t>(round)]; }

 private:
  [[nodiscard]] constexpr std::int64_t reach(int round) const noexcept { return target_ - skip(ranks_, round); }
  // The largest number still left that is not above this one, or -1.
  [[nodiscard]] constexpr int next_left(int number) const noexcept {
    return std::bit_width(left_ & ((std::uint64_t{2} << number) - 1)) - 1;
  }

  // Goes on from a rank (the lap included) by skips of falling size. Ranks that are taken lie ever nearer to the root; the one
  // for a round may not lie beyond the peer in that round. The last skip to it is the piece that comes then.
  constexpr void extend(std::int64_t at, int number) noexcept {
    for (number = next_left(number); number >= 0 && found_ < rounds_; number = number == 0 ? -1 : next_left(number - 1)) {
      const std::int64_t next = at + skip(ranks_, number);
      if (next > reach(found_) || next >= last_) continue;
      if (next <= reach(found_ + 1)) extend(next, number);
      if (found_ == rounds_ || at > reach(found_ + 1)) return;
      last_ = next;
      piece_[static_cast<std::size_t>(found_++)] = number;
      left_ &= ~(std::uint64_t{1} << number);
    }
  }

  Rank ranks_;
  int rounds_, found_ = 0;
  std::int64_t target_, last_;
  std::uint64_t left_ = 0;  // a bit for each skip that no piece has been found for
  std::array<int, kMostRounds> piece_{};
};

// What one rank does in one round; kNoPiece where it does nothing.
inline constexpr std::int64_t kNoPiece = -1;
struct PieceRound {
  Rank to = 0, from = 0;
  std::int64_t sent = kNoPiece, received = kNoPiece;
};

// visit(round) for all n-1+q rounds in order, or the other way round. Rounds are numbered so that the last of them ends a turn of
// q.
template <class Visit>
void for_each_round(Rank me, Rank ranks, std::uint32_t pieces, bool backwards, Visit&& visit) {
  const int turn = rounds(ranks);
  if (turn == 0) return;
  const Received received(me, ranks);
  std::array<int, kMostRounds> sent{};
  for (int i = 0; i < turn; ++i) sent[static_cast<std::size_t>(i)] = Received(ring::shift(me, skip(ranks, i), ranks), ranks)[i];
  const std::int64_t all = std::int64_t{pieces} - 1 + turn, spare = (turn - (std::int64_t{pieces} - 1) % turn) % turn;
  for (std::int64_t n = 0; n < all; ++n) {
    const std::int64_t round = spare + (backwards ? all - 1 - n : n), base = round / turn * turn - spare;
    const int i = static_cast<int>(round % turn);
    // The last piece stands for those that would come after it.
    const auto piece = [&](int number) {
      return base + number < 0 ? kNoPiece : std::min(base + number, std::int64_t{pieces} - 1);
    };
    const Rank distance = skip(ranks, i);
    const Rank to = ring::shift(me, distance, ranks), from = ring::shift(me, -distance, ranks);
    visit(PieceRound{.to = to,
                     .from = from,
                     .sent = to == 0 ? kNoPiece : piece(sent[static_cast<std::size_t>(i)]),
                     .received = me == 0 ? kNoPiece : piece(received[i])});
  }
}

static_assert(skip(11, 0) == 1 && skip(11, 1) == 2 && skip(11, 2) == 3 && skip(11, 3) == 6 && skip(11, 4) == 11);
static_assert(first_piece(1, 5) == 0 && first_piece(2, 5) == 1 && first_piece(4, 5) == 0);
static_assert(most_skips(3) == 1 && most_skips(9) == 2 && most_skips(24) == 4 && most_skips(32) == 5 && longest_chain(9, 6) == 4);

}  // namespace tutti::circulant
