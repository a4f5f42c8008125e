// Rails: all ranks of the outermost groups (hosts) stand at the borders. A vector is cut into as many parts as the largest group
// has ranks. On each rail, one per part, every group has one rank that stands for it; where a group is smaller, a rank stands on
// several rails side by side, so that its parts are one slice.
//
//   groups {0 1 2}, {3 4}      rail 0: 0 3      rail 1: 1 3      rail 2: 2 4
//
// Inside a group every rank reaches every other directly.
#pragma once

#include <algorithm>
#include <vector>

#include "algorithms/patterns/combine.h"
#include "algorithms/patterns/peers.h"
#include "algorithms/registry.h"

namespace tutti {

class Rails {
 public:
  // `shape` has levels.
  explicit Rails(const Shape& shape) : groups_(shape.levels->back()) {}

  struct Range {
    std::uint32_t first = 0, count = 0;
  };
  [[nodiscard]] std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(groups_.largest()); }
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
  // The most rails that any rank of a group stands on.
  [[nodiscard]] std::uint32_t most_in(Rank group) const noexcept {
    const auto size = static_cast<std::uint32_t>(members(group).size());
    return (count() + size - 1) / size;
  }

  [[nodiscard]] std::uint32_t most() const noexcept {
    const auto least = static_cast<std::uint32_t>(groups_.smallest());
    return (count() + least - 1) / least;
  }
  // How many rails may have to wait for one another: where two groups are smaller than the largest, the messages of several
  // rails may go between the same two ranks, in turn.
  [[nodiscard]] std::uint32_t in_turn() const noexcept {
    int smaller = 0;
    for (Rank g = 0; g < groups() && smaller < 2; ++g) smaller += members(g).size() < count() ? 1 : 0;
    return smaller < 2 ? 1 : count();
  }

  template <class Visit>
  void for_each_peer(Rank me, Visit&& visit) const {
    peers::for_each(groups_, me, visit);
  }

 private:
  const Grouping& groups_;
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
      const Slice arrival = b.scratch_like(own);
      contributions[static_cast<std::size_t>(index(from))] = arrival;
      b.send(of(vector, to), to, channel);
      b.recv(from, arrival, channel);
    });
    combine_in_rank_order(b, contributions, static_cast<std::size_t>(index(b.me())), sum);
  }

  // Inside each group everybody but `except` gets what the others have of their rails.
  void all_gather(Builder& b, const Slice& vector, std::uint16_t channel, Rank except = kNoRank) const {
    rails.for_each_peer(b.me(), [&](Rank to, Rank from) {
      if (to != except) b.send(of(vector, b.me()), to, channel);
      if (b.me() != except) b.recv(from, of(vector, from), channel);
    });
  }
};

}  // namespace tutti
