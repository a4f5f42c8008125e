// What the interpreter kernel executes: a plan as an array of ops of fixed size, and the lanes between ranks that can write into
// each other's memory. Plain C++, shared by those who launch and by the kernel.
//
// A call is a loop over pieces. A piece is executed by one block: ops in their order, a barrier after each. Blocks take the
// pieces in turns, and have lanes and scratch of their own, so they never wait for each other: block b of a rank meets block b of
// others.
//
// A lane has a mailbox in each of the two ranks' memory. The peer writes into it: messages, and how far it has come with ours.
// Its room has two halves, which pieces use in turns; a half holds all messages of a piece, so that a send never waits for a
// receive of the same piece, only for the peer to have done with the piece before the last. So ops in program order cannot
// deadlock. Pieces are counted on in device memory: the same launch can be repeated by a CUDA graph.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tutti/types.h"

namespace tutti::device {

// How messages lie in a mailbox. A lane keeps to one protocol.
enum class Protocol : std::uint8_t {
  simple,  // as they are; then the mailbox's word `ready` says so
  ll,      // each 8 bytes hold 4 of data and 4 of a flag, and are stored at once: no further message, no fence
  ll128,   // each 128 bytes hold 120 of data and 8 of a flag; only where stores of 128 bytes arrive at once: NVLink, or one GPU
};

inline constexpr std::uint64_t kWordBytes = 16;
inline constexpr std::uint64_t kLineBytes = 128;

// Data in a line of ll128: no element lies in two lines.
constexpr std::uint64_t line_data_bytes(std::uint64_t element_bytes) { return element_bytes == kWordBytes ? 112 : 120; }

// Room that a message takes in a mailbox. An empty one still has a flag.
constexpr std::uint64_t room_of(Protocol protocol, std::uint64_t bytes, std::uint64_t element_bytes) {
  if (bytes == 0) bytes = 1;
  const std::uint64_t words = (bytes + kWordBytes - 1) / kWordBytes;
  const std::uint64_t line = line_data_bytes(element_bytes);
  switch (protocol) {
    case Protocol::simple:
      return words * kWordBytes;
    case Protocol::ll:
      return 2 * words * kWordBytes;
    case Protocol::ll128:
      return (bytes + line - 1) / line * kLineBytes;
  }
  return 0;
}

// Pieces that a lane has sent and received, including the one under way.
struct LaneState {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
};

// In the memory of the rank that receives; zero at first. Behind it lie two halves.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): whoever waits for a line is not disturbed by what is in others.
struct alignas(kLineBytes) Mailbox {
  std::uint64_t ready;                       // simple: the piece, and how many of its messages are here (ready_value)
  alignas(kLineBytes) std::uint64_t credit;  // pieces that the peer has received
  alignas(kLineBytes) LaneState state;       // nobody's but this rank's
  // Of each half: the piece, and the signature of the call that it belongs to, as the sender has it. The first message waits for
  // it, so ranks that disagree wait for ever, which the host notices, instead of taking what they must not.
  alignas(kLineBytes) std::uint64_t calls[2][2];
};

constexpr std::uint64_t mailbox_bytes(std::uint64_t half_bytes) { return sizeof(Mailbox) + 2 * half_bytes; }

inline constexpr std::uint32_t kMostMessages = 1U << 20;  // of a piece, on a lane

// Grows with every message.
constexpr std::uint64_t ready_value(std::uint64_t piece, std::uint64_t messages) { return piece * kMostMessages + messages; }

// Of a piece. 0 is none: what memory holds at first.
inline constexpr std::uint64_t kFlags = 0xffffffff;
constexpr std::uint32_t flag_of(std::uint64_t piece) { return static_cast<std::uint32_t>(piece % kFlags) + 1; }

struct Lane {
  Mailbox* own = nullptr;
  Mailbox* peers = nullptr;  // mapped
  std::uint32_t peer = 0;    // its rank
};

// A lane as a block keeps it in shared memory.
struct OpenLane {
  Lane lane;
  LaneState state;
};

// Where a block finds the operand of a fold.
struct Source {
  bool arrives = false;  // in a mailbox, with flags
  std::uint32_t lane = 0;
};

enum class Space : std::uint8_t { input, output, scratch, mailbox };

struct Place {
  std::uint64_t offset = 0;  // bytes; in a mailbox: in a half
  Space space = Space::input;
  std::uint32_t lane = 0;  // mailbox: whose
};

enum class OpKind : std::uint8_t {
  send,      // from -> mailbox of the peer of `to`
  recv,      // to = what arrives in the mailbox `from`
  await,     // simple: the message in the mailbox `from`
  copy,      // to = from
  fold,      // to = operand_0 (+) operand_1 (+) ...; in a mailbox: what arrives there (simple: has been awaited)
  multiply,  // to = factor * from
  divide,    // to /= ranks
};

struct Op {
  OpKind kind = OpKind::copy;
  std::uint32_t message = 0;                           // send, recv, await: which of this piece and lane, from 0 on
  std::uint32_t operands_begin = 0, operands_end = 0;  // fold
  Place from = {}, to = {};
  std::uint64_t count = 0;  // elements
};

inline constexpr std::uint8_t kSends = 1, kReceives = 2;

struct Program {
  const Op* ops = nullptr;
  const Place* operands = nullptr;
  const std::uint8_t* lane_use = nullptr;  // of each lane: kSends, kReceives
  std::uint32_t count = 0;
};

// Where the host can see it while the kernel runs.
struct Control {
  std::uint32_t abort = 0;    // the host's: every wait ends
  std::uint32_t stopped = 0;  // the first kernel's: one more than the rank it waited for
};

// tutti_interpret. Blocks of whole warps; shared_bytes() of shared memory.
struct InterpretArguments {
  Program piece = {}, last = {};  // `last` is executed once, after all pieces, if it has ops
  std::uint64_t pieces = 0;
  std::uint64_t piece_bytes = 0;  // by which input and output move on from piece to piece
  const std::byte* input = nullptr;
  std::byte* output = nullptr;
  std::byte* scratch = nullptr;     // of block 0
  std::uint64_t scratch_bytes = 0;  // from one block's to the next one's
  const Lane* lanes = nullptr;      // of block 0
  std::uint64_t half_bytes = 0;     // of all mailboxes; a multiple of kLineBytes
  std::uint64_t signature = 0;      // of all that ranks must agree on
  Control* control = nullptr;
  const std::byte* scalar = nullptr;  // as in PrepareArguments, with `factor`
  double factor = 1;
  std::uint32_t lane_count = 0;  // of a block
  std::uint32_t most_operands = 0;
  std::int32_t average_over = 0;  // as in FoldArguments
  std::int32_t ranks = 1;
  Protocol protocol = Protocol::simple;
  DataType type = DataType::u8;
  ReduceKind kind = ReduceKind::sum;
};

inline constexpr std::uint32_t kOpsAtOnce = 32;  // fetched into shared memory

constexpr std::uint64_t shared_bytes(std::uint32_t lanes, std::uint32_t most_operands) {
  return lanes * sizeof(OpenLane) + most_operands * (sizeof(const std::byte*) + sizeof(Source)) + kOpsAtOnce * sizeof(Op);
}

}  // namespace tutti::device
