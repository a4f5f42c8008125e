// Rails: all ranks of the outermost groups (hosts) stand at the borders. A vector is cut into parts, one for each rail, and on a
// rail every group has one rank that stands for it. There are as many rails as the smallest group has ranks; but where that is no
// more than half of the largest, as many as the largest: in smaller groups a rank then stands on several rails side by side, so
// that its parts are one slice. So no rank has more than twice its share of what its group has to do.
//
//   groups {0 1 2}, {3 4}       2 rails: 0 3 and 1 4
//   groups {0 1 2 3}, {4 5}     4 rails: 0 4 and 1 4 and 2 5 and 3 5
//
// Inside a group every rank reaches every other directly.
#pragma once

#include <algorithm>
#include <map>
#include <vector>

#include "algorithms/patterns/combine.h"
#include "algorithms/patterns/peers.h"
#include "algorithms/registry.h"

namespace tutti {

class Rails {
 public:
  // `shape` has levels.
  explicit Rails(const Shape& shape) : groups_(shape.levels->back()) {
    const bool similar = 2 * groups_.smallest() > groups_.largest();
    count_ = static_cast<std::uint32_t>(similar ? groups_.smallest() : groups_.largest());
  }

  struct Range {
    std::uint32_t first = 0, count = 0;
  };
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  [[nodiscard]] Rank groups() const noexcept { return static_cast<Rank>(groups_.groups()); }
  [[nodiscard]] Rank group_of(Rank rank) const noexcept { return groups_.group_of(rank); }
  [[nodiscard]] std::span<const Rank> members(Rank group) const noexcept { return groups_.members(group); }
  // Who stands on a rail for a group.
  [[nodiscard]] Rank rank(Rank group, std::uint32_t rail) const noexcept {
    const auto all = members(group);
    return all[rail * all.size() / count()];
  }
  // On which rails a rank stands.
  [[nodiscard]] Range of(Rank rank) const noexcept {
    const auto size = static_cast<std::uint32_t>(members(group_of(rank)).size());
    const auto index = static_cast<std::uint32_t>(groups_.index_in_group(rank));
    const auto begin = [&](std::uint32_t i) { return (i * count() + size - 1) / size; };
    return {begin(index), begin(index + 1) - begin(index)};
  }

  // The most rails that any rank stands on.
  [[nodiscard]] std::uint32_t most() const noexcept {
    const auto least = static_cast<std::uint32_t>(groups_.smallest());
    return (count() + least - 1) / least;
  }
  // How many rails may have to wait for one another: where the same two ranks stand on several, their messages go in turn.
  [[nodiscard]] std::uint32_t in_turn() const {
    std::map<std::size_t, int> of_size;
    for (Rank g = 0; g < groups(); ++g) ++of_size[members(g).size()];
    std::uint32_t longest = 1, run = 1;
    for (std::uint32_t rail = 1; rail < count(); ++rail) {
      int beside = 0;  // groups where one rank stands on this rail and on the one before
      for (const auto& [size, groups] : of_size)
        if (rail * size / count() == (rail - 1) * size / count()) beside += groups;
      run = beside > 1 ? run + 1 : 1;
      longest = std::max(longest, run);
    }
    return longest;
  }

  template <class Visit>
  void for_each_peer(Rank me, Visit&& visit) const {
    peers::for_each(groups_, me, visit);
  }

 private:
  const Grouping& groups_;
  std::uint32_t count_ = 1;
};

// Parts that move inside the groups, by level (peers::weigh), at most: what a rank scatters, and what it gathers, or combines.
struct PartsInside {
  std::vector<std::uint64_t> peers, scattered, gathered;  // the first: to how many it does

  PartsInside(const Shape& shape, const Rails& rails)
      : peers(peers::weigh(shape, [](Rank) { return 1; })),
        scattered(peers),
        gathered(peers::weigh(shape, [&](Rank r) { return rails.of(r).count; })) {
    for (std::uint64_t& parts : scattered) parts = std::min(parts * rails.most(), std::uint64_t{rails.count()});
  }
};

// The parts of a vector, each `width` chunks, one for each rail.
struct Parts {
  const Rails& rails;
  std::uint32_t width = 1;

  [[nodiscard]] Slice of(const Slice& vector, Rails::Range range) const noexcept {
    return {vector.buffer, vector.chunk + range.first * width, range.count * width};
  }
  [[nodiscard]] Slice of(const Slice& vector, Rank rank) const noexcept { return of(vector, rails.of(rank)); }

  // Inside each group every rank gets what belongs to its rails, combined over the group, in `sum`.
  void reduce_scatter(Builder& b, const Slice& vector, const Slice& sum, std::uint16_t channel) const {
    const auto members = rails.members(rails.group_of(b.me()));
    const Slice own = of(vector, b.me());
    std::vector<Slice> contributions(members.size(), own);
    const auto index = [&](Rank rank) { return std::lower_bound(members.begin(), members.end(), rank) - members.begin(); };
    rails.for_each_peer(b.me(), [&](Rank to, Rank from) {
      if (const Slice theirs = of(vector, to); theirs.count > 0) b.send(theirs, to, channel);
      if (own.count == 0) return;
      const Slice arrival = b.scratch_like(own);
      contributions[static_cast<std::size_t>(index(from))] = arrival;
      b.recv(from, arrival, channel);
    });
    if (own.count > 0) combine_in_rank_order(b, contributions, static_cast<std::size_t>(index(b.me())), sum);
  }

  // Inside each group everybody but `except` gets what the others have of their rails.
  void all_gather(Builder& b, const Slice& vector, std::uint16_t channel, Rank except = kNoRank) const {
    rails.for_each_peer(b.me(), [&](Rank to, Rank from) {
      if (const Slice own = of(vector, b.me()); own.count > 0 && to != except) b.send(own, to, channel);
      if (const Slice theirs = of(vector, from); theirs.count > 0 && b.me() != except) b.recv(from, theirs, channel);
    });
  }
};

}  // namespace tutti
