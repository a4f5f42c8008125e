// The listening side of one rank: takes in connections, lets them authenticate, and keeps them until an endpoint asks for
// them. Nobody's thread runs it: whoever waits to be accepted pumps it. Thread safe.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "core/handshake.h"
#include "transports/tcp/interfaces.h"
#include "transports/tcp/opening.h"
#include "transports/tcp/socket.h"
#include "transports/tcp/wire.h"

namespace tutti {

class Acceptor {
 public:
  using Key = std::pair<Rank, std::uint64_t>;  // peer, stream

  static Result<std::shared_ptr<Acceptor>> open(const InterfaceAddress& local, const Secret& secret, Rank me,
                                                const TcpTuning& tuning);

  [[nodiscard]] const TcpAddress& address() const noexcept { return address_; }
  // Moves what can move, without waiting. Strangers and probes are dropped without an error.
  Status pump();
  // The sockets of this connection when all have come; empty before.
  [[nodiscard]] std::vector<Fd> take(const Key& key);

  // What wakes whoever waits for this key: wait_fd(), and `event` (an eventfd), which is signalled when another thread's
  // pump has brought the last socket.
  void watch(const Key& key, int event);
  void unwatch(const Key& key);
  [[nodiscard]] int wait_fd() const noexcept { return epoll_.get(); }

 private:
  struct Visitor {
    Fd fd;
    Handshake handshake;
    TimePoint deadline;
    short events;
  };
  struct Group {
    std::vector<Fd> sockets;
    [[nodiscard]] bool complete() const;
  };

  Acceptor(Fd listener, Fd epoll, Fd timer, const TcpAddress& address, const Secret& secret, Rank me, const TcpTuning& tuning);
  Status accept_all();
  Status admit(int fd);
  Status make_room(int error_number);
  void advance(std::uint64_t id);
  Status welcome(Visitor& visitor);
  void dismiss(std::map<std::uint64_t, Visitor>::iterator visitor);
  void expire();
  void set_timer();
  Status listen_for_more(bool more);

  Fd listener_, epoll_, timer_;
  TcpAddress address_;
  Secret secret_;
  Rank me_;
  TcpTuning tuning_;
  std::mutex mutex_;  // guards what follows
  bool listens_ = true;
  std::uint64_t next_id_;
  std::map<std::uint64_t, Visitor> visitors_;  // oldest first
  std::map<Key, Group> groups_;
  std::map<Key, int> watchers_;
};

// An endpoint's wait for its connection.
class Accepting final : public Opening {
 public:
  Accepting(std::shared_ptr<Acceptor> acceptor, Acceptor::Key key) : acceptor_(std::move(acceptor)), key_(key) {}
  ~Accepting() override { end_wait(); }
  Result<Progress> advance() override;
  void begin_wait(WaitSet& set) override;
  void end_wait() override;

 private:
  std::shared_ptr<Acceptor> acceptor_;
  Acceptor::Key key_;
  Fd event_;
};

}  // namespace tutti
