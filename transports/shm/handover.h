// How the two ranks of a connection speak of memory that one of them has allocated: by segment and offset. A segment's descriptor
// is handed over when it is first spoken of.
#pragma once

#include <atomic>
#include <unordered_set>

#include "transports/shm/peer_segments.h"
#include "transports/shm/segments.h"

namespace tutti::shm {

// Bytes in a segment of the rank that names them.
struct MemoryName {
  std::uint64_t segment = 0;  // 0: none
  std::uint64_t offset = 0;
  std::uint64_t handed = 0;  // how many segments have been handed over on this connection by now
};

// A message of which some bytes at either end cannot be named, and come in a cell.
struct NamedPart {
  MemoryName memory;  // of those between
  std::uint32_t head = 0, tail = 0;
  [[nodiscard]] std::size_t ends() const noexcept { return std::size_t{head} + tail; }
};

// The bytes that a peer has named, mapped for as long as this lives.
struct PeerMemory {
  std::shared_ptr<const Mapping> segment;
  std::byte* data = nullptr;  // null: they cannot be had
};

class Handover {
 public:
  // `socket`: of the connection, on which nothing else is sent from now on. Each side counts the segments that it has taken.
  void open(const Fd& socket, PeerSegments& peers_segments, std::atomic<std::uint64_t>& taken,
            const std::atomic<std::uint64_t>& taken_by_peer, Rank peer) noexcept {
    socket_ = &socket;
    peers_segments_ = &peers_segments;
    taken_ = &taken;
    taken_by_peer_ = &taken_by_peer;
    peer_ = peer;
  }
  // How many segments may be on their way when another one is handed over. A message is sure to be looked at, an offer is not.
  static constexpr std::uint64_t kOnTheWayForMessages = 8, kOnTheWayForOffers = 4;
  // What to call these bytes of this process, or all but some at their ends. Segment 0: they cannot be spoken of, as they lie in
  // no segment, or there is no way to hand it over just now.
  [[nodiscard]] NamedPart name(ConstBytes bytes, std::uint64_t most_on_the_way);
  // The bytes that the peer calls so; data is null where this process cannot map them. Code::protocol if the peer cannot have
  // meant it.
  Result<PeerMemory> find(MemoryName name, std::size_t size);

 private:
  MemoryName give(const Location& location, std::uint64_t most_on_the_way);
  void forget_freed();
  Status take_up_to(std::uint64_t handed);

  const Fd* socket_ = nullptr;
  PeerSegments* peers_segments_ = nullptr;
  std::atomic<std::uint64_t>* taken_ = nullptr;
  const std::atomic<std::uint64_t>* taken_by_peer_ = nullptr;
  Rank peer_ = kNoRank;
  std::unordered_set<std::uint64_t> given_;  // segments that the peer has
  std::uint64_t times_given_ = 0, times_taken_ = 0;
};

}  // namespace tutti::shm
