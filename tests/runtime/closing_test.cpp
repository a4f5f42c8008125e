// Connections that are closed while peers write to this rank's memory.
#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "runtime/streams.h"
#include "transports/shm/shm_endpoint.h"

namespace tutti::shm {
namespace {

constexpr std::uint64_t kStream = 7;

// One side of a connection; the test plays what the rank's other parts do.
struct Side {
  Side(std::shared_ptr<Hub> own, Rank me, Rank peer, const Hub& other)
      : hub(std::move(own)),
        region(hub->allocate_lane().value_or_throw()),
        endpoint(hub, {.me = me, .peer = peer, .stream = kStream, .peer_address = {}}, other.socket_name(), region, nullptr) {}
  [[nodiscard]] Lane& lane() const { return *hub->arena().lane(region.offset); }

  std::shared_ptr<Hub> hub;
  Region region;
  ShmEndpoint endpoint;
};

// This rank, 0, and two others, which are connected with it.
class Closing : public testing::Test {
 protected:
  Closing() {
    const Signature signature;
    for (std::size_t i = 0; i < kPeers; ++i) {
      // A letter: when it has arrived, the connection is up.
      peers_[i]->endpoint.post_send(signature, Source(ConstBytes())).value_or_throw();
      bool arrived = mine_[i]->endpoint.post_recv(signature, Sink()).value_or_throw();
      while (!arrived) {
        (void)peers_[i]->endpoint.poll().value_or_throw();
        arrived = mine_[i]->endpoint.poll().value_or_throw().recvs > 0;
      }
    }
  }
  static std::shared_ptr<Hub> open_hub() {
    auto hub = std::make_shared<Hub>(TransportOptions{
        .secret = {}, .interface = "", .shm_bytes = std::size_t{1} << 20, .writer_time = std::chrono::minutes(1)});
    hub->open().value_or_throw();
    return hub;
  }

  static constexpr std::size_t kPeers = 2;
  std::array<std::shared_ptr<Hub>, kPeers + 1> hubs_{open_hub(), open_hub(), open_hub()};
  std::array<std::unique_ptr<Side>, kPeers> mine_{std::make_unique<Side>(hubs_[0], 0, 1, *hubs_[1]),
                                                  std::make_unique<Side>(hubs_[0], 0, 2, *hubs_[2])};
  std::array<std::unique_ptr<Side>, kPeers> peers_{std::make_unique<Side>(hubs_[1], 1, 0, *hubs_[0]),
                                                   std::make_unique<Side>(hubs_[2], 2, 0, *hubs_[0])};
};

// Each goes on writing until all know that this rank has given up: so whoever waits for one before it has told the other waits
// as long as it may, and takes the one for stopped.
TEST_F(Closing, AllPeersAreToldBeforeAnyIsWaitedFor) {
  for (const auto& peer : peers_) peer->lane().writes_there.store(1);
  const Lane &to_one = mine_[0]->lane(), &to_other = mine_[1]->lane();
  std::jthread writers([&](const std::stop_token& stop) {
    while (!stop.stop_requested() && (to_one.closed.load() == 0 || to_other.closed.load() == 0)) std::this_thread::yield();
    for (const auto& peer : peers_) peer->lane().writes_there.store(0);
  });
  testing::internal::CaptureStderr();
  close_together(std::array<Endpoint*, kPeers>{&mine_[0]->endpoint, &mine_[1]->endpoint});
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace tutti::shm
