// Ranks joined by a transport, all in one thread's hands.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "exec/cpu/wait.h"
#include "transports/loopback/loopback.h"

namespace tutti {

class NobodyFails final : public FailureWatch {
 public:
  Status check(const Waiting&) override { return {}; }
  void restart() override {}
  void add_fds(std::vector<pollfd>&) override {}
};

// One rank's streams; opened when asked for, and counted.
class TransportStreams final : public StreamSource {
 public:
  TransportStreams(Rank me, const std::vector<std::unique_ptr<Transport>>& transports,
                   const std::vector<std::vector<std::byte>>& addresses, Rank members)
      : me_(me), transports_(transports), addresses_(addresses), members_(members) {}
  Result<Stream*> stream(Rank peer, std::uint16_t channel) override {
    auto& slot = open_[{peer, channel}];
    if (slot) return slot.get();
    auto endpoint =
        transports_[static_cast<std::size_t>(me_)]->connect({.me = me_,
                                                             .peer = peer,
                                                             .stream = channel,
                                                             .peer_address = addresses_[static_cast<std::size_t>(peer)],
                                                             .members = members_});
    if (!endpoint) return std::move(endpoint.error());
    slot = std::make_unique<Stream>(std::move(*endpoint), peer);
    return slot.get();
  }
  [[nodiscard]] std::size_t opened() const { return open_.size(); }

 private:
  Rank me_;
  const std::vector<std::unique_ptr<Transport>>& transports_;
  const std::vector<std::vector<std::byte>>& addresses_;
  Rank members_;
  std::map<std::pair<Rank, std::uint16_t>, std::unique_ptr<Stream>> open_;
};

class Fabric {
 public:
  explicit Fabric(Rank ranks, const LoopbackFaults& faults = {})
      : Fabric(
            ranks, [&](Rank r) { return make_loopback({.secret = {}, .rank = r, .interface = {}}, faults); }, 0) {}
  // `members`: of the board of each stream (ConnectRequest).
  Fabric(Rank ranks, const std::function<std::unique_ptr<Transport>(Rank)>& make, Rank members) {
    for (Rank r = 0; r < ranks; ++r) {
      transports_.push_back(make(r));
      addresses_.push_back(transports_.back()->listen().value_or_throw());
    }
    for (Rank r = 0; r < ranks; ++r) streams_.push_back(std::make_unique<TransportStreams>(r, transports_, addresses_, members));
  }
  [[nodiscard]] TransportStreams& of(Rank r) { return *streams_[static_cast<std::size_t>(r)]; }

 private:
  std::vector<std::unique_ptr<Transport>> transports_;
  std::vector<std::vector<std::byte>> addresses_;
  std::vector<std::unique_ptr<TransportStreams>> streams_;  // gone before their transports
};

}  // namespace tutti
