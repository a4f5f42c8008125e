// A transport between threads of one process, with faults to order: for testing whatever stands on transports.
//
// Nothing here looks at a clock: delays are counted in polls, so that a test sees the same run each time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>

#include "tutti/transport.h"

namespace tutti {

// What goes wrong, and how much. Applies to all endpoints of the transport it was given to.
struct LoopbackFaults {
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  // A message is seen only in this many-th poll of its receiver after it became the next one to receive.
  std::uint32_t delay_polls = 0;
  // At most this many bytes of a message arrive per poll (rounded down to a multiple of 64, but at least 64); 0: no limit.
  std::size_t piece_bytes = 0;
  // A send waits while more than this is under way to the same peer; a message always fits an empty way.
  std::size_t capacity_bytes = std::size_t{1} << 20;
  // A send finishes only when the whole message has been received, as with zero-copy transports.
  bool rendezvous = false;
  // Each endpoint dies instead of sending its message number `die_before_send` (counted from 0): from then on its calls fail
  // with Code::aborted and the peer sees Code::peer_lost.
  std::uint64_t die_before_send = kNever;
};

// `options.secret` and `options.rank` are used. Addresses are numbers in a table of this process, hence `domain` differs
// between processes.
[[nodiscard]] std::unique_ptr<Transport> make_loopback(const TransportOptions& options, const LoopbackFaults& faults = {});

}  // namespace tutti
