// What travels between UCX transports. The connection comes up over TCP, whose handshake has proved who the peer is: each side
// sends a Greeting, its worker's address and, when it leaves, a Goodbye. All else goes through UCX: a message as one fragment or
// more, each an active message with a header; and how many of the other's fragments a side has taken. Plain structs in the
// sender's byte order.
#pragma once

#include <cstdint>

#include "tutti/result.h"
#include "tutti/transport.h"

namespace tutti::ucx {

// Of a message of which more is there, in bytes: large enough to keep a link busy, small enough that a consumer's staging memory
// stays in a core's second cache.
inline constexpr std::size_t kFragment = std::size_t{512} << 10;
static_assert(kFragment % Consumer::kGrain == 0);

// Fragments on their way that the receiver has not taken for messages it was asked for: what a rank holds for another is bounded.
inline constexpr std::uint64_t kWindow = 256;
// Fragments after whose taking the receiver says so.
inline constexpr std::uint64_t kTellAfter = 32;

// Kinds of active messages.
inline constexpr unsigned kFragmentId = 0, kTakenId = 1;

struct Greeting {
  std::uint32_t magic = kMagic;
  std::uint32_t address_bytes = 0;
  std::uint64_t inbox = 0;  // random: what the peer's fragments are to carry

  static constexpr std::uint32_t kMagic = 0x74755831;
  static constexpr std::uint32_t kMostAddressBytes = 1U << 20;
};
static_assert(sizeof(Greeting) == 16);
[[nodiscard]] Status check(const Greeting& greeting, Rank peer);

// All that was sent has arrived or is on its way, so many fragments.
struct Goodbye {
  std::uint32_t magic = kMagic;
  std::uint32_t reserved = 0;
  std::uint64_t fragments = 0;

  static constexpr std::uint32_t kMagic = 0x74755832;
};
static_assert(sizeof(Goodbye) == 16);
[[nodiscard]] Status check(const Goodbye& goodbye, Rank peer);

struct FragmentHeader {
  std::uint32_t magic = kMagic;
  std::uint32_t reserved = 0;
  std::uint64_t inbox = 0;
  std::uint64_t number = 0;  // of the fragment, in this direction of the connection
  std::uint64_t bytes = 0;   // of the message
  std::uint64_t offset = 0;  // of this fragment in it
  Signature signature;

  static constexpr std::uint32_t kMagic = 0x74755833;
};
static_assert(sizeof(FragmentHeader) == 64);

// So many fragments of the other direction have found their messages.
struct Taken {
  std::uint32_t magic = kMagic;
  std::uint32_t reserved = 0;
  std::uint64_t inbox = 0;
  std::uint64_t fragments = 0;

  static constexpr std::uint32_t kMagic = 0x74755834;
};
static_assert(sizeof(Taken) == 24);

// How many bytes the fragment at `offset` of a message has.
[[nodiscard]] constexpr std::size_t fragment_bytes(std::size_t message_bytes, std::size_t offset) noexcept {
  const std::size_t left = message_bytes - offset;
  return left < kFragment ? left : kFragment;
}

// Code::protocol, as no version of this library sends such a thing.
[[nodiscard]] Error corrupt(Rank peer, const std::string& what);

}  // namespace tutti::ucx
