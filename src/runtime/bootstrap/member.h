// What a rank says about itself when it connects, so that errors can name it.
#pragma once

#include <string>

#include "bootstrap/wire.h"
#include "tutti/result.h"

namespace tutti {

struct Member {
  std::string host;
  std::int64_t pid = 0;

  static Member of_this_process();
  void encode(Writer& out) const;
  // Text from a peer: shortened and without control characters, so that it can be printed.
  static Member decode(Reader& in);
};

// "rank 3 (host h2, pid 1234)"; "rank 3" while nothing else is known.
[[nodiscard]] std::string describe(Rank rank, const Member& member);

// The first message of a control connection.
enum class Purpose : std::uint8_t { registration = 'R', rendezvous = 'r', overlay = 'O' };

struct Hello {
  Purpose purpose = Purpose::overlay;
  std::uint64_t job = 0;  // hash: ranks of different jobs with the same secret must not mix
  Rank rank = kNoRank;
  Rank size = 0;
  std::uint8_t link = 0;  // overlay: which of the sender's connections this is
  Member member;
  std::uint32_t timeout_ms = 0;    // registration: how long this rank waits for the others
  std::vector<std::byte> address;  // registration: where this rank listens

  [[nodiscard]] std::vector<std::byte> encode() const;
  // Code::protocol for anything but a hello of this purpose and a sensible rank and size.
  static Result<Hello> decode(ConstBytes bytes, Purpose expected);
};

}  // namespace tutti
