// A plan: one rank's schedule made concrete for a count, a type and an operator. Chunks have become byte ranges, peers have
// become links, and streams where it is to be run here; what is left to fill in at each call are three base addresses and a
// sequence number.
#pragma once

#include <vector>

#include "exec/cpu/exchange.h"
#include "kernels/kernels.h"
#include "schedule/chunk_map.h"
#include "tutti/schedule.h"

namespace tutti {

inline constexpr std::uint32_t kNoStep = UINT32_MAX;

struct PlanStep {
  StepKind kind = StepKind::copy;
  bool from_is_left = false;
  bool past_caches = false;            // copy, recv, recv_reduce, fold: what it writes is not read again in this call
  bool just_written = false;           // send: of what this rank has computed in this call
  bool awaited = false;                // send: other steps wait for it
  std::uint32_t stream = 0;            // send, recv, recv_reduce: index into Plan::links, and Plan::streams
  std::uint32_t remaining = 0;         // steps to wait for, plus one where an earlier post on the same stream must go first
  std::uint32_t successors_begin = 0;  // in Plan::successors
  std::uint32_t successors_end = 0;
  std::uint32_t next_in_stream = kNoStep;
  std::uint32_t operands_begin = 0;  // fold: in Plan::operands
  std::uint32_t operands_end = 0;
  std::uint32_t arrival = 0;  // recv_reduce: which of the execution's consumers
  PlanRange from = {}, to = {};
  std::uint64_t count = 0;  // elements
};

// Point-to-point messages must not meet those of collectives.
inline constexpr std::uint16_t kPointToPointChannel = 0x8000;

// A peer, and the channel on which the plan's messages to it and from it pass.
struct PlanLink {
  Rank peer = kNoRank;
  std::uint16_t channel = 0;
  friend bool operator==(const PlanLink&, const PlanLink&) = default;
};

struct Plan {
  Signature signature;  // the sequence number is filled in at each call
  DataType type = DataType::u8;
  ReduceOp op;
  kernels::Reduction reduction;
  Rank rank = 0, ranks = 1;
  std::vector<PlanStep> steps;
  std::vector<std::uint32_t> successors;
  std::vector<std::uint32_t> ready;  // steps with nothing to wait for: first receives, then others, in program order
  std::vector<PlanRange> operands;
  std::vector<PlanLink> links;
  std::vector<Stream*> streams;  // of the links, once connected
  ExchangePlan exchanges;
  std::uint32_t arrivals = 0;
  std::uint64_t scratch_bytes = 0;
  // avg, where no step of `reduction` divides before it rounds: where the sums lie that are divided at the end.
  Buffer average_in = Buffer::output;
  std::vector<Extent> average;
  // premul_sum multiplies the input before the schedule runs: into scratch behind scratch_bytes, or in place.
  std::vector<Extent> premultiply;  // empty: not at all
  std::uint64_t premultiplied = 0;  // elements of the copy
  Buffer premultiply_in = Buffer::input;
  bool in_place = false;
  bool publishes = false;  // its exchanges are run, and `steps` only where they say so
  [[nodiscard]] std::uint64_t scratch_needed() const noexcept {
    return scratch_bytes + (in_place ? 0 : premultiplied * element_bytes(type, op));
  }
  // Bytes; 0 where all is published.
  [[nodiscard]] std::uint64_t largest_message() const noexcept;
  [[nodiscard]] std::size_t memory_bytes() const noexcept;
};

// Finds or opens the stream to a peer on a channel of the schedule.
class StreamSource {
 public:
  virtual Result<Stream*> stream(Rank peer, std::uint16_t channel) = 0;

 protected:
  ~StreamSource() = default;
};

// What a plan depends on beside the call.
struct PlanOptions {
  // Every combining step takes in the contributions of all ranks (Algorithm::meets_at_once).
  bool meets_at_once = false;
  Accumulation accumulation = Accumulation::usual;
  // What this rank may count on of the last cache; results of calls beyond it are stored past the caches. 0: not known.
  std::uint64_t cache_bytes = 0;
  // All ranks publish what they would send (Algorithm::publishes), and their streams have boards.
  bool publishes = false;
};

// Lowers a schedule. `map` must have been built for the same schedule.
Result<Plan> lower(const Schedule& schedule, const ChunkMap& map, const Signature& signature, DataType type, const ReduceOp& op,
                   const PlanOptions& options = {});
// Finds the streams of its links, and the board where it publishes.
Status connect(Plan& plan, StreamSource& streams);
// Both.
Result<Plan> lower(const Schedule& schedule, const ChunkMap& map, const Signature& signature, DataType type, const ReduceOp& op,
                   StreamSource& streams, const PlanOptions& options = {});

}  // namespace tutti
