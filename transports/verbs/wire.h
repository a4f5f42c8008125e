// What travels between verbs transports, and the parsers of it: nothing from a peer is used before it passed one of these. Plain
// structs in the sender's byte order; the magic numbers tell a host of the other order.
#pragma once

#include <array>
#include <vector>

#include "transports/tcp/wire.h"
#include "transports/verbs/pairing.h"

namespace tutti::verbs {

// What listen() hands to peers: where to connect by TCP, and the ports.
struct VerbsAddress {
  std::vector<std::byte> tcp;
  std::vector<PortSummary> ports;
};
[[nodiscard]] std::vector<std::byte> encode(const VerbsAddress& address);
[[nodiscard]] Result<VerbsAddress> decode_verbs_address(ConstBytes bytes);

// One end of a queue pair.
struct RailEnd {
  std::uint32_t queue_pair = 0;
  std::uint32_t first_packet = 0;
  std::uint16_t lid = 0;
  std::uint8_t mtu = 0;  // ibv_mtu
  std::uint8_t reserved[5] = {};
  std::array<std::uint8_t, 16> gid{};
};
static_assert(sizeof(RailEnd) == 32);

// What both ends tell each other on the authenticated TCP connection, before the queue pairs are connected.
struct Introduction {
  std::uint32_t magic = kMagic;
  std::uint32_t rails = 0;
  std::uint64_t mailbox = 0;  // address of the memory that the other end writes to
  std::uint32_t mailbox_key = 0;
  std::uint32_t ring_bytes = 0;
  std::uint32_t signals = 0;   // writes that announce themselves, which may be under way to this end
  std::uint32_t ask_from = 0;  // bytes
  std::array<RailEnd, kMostRails> rail;

  static constexpr std::uint32_t kMagic = 0x74764931;
};
static_assert(sizeof(Introduction) == 288);
// Said when this end's queue pairs can receive.
struct Ready {
  std::uint32_t magic = kMagic;
  static constexpr std::uint32_t kMagic = 0x74765231;
};
[[nodiscard]] Status check(const Introduction& theirs, std::size_t rails, Rank peer);
[[nodiscard]] Status check(const Ready& theirs, Rank peer);

// ---- The mailbox: memory that the peer writes to.
//
//   | Credits | Answer x kAnswers | ring of records |

inline constexpr std::size_t kGranule = 64;  // records begin at multiples of it
inline constexpr std::size_t kAnswers = 8;
inline constexpr std::size_t kLeastRing = 4096, kMostRing = std::size_t{1} << 30;

// What this end has taken of the other's, since the beginning.
struct Credits {
  std::uint64_t bytes = 0;    // of the ring
  std::uint64_t signals = 0;  // of the first rail
};

// Of the receiver to the sender of a large message: where it goes.
struct Answer {
  std::uint64_t message = 0;  // its number
  std::uint64_t bytes = 0;    // that are expected
  std::uint64_t address = 0;
  std::uint64_t into_memory = 0;  // 1: written there; 0: through the ring
  std::array<std::uint32_t, kMostRails> keys{};
};
static_assert(sizeof(Answer) == kGranule);

enum class RecordKind : std::uint32_t {
  piece = 1,      // the next bytes of a message
  announced = 2,  // the sender waits for an answer
  placed = 3,     // the message lies where the answer said, as far as the first rail carries it
};

struct Record {
  std::uint32_t magic = kMagic;
  RecordKind kind = RecordKind::piece;
  std::uint64_t message_bytes = 0;  // of all of it
  Signature signature;
  Credits credits;
  std::uint32_t bytes = 0;  // that follow
  std::uint32_t reserved = 0;

  static constexpr std::uint32_t kMagic = 0x74765031;
};
static_assert(sizeof(Record) == kGranule);
[[nodiscard]] Status check(const Record& record, std::size_t room, Rank peer);
[[nodiscard]] Status check(const Answer& answer, Rank peer);

inline constexpr std::size_t kAnswersOffset = kGranule, kRingOffset = kAnswersOffset + kAnswers * sizeof(Answer);

// The number that comes with a write: what it is, and where in the ring a record begins or which answer it is.
enum class SignalKind : std::uint32_t { record = 0, answer = 1, credits = 2, placed = 3 };
struct Signal {
  SignalKind kind = SignalKind::record;
  std::uint32_t place = 0;

  [[nodiscard]] std::uint32_t encode() const noexcept { return static_cast<std::uint32_t>(kind) << 30 | place; }
  [[nodiscard]] static Signal decode(std::uint32_t number) noexcept {
    return {static_cast<SignalKind>(number >> 30), number & ((1U << 30) - 1)};
  }
};

}  // namespace tutti::verbs
