// The verifier: proves a set of per-rank schedules right with no network, or says which two steps are wrong and why.
//
// What is proved, in this order:
//   well-formed   slices lie in buffers that this rank has, the user's input is never written, peers and dependencies exist
//   matching      the k-th send on (src, dst, channel) has a k-th receive of the same chunks
//   races         two steps that touch a chunk, one of them writing, are ordered by the rank's own dependencies
//   deadlock      all steps complete although nothing is buffered: a send waits for its receive
//   semantics     no undefined read; each output chunk holds exactly the contributions it must, each once
// and the cost is measured on the way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tutti/result.h"
#include "tutti/schedule.h"

namespace tutti {

// Longest chains and busiest ranks; units are messages and chunks.
struct Traffic {
  std::uint32_t rounds = 0;  // longest chain of messages, each waiting for the one before (by dependency or stream order)
  std::uint64_t path = 0;    // chunks along the heaviest such chain
  std::uint64_t sent = 0;    // chunks sent by the rank that sends most
  std::uint64_t posted = 0;  // messages sent by the rank that sends most, or received by the one that receives most
  // With VerifyOptions::at_a_time: most messages that a rank sends, or receives, in one round. A message's round is its number on
  // the longest chain that ends with it (of those that cross the level).
  std::uint32_t at_a_time = 0;
  friend bool operator==(const Traffic&, const Traffic&) = default;
};

// When steps happen, counted in rounds: the messages on the longest chain that ends with them.
struct Timeline {
  struct Message {
    Rank sender = 0;
    std::uint32_t send = 0;  // step of the sender
    Rank receiver = 0;
    std::uint32_t recv = 0;   // step of the receiver
    std::uint32_t round = 0;  // from 1
  };
  std::vector<Message> messages;                  // by sender, then in program order
  std::vector<std::vector<std::uint32_t>> round;  // [rank][step]: of a local step, the round after which it happens
};

// How the contributions to results have met.
struct ReductionOrder {
  bool canonical = true;  // in the canonical tree over the ranks (core/numerics.h), each operand of a node on either side
  bool at_once = true;    // all in one step, which rounds once
  friend bool operator==(const ReductionOrder&, const ReductionOrder&) = default;
};

struct Proof {
  std::uint32_t rounds = 0;
  std::uint64_t path = 0;
  std::uint64_t sent = 0;
  std::uint64_t posted = 0;
  std::uint32_t at_a_time = 0;  // as in Traffic
  std::uint64_t reduced = 0;    // chunks combined by the rank that combines most, one per operand beyond the first
  std::uint64_t carried = 0;    // with VerifyOptions::torus or ::pod: as in LevelCost
  std::size_t steps = 0;        // of all ranks
  std::size_t messages = 0;     // of all ranks
  ReductionOrder order;         // of all results; of collectives that combine nothing it says nothing
  std::vector<Traffic> levels;  // with VerifyOptions::levels: only messages that cross level i (back(): the outermost groups)
  Timeline timeline;            // with VerifyOptions::timeline
};

struct VerifyOptions {
  // Contributions must be combined in ascending rank order: the operator does not commute.
  bool ordered = false;
  // All blocks have one size, so a chunk fits wherever the same piece of another block fits. Without it every block has a
  // size of its own (the v-variants).
  bool equal_blocks = false;
  // Levels of the machine, innermost first, for Proof::levels. A message counts at level i when i is the innermost level
  // that has both ends in one group.
  const std::vector<Grouping>* levels = nullptr;
  // For Proof::carried, as in Shape; over a torus messages go the shorter way.
  std::span<const Rank> torus = {};
  Rank pod = 0;
  bool at_a_time = false;  // for Proof::at_a_time
  bool timeline = false;   // for Proof::timeline
};

// ranks[r] is the schedule of rank r. On refusal the error (Code::invalid_argument) names the steps and the slice; schedules
// that are too big to be checked at all give Code::unsupported. Time is about linear in the chunks touched. Thread safe.
[[nodiscard]] Result<Proof> verify(std::span<const Schedule> ranks, const VerifyOptions& options = {});

// Chunks sent to other groups by all ranks of a group together: of the group that sends most. No proof needed.
[[nodiscard]] std::uint64_t most_leaving(std::span<const Schedule> ranks, const Grouping& groups);

}  // namespace tutti
