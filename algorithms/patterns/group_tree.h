// Group tree: a binomial tree inside each outermost group (host), below its leader, and one of the leaders. The root leads its
// group, lower ranks the others. Ranks stand in the order of groups, so that those below a rank, in both trees, are a range.
//
//   6 ranks, 3 groups, root 3      0  1 | 2  3 | 4  5
//   inside                         0--1   2--3   4--5
//   leaders                        0---------3---4
#pragma once

#include <algorithm>
#include <vector>

#include "algorithms/patterns/knomial_tree.h"
#include "algorithms/registry.h"

namespace tutti {

class GroupTree {
 public:
  // Of positions in the order of groups.
  struct Range {
    Rank first = 0, count = 1;
  };
  struct Child {
    Rank rank = 0;
    Range below;
  };

  // `shape` has levels.
  GroupTree(Rank me, const Shape& shape) : groups_(shape.levels->back()), root_(shape.root) {
    const Rank group = groups_.group_of(me), begin = first(group);
    const auto inside = knomial_tree::find(groups_.index_in_group(me), leader_index(group), members(group));
    if (inside.parent == kNoRank) {
      const auto leaders = knomial_tree::find(group, groups_.group_of(root_), groups_.groups());
      if (leaders.parent != kNoRank) parent_ = leader(leaders.parent);
      below_ = whole(leaders.below);
      knomial_tree::for_each_child(leaders, [&](const knomial_tree::Group& child) {
        children_.push_back({leader(child.root), whole(child)});
      });
    } else {
      parent_ = rank_at(begin + inside.parent);
      below_ = {begin + inside.below.first, inside.below.size};
    }
    knomial_tree::for_each_child(inside, [&](const knomial_tree::Group& child) {
      children_.push_back({rank_at(begin + child.root), {begin + child.first, child.size}});
    });
  }

  [[nodiscard]] Rank parent() const noexcept { return parent_; }                           // kNoRank for the root
  [[nodiscard]] Range below() const noexcept { return below_; }                            // and the rank itself
  [[nodiscard]] const std::vector<Child>& children() const noexcept { return children_; }  // those in other groups first
  [[nodiscard]] bool in_rank_order() const noexcept { return groups_.ranges(); }
  [[nodiscard]] Rank position(Rank rank) const noexcept { return first(groups_.group_of(rank)) + groups_.index_in_group(rank); }

  // visit(first rank, positions) for ranks of a range that follow each other in both orders.
  template <class Visit>
  void for_each_run(Range range, Visit&& visit) const {
    const Rank end = range.first + range.count;
    for (Rank at = range.first, run = 1; at < end; at += run, run = 1) {
      while (at + run < end && rank_at(at + run) == rank_at(at) + run) ++run;
      visit(rank_at(at), Range{at, run});
    }
  }
  // Room for the blocks, of any sizes, of those below.
  Slice room(Builder& b, Buffer like) const {
    Slice all{Buffer::scratch, 0, 0};
    for_each_run(below_, [&](Rank first_rank, Range run) {
      const Slice some = b.scratch_like({like, static_cast<std::uint32_t>(first_rank), static_cast<std::uint32_t>(run.count)});
      if (all.count == 0) all.chunk = some.chunk;
      all.count += some.count;
    });
    return all;
  }
  // Where the blocks of a range lie in those of all below.
  [[nodiscard]] Slice part(const Slice& all, Range range) const noexcept {
    return {all.buffer, all.chunk + static_cast<std::uint32_t>(range.first - below_.first),
            static_cast<std::uint32_t>(range.count)};
  }

 private:
  [[nodiscard]] Rank members(Rank group) const noexcept { return static_cast<Rank>(groups_.members(group).size()); }
  [[nodiscard]] Rank first(Rank group) const noexcept {
    return static_cast<Rank>(groups_.members(group).data() - groups_.members(0).data());
  }
  [[nodiscard]] Rank rank_at(Rank position) const noexcept { return groups_.members(0).data()[position]; }
  [[nodiscard]] Rank leader_index(Rank group) const noexcept {
    return groups_.group_of(root_) == group ? groups_.index_in_group(root_) : 0;
  }
  [[nodiscard]] Rank leader(Rank group) const noexcept { return rank_at(first(group) + leader_index(group)); }
  [[nodiscard]] Range whole(const knomial_tree::Group& of_groups) const noexcept {
    const Rank begin = first(of_groups.first), last = of_groups.first + of_groups.size - 1;
    return {begin, first(last) + members(last) - begin};
  }

  const Grouping& groups_;
  Rank root_;
  Rank parent_ = kNoRank;
  Range below_;
  std::vector<Child> children_;
};

// The trees' longest ways in messages and in blocks, and the blocks below the largest child: inside groups and between them.
struct GroupTreeCost {
  knomial_tree::Extremes inside, between;
  bool exact = true;

  explicit GroupTreeCost(const Shape& shape) {
    const Grouping& groups = shape.levels->back();
    const Rank most = groups.largest(), root_group = groups.group_of(shape.root);
    inside = knomial_tree::extremes(std::min(most - 1, groups.index_in_group(shape.root)), most);
    if (groups.groups() > 1) {
      const auto others = knomial_tree::extremes(0, most);
      inside.depth = std::max(inside.depth, others.depth);
      inside.heaviest = std::max(inside.heaviest, others.heaviest);
      inside.largest = std::max(inside.largest, others.largest);
      inside.widest = std::max(inside.widest, others.widest);
    }
    between = knomial_tree::extremes(root_group, groups.groups());
    between.heaviest *= static_cast<std::uint64_t>(most);
    between.largest *= static_cast<std::uint64_t>(most);
    exact = groups.equal_sizes() && shape.levels->size() == 1;
  }
};

}  // namespace tutti
