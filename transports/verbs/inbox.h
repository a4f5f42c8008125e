// The messages that are awaited, in order, and the answers to the senders of large ones.
#pragma once

#include "transports/verbs/outbox.h"

namespace tutti::verbs {

class Inbox {
 public:
  void post(const Signature& expected, const Sink& sink);
  Result<Moved> pump(Link& link);

  [[nodiscard]] bool empty() const noexcept { return messages_.empty(); }
  void clear() { messages_.clear(), looked_at_ = 0; }
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return messages_.memory_bytes(); }

 private:
  struct Message {
    std::uint64_t number = 0;
    Signature expected;
    Sink sink;
    std::size_t arrived = 0;
    bool answered = false;
    bool whole = false;   // as far as the first rail carries it
    bool placed = false;  // by the peer, in the sink's memory
    Registrations::Use memory;
  };

  [[nodiscard]] bool may_answer(const Link& link) noexcept;
  Status answer(Link& link);
  Result<bool> receive(Link& link, Message& message, bool& moved);
  Status take(Link& link, Message& message, const Record& record);
  void take_piece(Message& message, ConstBytes piece);
  [[nodiscard]] bool finished(Link& link, const Message& message) const;

  Fifo<Message> messages_;
  std::size_t looked_at_ = 0;                       // of them, from the front, have been answered if they need it
  std::size_t answers_ = 0;                         // whose messages are not finished
  std::uint64_t next_ = 0;                          // number
  std::array<std::uint64_t, kMostRails> placed_{};  // messages with a part on this rail
};

}  // namespace tutti::verbs
