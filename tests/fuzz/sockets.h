// The other end of a connection, which says what the input is and hangs up.
#pragma once

#include <sys/socket.h>

#include <array>

#include "core/fd.h"
#include "tests/fuzz/fuzz.h"

namespace tutti::fuzz {

struct Pair {
  Fd ours, theirs;
};

inline Pair connected(int flags = 0) {
  std::array<int, 2> ends{-1, -1};
  promise(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0, ends.data()) == 0, "a pair of sockets");
  return {Fd(ends[0]), Fd(ends[1])};
}

// Inputs are smaller than a socket's buffer.
inline constexpr std::size_t kMostSaid = 64u << 10;

inline void say(const Fd& from, ConstBytes what) {
  what = what.first(std::min(what.size(), kMostSaid));
  if (!what.empty())
    promise(send(from.get(), what.data(), what.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(what.size()), "it is said");
  shutdown(from.get(), SHUT_WR);
}

}  // namespace tutti::fuzz
