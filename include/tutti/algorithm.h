// An algorithm as the library sees it: what a call must offer, one rank's schedule, and the cost. The library's own ones are the
// rows of algorithms/registry.cpp; a plugin (tutti/plugin.h) adds others to a job.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tutti/schedule.h"

namespace tutti {

enum class RouteKind : std::uint8_t { none, rings, trees };

// What a call must offer before an algorithm may be built for it. Facts only, so that a refusal can say why.
struct Requirements {
  bool power_of_two = false;  // ranks
  bool even = false;          // ranks
  bool commutative = false;   // the op may be applied in any order of ranks
  bool levels = false;        // a machine with at least one level that groups ranks
  bool equal_blocks = false;  // no v-variant
  Rank min_ranks = 1;
  RouteKind routes = RouteKind::none;  // through the links of the machine
};

// Cost of one level of the machine, in messages and in chunks of the schedule (see Schedule::chunks_per_block).
// A flat algorithm has one entry with level -1: whatever the widest link is.
struct LevelCost {
  int level = -1;             // index into Shape::levels; levels->size() means "between the groups of the outermost level"
  std::uint32_t rounds = 0;   // longest chain of messages, each waiting for the one before
  std::uint64_t path = 0;     // chunks along the heaviest such chain
  std::uint64_t sent = 0;     // chunks sent by the rank that sends most
  std::uint64_t reduced = 0;  // chunks combined by the rank that combines most (one per operand beyond the first)
  // What the network between ranks carries, of a flat row; 0: not known. On a torus (Shape::torus) chunks times the links that
  // each crosses, of all ranks together; in pods (Shape::pod) chunks that leave the busiest pod, or enter it if those are more.
  std::uint64_t carried = 0;
  // Between the outermost groups (hosts): chunks that the ranks of a group together send to others, of the group that sends
  // most; they share its network. 0: of a flat row not known, as if each rank of a host sent `sent` there; of the level
  // between these groups `sent`, because leaders alone send.
  std::uint64_t leaving = 0;
  // Messages that a rank sends, or receives, in one round, at most (rounds as in a proof's Timeline): where every rank of the
  // longest chain has so many. 0: what the busiest rank has is spread over the rounds.
  std::uint32_t at_a_time = 0;
  // Messages that the rank with most of them sends, or receives if those are more. Those beyond one for each round cost the gap
  // between two messages. 0: not known, as if each were as large as those of the heaviest chain are in the mean.
  std::uint64_t posted = 0;
};

struct Cost {
  std::uint32_t chunks_per_block = 1;  // the schedule's
  std::vector<LevelCost> levels;
  // Chunks sent by the rank that sends most, what goes to several ranks counted once: where Algorithm::publishes.
  std::uint64_t published = 0;
  // Chunks received by the rank that receives most: there, and where that is more than any rank sends.
  std::uint64_t taken = 0;
  bool exact = true;  // false: an upper bound (groups of unequal size)
};

// A function, or one with a state that somebody else keeps alive.
template <class Value, class... Arguments>
class RowFunction {
 public:
  using Plain = Value (*)(Arguments...);
  using Bound = Value (*)(const void* state, Arguments...);
  constexpr RowFunction(Plain plain = nullptr) : plain_(plain) {}  // NOLINT(google-explicit-constructor)
  constexpr RowFunction(const void* state, Bound bound) : bound_(bound), state_(state) {}

  constexpr explicit operator bool() const noexcept { return plain_ != nullptr || bound_ != nullptr; }
  Value operator()(Arguments... arguments) const {
    return bound_ != nullptr ? bound_(state_, arguments...) : plain_(arguments...);
  }

 private:
  Plain plain_ = nullptr;
  Bound bound_ = nullptr;
  const void* state_ = nullptr;
};

struct Algorithm {
  Collective collective;
  std::string_view name;
  std::string_view summary;  // one line for people
  std::string_view source;   // paper or specification
  Requirements needs;
  bool pipelines;          // Chunking::pieces > 1 has an effect
  bool has_radix = false;  // Chunking::radix has an effect; at least 2
  // Fused, every step that combines takes in all contributions to its result, in the order of ranks: small floats are rounded
  // once, and sums may be exact.
  bool meets_at_once = false;
  // Its messages may be published (src/exec/cpu/exchange.h): they go to all other ranks at once and are used as they come. Not
  // cut into pieces then.
  bool publishes = false;
  // Shape::torus has an effect on the schedule.
  bool uses_torus = false;
  // Made for networks where a way costs the more the longer it is: elsewhere it is not chosen, only done where it is asked for.
  bool shortens_ways = false;
  // One rank's schedule, in time and memory proportional to that rank's own steps.
  RowFunction<Schedule, Rank, const Shape&, const Chunking&> build;
  // Closed form; equal to what the verifier measures on the schedules (before passes).
  RowFunction<Cost, const Shape&, const Chunking&> cost;
  // Whether contributions to each result meet in the canonical tree (core/numerics.h), each operand on whichever side; true of rows
  // that meet at once anyway. None: nothing is declared.
  RowFunction<bool, const Shape&, const Chunking&> canonical = {};
  // Why it is not made for this shape, where `needs` cannot say so; empty where it is. None: for all.
  RowFunction<std::string, const Shape&> refuses = {};
  // The same of one way of cutting, asked of the best one only and once before it is used. None: all will do.
  RowFunction<std::string, const Shape&, const Chunking&> refuses_cut = {};
  std::string_view origin = {};  // the file that it comes from; empty: the library's own
};

}  // namespace tutti
