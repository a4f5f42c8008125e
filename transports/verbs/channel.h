// What both directions of a connection share: the rails, the ring of records that each end writes into the other's mailbox on the
// first rail, and the account of what may be under way, so that no queue and no ring is ever overrun.
//
// Each end has a mailbox that the peer writes to, and an image of the peer's mailbox, in which it prepares what it writes there.
// Writes that announce themselves (with a number, "signals") use up receive requests and completions of the peer. It grants so
// many of them, and says in everything that it sends how many it has seen, and how much of the ring it has taken. Messages leave
// a part of them to answers and to credits that are sent on their own, so that two ends that wait for each other's credits get
// them.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "core/fifo.h"
#include "transports/verbs/queue_pair.h"

namespace tutti::verbs {

// What a user never needs to change, but for the ring. Tests do, to make rare things common.
struct Tuning {
  std::size_t ring_bytes = std::size_t{128} << 10;
  std::uint32_t ask_from = 32u << 10;    // larger messages go where the receiver says
  std::size_t place_from = 256u << 10;   // into its memory, where that has to be registered for it
  std::size_t write_bytes = 256u << 10;  // of a large message, at once
  int writes = 16;                       // of this kind under way on a rail
  std::size_t stripe_from = 256u << 10;  // messages that use all rails
  int few_ranks = 16;                    // jobs of more share receive requests between connections
  QueueLimits queue;
};

class Channel {
 public:
  explicit Channel(Rank peer) : peer_(peer) {}

  // What this end registers for a ring of so many bytes: the mailbox, and the image of the other end's.
  [[nodiscard]] static std::size_t memory_of(std::size_t ring_bytes);

  // Makes this end: `rails` and the mailbox. Then introduction() is what the peer is to be told.
  Status open(std::vector<std::unique_ptr<QueuePair>> rails, const Tuning& tuning);
  [[nodiscard]] Introduction introduction() const;
  // Connects with the other end; it may write from then on. This end must not before the other one has connected, too.
  Status connect(const Introduction& theirs, const PathOptions& options);
  void close();

  [[nodiscard]] Rank peer() const noexcept { return peer_; }
  [[nodiscard]] std::size_t rails() const noexcept { return rails_.size(); }
  [[nodiscard]] QueuePair& rail(std::size_t index) noexcept { return *rails_[index]; }
  // Larger messages wait for an answer.
  [[nodiscard]] std::size_t ask_from() const noexcept { return ask_from_; }
  [[nodiscard]] std::size_t most_in_record() const noexcept { return most_in_record_; }

  // Takes what has arrived and completed. Whether there was anything.
  Result<bool> poll();
  // Credits are sent on their own where that is worth it, or where they are the last ones. Whether they were sent.
  Result<bool> give_credits(bool last = false);
  // Something other than credits has been seen that the peer has not been told of.
  [[nodiscard]] bool owes_credits() const noexcept { return owed_ > 0; }
  // How many signals have been sent, and how many the peer has seen as far as it has said.
  [[nodiscard]] std::uint64_t signals_sent() const noexcept { return signals_sent_; }
  [[nodiscard]] std::uint64_t signals_taken() const noexcept { return theirs_taken_.signals; }
  // All that was written has arrived.
  [[nodiscard]] bool drained() const noexcept;
  Status flush();

  // ---- Outgoing
  [[nodiscard]] bool room_for_record(std::size_t bytes) const noexcept;
  // What follows the record is copied, or, with the key of registered memory, read from there until the write is complete. The
  // write's number.
  Result<std::uint64_t> post_record(RecordKind kind, const Signature& signature, std::size_t message_bytes, ConstBytes payload,
                                    std::optional<std::uint32_t> key = std::nullopt);
  [[nodiscard]] bool room_for_answer() const noexcept { return rail(0).room() && under_way() < theirs_.signals; }
  Status post_answer(const Answer& answer);
  // The answer to this message, once it is there.
  [[nodiscard]] const Answer* answer_to(std::uint64_t message) noexcept;

  // ---- Incoming
  [[nodiscard]] bool has_record() const noexcept { return !records_.empty(); }
  // A copy of the first record, good until the next call.
  Result<const Record*> front();
  // What follows the record that front() has given.
  [[nodiscard]] ConstBytes payload() const noexcept;
  // Its place may be used again.
  void take() noexcept;
  // Messages whose part on this rail (not the first) lies in memory of this rank.
  [[nodiscard]] std::uint64_t placed(std::size_t rail) const noexcept { return placed_[rail]; }

  void begin_wait(WaitSet& set);
  void end_wait();
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

 private:
  struct Unmap {
    void operator()(std::byte* memory) const noexcept;
  };
  struct Reported {
    std::uint64_t write = 0, position = 0;
  };

  [[nodiscard]] const QueuePair& rail(std::size_t index) const noexcept { return *rails_[index]; }
  [[nodiscard]] std::uint64_t under_way() const noexcept { return signals_sent_ - theirs_taken_.signals; }
  [[nodiscard]] std::size_t skip(std::size_t bytes) const noexcept;
  [[nodiscard]] std::byte* mailbox() const noexcept { return memory_.get(); }
  [[nodiscard]] const std::byte* ring(std::size_t place) const noexcept { return mailbox() + kRingOffset + place; }
  [[nodiscard]] std::byte* image() const noexcept { return memory_.get() + kRingOffset + ring_bytes_; }
  [[nodiscard]] Write of_image(std::size_t offset, std::size_t bytes, Signal signal, std::string_view what) const noexcept;
  Result<std::uint64_t> post(const Write& write);
  Status accept_arrived(std::size_t rail);
  Status accept(std::size_t rail, Signal signal);
  Status accept_record(std::uint32_t granule);
  [[nodiscard]] Error corrupt(std::string_view what) const;
  void learn(const Credits& credits) noexcept;
  Credits told() noexcept;
  void reclaim() noexcept;
  void release_mailbox(Device& device);

  Rank peer_;
  std::vector<std::unique_ptr<QueuePair>> rails_;
  std::unique_ptr<std::byte, Unmap> memory_;  // the mailbox, and then the image of the peer's
  std::size_t memory_size_ = 0;
  std::size_t ring_bytes_ = 0;  // of this end
  std::uint32_t signals_ = 0;   // granted to the peer
  ibv_mr* mailbox_key_ = nullptr;
  ibv_mr* image_key_ = nullptr;
  Introduction theirs_;
  std::size_t ring_in_use_ = 0;  // of both ends: the smaller ring
  std::size_t ask_from_ = 0, most_in_record_ = 0;

  // Outgoing: positions in the ring count bytes since the beginning.
  std::uint64_t written_ = 0;     // position
  std::uint64_t complete_ = 0;    // position up to which the image may be used again
  std::uint64_t unreported_ = 0;  // bytes since a completion was last asked for
  Fifo<Reported> reported_;
  std::uint64_t signals_sent_ = 0;
  Credits theirs_taken_;  // as the peer has said
  std::uint64_t answers_sent_ = 0;
  std::deque<Answer> answers_;  // that arrived

  // Incoming
  Fifo<std::uint32_t> records_;  // their places in the ring, in granules
  Record front_;
  std::size_t front_place_ = 0;  // in bytes
  std::uint64_t position_ = 0;   // behind the last record that was taken
  std::uint64_t signals_seen_ = 0;
  Credits told_;
  std::uint64_t owed_ = 0;  // signals seen since then, without credits: telling of these would go on for ever
  std::uint64_t answers_seen_ = 0;
  std::array<std::uint64_t, kMostRails> placed_{};
  std::vector<Signal> arrived_;
};

}  // namespace tutti::verbs
