// The messages that go out, in order.
//
// Small ones are copied into the ring, in pieces where they are larger than one record: once that is done they are finished.
// Large ones wait for the receiver's answer, which it gives as soon as the receive is posted, most often before the sender gets
// there. Then this rank writes them into the receiver's memory, a part on each rail. (Reading them from here instead would need
// an announcement first, then as many round trips, and devices have few reads under way.) Or, where the receiver wants to be
// shown the bytes or its memory cannot be registered, they go through its ring as well, but from the caller's memory.
#pragma once

#include <array>

#include "core/fifo.h"
#include "transports/verbs/channel.h"
#include "transports/verbs/registrations.h"
#include "transports/verbs/stripes.h"

namespace tutti::verbs {

// What both directions need to know of a connection.
struct Link {
  Channel& channel;
  std::shared_ptr<Registrations> registrations;
  std::vector<std::size_t> devices;  // of each rail: its place among those of the registrations
  Stripes stripes;
  Tuning tuning;
};

struct Moved {
  std::uint32_t finished = 0;  // messages
  bool any = false;
};

class Outbox {
 public:
  void post(const Signature& signature, ConstBytes data);
  // A small message that can be sent at once. Nothing unfinished may be before it. false: post() it.
  Result<bool> send_small(Link& link, const Signature& signature, ConstBytes data);
  Result<Moved> pump(Link& link);
  // The peer has gone in order. Messages that it has seen are finished, though nobody acknowledges them any more: what said so
  // may have been lost, and whom to ask again is not there.
  Moved conclude(Link& link);

  [[nodiscard]] bool empty() const noexcept { return messages_.empty(); }
  void clear() { messages_.clear(), started_ = 0; }
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return messages_.memory_bytes(); }

 private:
  enum class Stage : std::uint8_t { fresh, announced, in_pieces, placing, posted };
  struct OnRail {
    std::size_t done = 0;    // bytes
    std::uint64_t last = 0;  // write
  };
  struct Message {
    std::uint64_t number = 0;
    Signature signature;
    ConstBytes data;
    Stage stage = Stage::fresh;
    std::size_t sent = 0;  // in pieces
    Answer answer;
    Registrations::Use memory;
    std::array<OnRail, kMostRails> rail;
    std::uint64_t signal = 0;  // of its last record
  };

  Status start(Link& link, Message& message, bool& moved);
  static void take_answer(Link& link, Message& message, const Answer& answer);
  Status place(Link& link, Message& message, bool& moved);
  Result<bool> place_on(Link& link, Message& message, std::size_t rail, bool& moved);
  Status send_pieces(Link& link, Message& message, bool& moved);
  Status advance(Link& link, Message& message, bool& moved);
  [[nodiscard]] bool complete(Link& link, const Message& message) const;
  template <class Done>
  void retire(Moved& moved, Done&& done);

  Fifo<Message> messages_;
  std::size_t started_ = 0;  // of them, from the front, have been posted in full
  std::uint64_t next_ = 0;   // number
};

}  // namespace tutti::verbs
