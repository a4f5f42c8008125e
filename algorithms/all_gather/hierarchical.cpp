// Hierarchical all_gather. Ranks meet in stages, one per level of the machine, led by the lowest rank (patterns/stages.h).
// Going outwards, blocks are gathered up a binomial tree to the leader of each group; the outermost leaders swap what they
// have by doubling; going back inwards, each leader broadcasts the whole down the same trees. Only outermost leaders send
// over the widest link, and each block crosses it as rarely as among that many ranks.
// A group's blocks are one slice: of the output where groups are ranges of ranks, else of a scratch copy of it in the order of
// the machine (patterns/grouped_order.h), which is put into rank order at the end.
//
//   4 ranks in two groups of 2     0          1          2          3
//   stage 0, gather                a <-- b -- 1          c <-- d -- 3
//   stage 1, leaders swap          ab <--------------->  cd
//   stage 0, broadcast             0 - abcd-> 1          2 - abcd-> 3
//
// Source: J. L. Träff, "Efficient Allgather for Regular SMP-Clusters", EuroPVM/MPI 2006.
#include "algorithms/all_gather/all_gather.h"
#include "algorithms/patterns/doubling.h"
#include "algorithms/patterns/grouped_order.h"
#include "algorithms/patterns/knomial_tree.h"
#include "algorithms/patterns/stages.h"

namespace tutti::all_gather_algorithms {
namespace {

// The blocks of all ranks in the order of the machine.
class Blocks {
 public:
  Blocks(Builder& b, const Shape& shape)
      : b_(b), shape_(shape), order_(shape), all_(b.output(0, static_cast<std::uint32_t>(shape.ranks))) {
    if (order_.is_rank_order()) return;
    const Slice first = b.scratch_like(block(order_.rank_at(0)));
    for (Rank at = 1; at < shape.ranks; ++at) (void)b.scratch_like(block(order_.rank_at(at)));
    all_ = {first.buffer, first.chunk, all_.count};
  }

  [[nodiscard]] Slice all() const { return all_; }
  // What members [first, first + size) of a meeting bring along: the blocks of the groups they lead.
  [[nodiscard]] Slice of(std::size_t stage, const stages::Meeting& meeting, Rank first, Rank size) const {
    const Rank last = meeting.members[static_cast<std::size_t>(first + size - 1)];
    const Rank begin = order_.position(meeting.members[static_cast<std::size_t>(first)]);
    const Rank end = order_.position(last) + led(stage, last);
    return {all_.buffer, all_.chunk + static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end - begin)};
  }
  // Puts the blocks into rank order.
  void finish() {
    if (order_.is_rank_order()) return;
    for (Rank at = 0, run = 1; at < shape_.ranks; at += run, run = 1) {
      while (at + run < shape_.ranks && order_.rank_at(at + run) == order_.rank_at(at) + run) ++run;
      const auto from = all_.chunk + static_cast<std::uint32_t>(at), count = static_cast<std::uint32_t>(run);
      b_.copy({all_.buffer, from, count}, b_.output(static_cast<std::uint32_t>(order_.rank_at(at)), count));
    }
  }

 private:
  [[nodiscard]] Slice block(Rank rank) const { return {Buffer::output, static_cast<std::uint32_t>(rank), 1}; }
  // How many ranks a member of a stage stands for.
  [[nodiscard]] Rank led(std::size_t stage, Rank member) const {
    if (stage == 0) return 1;
    const Grouping& below = (*shape_.levels)[stage - 1];
    return static_cast<Rank>(below.members(below.group_of(member)).size());
  }

  Builder& b_;
  const Shape& shape_;
  GroupedOrder order_;
  Slice all_;
};

// One rank's place in the tree of one stage.
struct Stage {
  stages::Meeting meeting;
  knomial_tree::Node node;

  [[nodiscard]] Rank rank(Rank index) const { return meeting.members[static_cast<std::size_t>(index)]; }
};

// The stages below the outermost that a rank takes part in: those up to the first that it does not lead.
std::vector<Stage> inner_stages(Rank me, const Shape& shape) {
  std::vector<Stage> result;
  for (std::size_t stage = 0; stage + 1 < stages::count(shape); ++stage) {
    auto meeting = stages::meeting(shape, stage, me);
    const auto node = knomial_tree::find(meeting.index, 0, meeting.size());
    result.push_back({std::move(meeting), node});
    if (node.parent != kNoRank) break;
  }
  return result;
}

// The most ranks that one member of a stage stands for.
Rank largest_group(const Shape& shape, std::size_t stage) {
  if (stage == 0) return 1;
  const Grouping& below = (*shape.levels)[stage - 1];
  std::size_t largest = 0;
  for (int g = 0; g < below.groups(); ++g) largest = std::max(largest, below.members(g).size());
  return static_cast<Rank>(largest);
}

}  // namespace

Schedule hierarchical(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::all_gather, "hierarchical", me, shape, 1);
  Blocks blocks(b, shape);
  const std::vector<Stage> inner = inner_stages(me, shape);
  const bool leads_all = inner.empty() || inner.back().node.parent == kNoRank;
  const bool leaf = !leads_all && inner.size() == 1 && inner[0].node.below.size == 1;

  const stages::Meeting alone{.members = {me}, .index = 0};
  if (!leaf) b.copy(b.input(0), blocks.of(0, alone, 0, 1));
  for (std::size_t s = 0; s < inner.size(); ++s) {
    const auto held = [&](const knomial_tree::Group& group) { return blocks.of(s, inner[s].meeting, group.first, group.size); };
    knomial_tree::for_each_child(inner[s].node,
                                 [&](const knomial_tree::Group& child) { b.recv(inner[s].rank(child.root), held(child)); });
    if (inner[s].node.parent != kNoRank)
      b.send(leaf ? b.input(0) : held(inner[s].node.below), inner[s].rank(inner[s].node.parent));
  }
  if (leads_all) {
    const std::size_t last = stages::count(shape) - 1;
    const stages::Meeting leaders = stages::meeting(shape, last, me);
    const auto held = [&](doubling::Range range) { return blocks.of(last, leaders, range.first, range.size); };
    const auto rank = [&](Rank index) { return leaders.members[static_cast<std::size_t>(index)]; };
    doubling::for_each_exchange(leaders.index, {0, leaders.size()}, 2, [&](const doubling::Exchange& x) {
      if (x.paired) b.send(held(x.mine), rank(x.partner));
      b.recv(rank(x.partner), held(x.other));
      if (x.unpaired != kNoRank) b.send(held(x.mine), rank(x.unpaired));
    });
  }
  for (std::size_t s = inner.size(); s-- > 0;) {
    const auto& [meeting, node] = inner[s];
    if (node.parent != kNoRank) b.recv(inner[s].rank(node.parent), blocks.all());
    knomial_tree::for_each_child(node,
                                 [&](const knomial_tree::Group& child) { b.send(blocks.all(), inner[s].rank(child.root)); });
  }
  blocks.finish();
  return std::move(b).finish();
}

Cost hierarchical_cost(const Shape& shape, const Chunking&) {
  const stages::Sizes sizes = stages::sizes(shape);
  const auto all = static_cast<std::uint64_t>(shape.ranks);
  Cost cost{.chunks_per_block = 1, .levels = {}, .exact = sizes.equal};
  for (std::size_t stage = 0; stage < stages::count(shape); ++stage) {
    const Rank met = sizes.most[stage];
    const auto each = static_cast<std::uint64_t>(largest_group(shape, stage));  // blocks that each brings along
    const bool last = stage + 1 == stages::count(shape);
    const std::uint64_t depth = knomial_tree::extremes(0, met).depth;
    const std::uint64_t rounds = last ? doubling::rounds(met) : 2 * depth;  // else up and down again
    const std::uint64_t path =
        last ? doubling::heaviest_path(met) * each : knomial_tree::extremes(0, met).heaviest * each + depth * all;
    const std::uint64_t sent = last ? doubling::sent_by_busiest(met) * each : knomial_tree::extremes(0, met).widest * all;
    cost.levels.push_back({.level = static_cast<int>(stage),
                           .rounds = static_cast<std::uint32_t>(rounds),
                           .path = path,
                           .sent = sent,
                           .posted = last ? doubling::posted(met) : knomial_tree::extremes(0, met).widest});
  }
  return cost;
}

}  // namespace tutti::all_gather_algorithms
