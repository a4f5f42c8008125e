// The messages of one direction of a connection, in order, and how far each socket has come with its share of them. Sockets
// may be at different messages: each is a stream of its own.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "transports/tcp/stripes.h"
#include "transports/tcp/wire.h"

namespace tutti {

// Message has `header` (its `bytes` valid from the start) and `left`, the bytes of header and data that have not moved yet.
template <class Message>
class Lanes {
 public:
  struct Place {
    Message* message = nullptr;  // null: nothing for this socket
    std::size_t done = 0;        // bytes of its share, the header included on socket 0
    bool oldest = false;         // all messages before are finished
  };

  void start(std::span<const int> sockets) {
    for (const int fd : sockets) lanes_.push_back({fd});
  }
  void post(Message message) { messages_.push_back(std::move(message)); }

  [[nodiscard]] bool idle() const noexcept { return messages_.empty(); }
  [[nodiscard]] std::size_t sockets() const noexcept { return lanes_.size(); }
  [[nodiscard]] int fd(std::size_t socket) const noexcept { return lanes_[socket].fd; }
  [[nodiscard]] Stripes stripes(const Message& message) const noexcept { return {message.bytes(), lanes_.size()}; }
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return messages_.size() * sizeof(Message); }

  // What this socket has to move next.
  [[nodiscard]] Place place(std::size_t socket) noexcept {
    lanes_[socket] = ahead(socket);
    const Lane& lane = lanes_[socket];
    if (lane.message == first_ + messages_.size()) return {};
    return {&messages_[lane.message - first_], lane.done, lane.message == first_};
  }
  [[nodiscard]] const Message* next(std::size_t socket, bool& oldest) const noexcept {
    const Lane lane = ahead(socket);
    oldest = lane.message == first_;
    return lane.message == first_ + messages_.size() ? nullptr : &messages_[lane.message - first_];
  }
  // `bytes` more of the message at place(socket) have moved.
  void moved(std::size_t socket, std::size_t bytes) noexcept {
    Lane& lane = lanes_[socket];
    lane.done += bytes;
    messages_[lane.message - first_].left -= bytes;
  }
  // Takes the finished messages from the front; how many they were.
  std::uint32_t retire() {
    std::uint32_t count = 0;
    for (; !messages_.empty() && messages_.front().left == 0; ++first_, ++count) messages_.pop_front();
    return count;
  }

 private:
  struct Lane {
    int fd;
    std::uint64_t message = 0;
    std::size_t done = 0;
  };

  // The lane, moved on to the next message that it has bytes of, or to the end.
  [[nodiscard]] Lane ahead(std::size_t socket) const noexcept {
    Lane lane = lanes_[socket];
    if (lane.message < first_) lane = {lane.fd, first_, 0};
    for (; lane.message < first_ + messages_.size(); lane = {lane.fd, lane.message + 1, 0}) {
      const Message& message = messages_[lane.message - first_];
      if (lane.done < stripes(message).share(socket) + (socket == 0 ? sizeof(MessageHeader) : 0)) break;
    }
    return lane;
  }

  std::deque<Message> messages_;
  std::uint64_t first_ = 0;  // number of messages_.front()
  std::vector<Lane> lanes_;
};

// The part of a header that is still to move, as the first piece of a call on socket 0. `done` loses the header's bytes, so that
// it counts bytes of the message from here on. Returns the number of pieces: 0 or 1.
inline std::size_t header_part(MessageHeader& header, std::size_t& done, std::span<iovec> pieces) noexcept {
  const std::size_t moved = std::min(done, sizeof header);
  done -= moved;
  if (moved == sizeof header) return 0;
  pieces[0] = {reinterpret_cast<std::byte*>(&header) + moved, sizeof header - moved};
  return 1;
}

struct Pumped {
  std::uint32_t finished = 0;  // messages
  bool moved = false;
};

}  // namespace tutti
