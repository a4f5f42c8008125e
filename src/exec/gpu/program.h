// What one rank does in one piece of a call, as operations to be done strictly one after the other: a plan's steps in program
// order, with messages through inboxes, and flags that say what is there.
//
// A lane goes from one rank to another on one channel. At its end, in the receiver's memory, lies an inbox with two halves, used
// by pieces in turn, each with room for all messages of a piece. The receiver has a word `ready` for each half, which says how
// many messages of this piece are there, the sender a word `credit`, which is 1 while the half is free:
//
//   sender    acquire: wait for credit = 1, write credit = 0     post k: write ready = k     (copies to the inbox before)
//   receiver  await k: wait for ready >= k                       release: write ready = 0, then credit = 1
//
// Beside `ready` lies a word by which both sides know that they are in the same call: the sender writes it when it acquires, and
// the receiver of the first message waits for it. Ranks that disagree wait for ever, which the host notices, instead of taking
// what they must not.
//
// All values are absolute, so what was enqueued once can be replayed. A piece's sends wait for earlier pieces' receives only;
// that all ranks' programs always finish is proved by tests/exec/gpu/progress_test.cpp.
#pragma once

#include "device/arguments.h"
#include "gpu/pieces.h"

namespace tutti::gpu {

enum class Space : std::uint8_t { input, output, scratch, inbox, peers_inbox };

// An address relative to what is known only when a piece is enqueued.
struct Spot {
  Space space = Space::input;
  std::uint32_t index = 0;   // inboxes: of the lane. input, output: of the buffers, where a program has several
  std::uint64_t offset = 0;  // bytes
  friend bool operator==(const Spot&, const Spot&) = default;
};

enum class OpKind : std::uint8_t {
  acquire,   // outgoing lane
  post,      // outgoing lane, value
  await,     // incoming lane, value
  release,   // incoming lane
  copy,      // to = from, `count` bytes
  fold,      // to = operand_0 (+) operand_1 (+) ..., `count` elements
  prepare,   // to = factor * from
  finish,    // to = to / ranks
  tell,      // one_pass.h: to the outgoing lane, where this rank's buffers are
  one_pass,  // awaits all incoming lanes; Program::items, `count` elements each; tells all outgoing lanes, of the same ranks
  told,      // awaits the incoming lane
};

struct Op {
  OpKind kind = OpKind::copy;
  std::uint32_t lane = 0;
  std::uint32_t value = 0;
  std::uint32_t signature = 0;  // acquire; await of the first message
  std::uint64_t count = 0;
  Spot to = {}, from = {};
  std::uint32_t operands_begin = 0, operands_end = 0;  // in Program::operands
};

// What passes on a lane in a piece.
struct LaneUse {
  Rank peer = kNoRank;
  std::uint16_t channel = 0;
  std::uint32_t messages = 0;
  std::uint64_t bytes = 0;  // of the inbox
};

struct Program {
  DataType type = DataType::u8;
  ReduceOp op;
  std::int32_t average_over = 0;  // folds divide by so many ranks
  std::int32_t ranks = 1;
  std::vector<Op> ops;
  std::vector<Spot> operands;
  std::vector<device::OnePassItem> items;
  std::vector<LaneUse> outgoing, incoming;
  std::uint64_t scratch_bytes = 0;
};

// Code::unsupported for a user's operator: there are no kernels for it.
[[nodiscard]] Result<Program> program_of(const Plan& plan, const CollectiveCall& call, const Cut& cut, std::uint64_t elements);

// A message of a group of sends and receives; its data are the input, or the output, of buffers of its own.
struct Message {
  Rank peer = kNoRank;
  bool sent = false;  // else received
  std::uint64_t bytes = 0;
  friend auto operator<=>(const Message&, const Message&) = default;
};

// Messages are cut each for itself, so that it does not matter with which others a side groups it.
inline constexpr std::uint64_t kMessagePieceBytes = std::uint64_t{1} << 20;

// All messages of a group on rank `me`: of each lane the next piece is sent, then of each lane the next one received, and so on.
// Messages between two ranks match in their order; so do those of a rank to itself, which are copied.
[[nodiscard]] Result<Program> program_of(Rank me, std::span<const Message> group);

}  // namespace tutti::gpu
