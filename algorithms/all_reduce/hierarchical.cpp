// Hierarchical all_reduce over the levels of the machine (see patterns/stages.h). Going up, each group reduces to its leader, and
// leaders meet in the groups of the next level. The outermost leaders run halving-doubling among themselves; going down, each
// leader broadcasts to its group. So only one rank of a group sends over the slower links around it.
//
//   4 ranks, 2 hosts      0   1 | 2   3
//   up                    0<--1 | 2<--3        ranks of a host
//   across                0<----|>2            halving-doubling among the leaders
//   down                  0-->1 | 2-->3
//
// The vector is cut into pieces that follow each other through the stages, so that all levels are busy at once; a piece has
// a chunk for each core of the halving-doubling. Groups may have any size, and their ranks need not be neighbours.
// Source: N. Karonis et al., "Exploiting Hierarchy in Parallel Computer Networks to Optimize Collective Operation Performance",
// IPDPS 2000.
#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/broadcast/broadcast.h"
#include "algorithms/patterns/folding.h"
#include "algorithms/patterns/stages.h"
#include "algorithms/reduce/reduce.h"

namespace tutti::all_reduce_algorithms {
namespace {

// What one rank does in one stage, for a piece.
struct Stage {
  stages::Meeting meeting;
  Schedule up, down;  // in the last stage `up` is the whole all_reduce and `down` is empty
};

std::vector<Stage> stages_of(Rank me, const Shape& shape) {
  const std::size_t last = stages::count(shape) - 1;
  std::vector<Stage> result;
  for (std::size_t stage = 0; stage <= last; ++stage) {
    Stage s{.meeting = stages::meeting(shape, stage, me), .up = {}, .down = {}};
    const Rank index = s.meeting.index;
    const Shape inner{.ranks = s.meeting.size()};
    if (stage == last) {
      s.up = halving_doubling(index, inner, {});
    } else {
      s.up = reduce_algorithms::knomial(index, inner, {});
      s.down = broadcast_algorithms::knomial(index, inner, {});
    }
    if (inner.ranks > 1 || stage == last) result.push_back(std::move(s));
    if (index != 0) break;
  }
  return result;
}

// halving_doubling's.
std::uint32_t chunks_per_piece(const Shape& shape) {
  return static_cast<std::uint32_t>(Folding(stages::outermost(shape)).cores());
}

}  // namespace

Schedule hierarchical(Rank me, const Shape& shape, const Chunking& chunking) {
  const std::vector<Stage> stages = stages_of(me, shape);
  const std::uint32_t chunks = chunks_per_piece(shape);
  Builder b(Collective::all_reduce, "hierarchical", me, shape, chunks * chunking.pieces);
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece) {
    const Slice result = b.output(piece * chunks, chunks);
    Slice partial = b.input(piece * chunks, chunks);
    for (const Stage& stage : stages) {
      embed(b, stage.up, stage.meeting.members, {partial}, {result});
      partial = result;
    }
    for (auto stage = stages.rbegin(); stage != stages.rend(); ++stage)
      embed(b, stage->down, stage->meeting.members, {result}, {result});
  }
  return std::move(b).finish();
}

Cost hierarchical_cost(const Shape& shape, const Chunking& chunking) {
  const stages::Sizes sizes = stages::sizes(shape);
  const std::uint64_t pieces = chunking.pieces, chunks = chunks_per_piece(shape);
  Cost cost{.chunks_per_block = static_cast<std::uint32_t>(chunks * pieces), .levels = {}, .exact = sizes.equal};
  for (std::size_t stage = 0; stage + 1 < sizes.most.size(); ++stage) {
    // Up and down for the last piece, behind the pieces before it; the leader has the most children.
    const Shape meeting{.ranks = sizes.most[stage]};
    const LevelCost messages = reduce_broadcast_cost(meeting, chunking).levels.front();
    cost.levels.push_back({.level = static_cast<int>(stage),
                           .rounds = messages.rounds,
                           .path = messages.path * chunks,
                           .sent = messages.sent * chunks,
                           .reduced = messages.reduced * chunks,
                           .posted = messages.posted});
  }
  const Rank leaders = sizes.most.back();
  LevelCost across = repeated_halving_doubling_cost(leaders, chunking.pieces);
  across.level = static_cast<int>(sizes.most.size()) - 1;
  cost.levels.push_back(across);
  // With folded leaders the longest chain of messages need not both begin and end in a folded pair.
  if (Folding(leaders).extra() > 0 && pieces > 1) cost.exact = false;
  return cost;
}

}  // namespace tutti::all_reduce_algorithms
