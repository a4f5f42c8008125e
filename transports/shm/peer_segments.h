// The segments of a peer that this process has mapped. Thread safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "transports/shm/memfd.h"

namespace tutti::shm {

class PeerSegments {
 public:
  // The segment of this number, if it is mapped. Whoever uses it keeps the pointer meanwhile.
  [[nodiscard]] std::shared_ptr<const Mapping> find(std::uint64_t segment) const;
  // Maps a segment that a peer has sent, and lets go of those that it has freed.
  Status add(std::uint64_t segment, const Fd& memory, Rank peer);

 private:
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<const Mapping>> mapped_;
};

}  // namespace tutti::shm
