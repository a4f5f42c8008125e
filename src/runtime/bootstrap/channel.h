// One control connection: connects, authenticates both ends, then carries frames (a 32-bit length and that many bytes) both ways.
// Never waits; its owner polls the socket.
#pragma once

#include <poll.h>

#include <deque>
#include <optional>
#include <vector>

#include "core/fd.h"
#include "core/handshake.h"
#include "tutti/result.h"

namespace tutti {

class Channel {
 public:
  // `hello` is what this end says about itself. Frames longer than `max_frame` end the connection with Code::protocol.
  Channel(Fd fd, Handshake::Role role, const Secret& secret, std::vector<std::byte> hello, std::size_t max_frame);

  // Moves whatever can move. An error is final: Code::unauthenticated, protocol, or peer_lost before both ends had proved
  // themselves. Afterwards the end of the connection is no error; ended() says it, once everything that had arrived was read.
  Status progress();

  [[nodiscard]] bool is_open() const noexcept { return open_; }  // both ends have proved that they know the secret
  [[nodiscard]] bool ended() const noexcept { return ended_; }   // the peer closed; frames may still be waiting
  [[nodiscard]] bool flushed() const noexcept { return sent_ == out_.size(); }
  [[nodiscard]] ConstBytes peer_hello() const noexcept { return handshake_.peer_hello(); }

  // Queues a frame; flush() and progress() send it.
  void send(ConstBytes frame);
  // Sends what can be sent now. That the peer has gone is told by progress().
  void flush();
  // Whether receive() or ended() have something to say that was not asked for yet.
  [[nodiscard]] bool has_news() const noexcept { return ended_ || !frames_.empty(); }
  // The next frame that arrived whole.
  std::optional<std::vector<std::byte>> receive();

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] pollfd wanted() const noexcept;
  // No more is sent; what was queued is still delivered.
  void finish_sending() noexcept;

 private:
  Status finish_connecting();
  Status fill();
  [[nodiscard]] bool full() const noexcept;
  Status cut_frames();

  Fd fd_;
  Handshake handshake_;
  std::size_t max_frame_;
  bool connecting_;
  bool open_ = false;
  bool ended_ = false;
  std::vector<std::byte> out_, in_;
  std::size_t sent_ = 0;
  std::deque<std::vector<std::byte>> frames_;
};

}  // namespace tutti
