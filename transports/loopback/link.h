// What two loopback endpoints share: one lane of messages in each direction.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "tutti/transport.h"

namespace tutti::loopback {

// The futex word that a sleeping rank waits on.
struct Bell {
  std::atomic<std::uint32_t> word{0};
  std::atomic<std::uint32_t> sleepers{0};
  void ring();
};

struct Message {
  Signature signature;
  ConstBytes bytes;  // `copy`, or in rendezvous the sender's memory
  std::vector<std::byte> copy;
  std::uint32_t polls_left = 0;
};

// Messages from one side to the other.
struct Lane {
  std::deque<Message> messages;
  std::size_t bytes = 0;       // under way
  std::uint64_t received = 0;  // messages taken out whole
};

struct Link {
  std::mutex mutex;
  std::array<Lane, 2> from;       // from[s]: sent by side s (0: the lower rank)
  std::array<bool, 2> present{};  // has connected
  std::array<bool, 2> closed{};
  std::array<std::shared_ptr<Bell>, 2> bells;
};

}  // namespace tutti::loopback
