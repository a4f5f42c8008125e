// The accepting side of control connections: takes what connects, lets it prove that it knows the secret, and drops strangers.
#pragma once

#include <list>
#include <memory>
#include <vector>

#include "bootstrap/channel.h"
#include "bootstrap/sockets.h"
#include "core/clock.h"

namespace tutti {

class Reception {
 public:
  // `hello` is told to everyone who has proved to know the secret.
  Reception(std::vector<Fd> listeners, const Secret& secret, std::vector<std::byte> hello, std::size_t max_frame)
      : listeners_(std::move(listeners)), secret_(secret), hello_(std::move(hello)), max_frame_(max_frame) {}

  // The connections that have become authentic since the last call. Never waits. An error means that nothing can be accepted any
  // more.
  Result<std::vector<std::unique_ptr<Channel>>> admit();
  void append_fds(std::vector<pollfd>& fds) const;
  // Connections that spoke the protocol but did not know the secret: what a timeout should mention.
  [[nodiscard]] int refused() const noexcept { return refused_; }

 private:
  struct Visitor {
    std::unique_ptr<Channel> channel;
    SocketAddress from;
    TimePoint since;
  };
  Status accept_all();
  // Whether the visitor is to be forgotten.
  bool advance(Visitor& visitor, std::vector<std::unique_ptr<Channel>>& admitted);

  std::vector<Fd> listeners_;
  Secret secret_;
  std::vector<std::byte> hello_;
  std::size_t max_frame_;
  std::list<Visitor> visitors_;
  int refused_ = 0;
};

}  // namespace tutti
