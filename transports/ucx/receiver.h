// The receiving half of a connection over UCX. Fragments that come before their message is asked for stay in UCX's memory, or,
// where they are large, in the sender's.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>

#include "transports/ucx/worker.h"

namespace tutti::ucx {

class Receiver {
 public:
  Receiver(Worker& worker, Rank peer) : worker_(&worker), peer_(peer) {}

  void arrive(const Arrival& arrival);
  void post(const Signature& expected, const Sink& sink) { messages_.push_back({expected, sink}); }
  // Brings together what has come and what was asked for. Returns how many messages that finished.
  Result<std::uint32_t> pump();
  // Before the connection is closed: gives back what nobody has asked for.
  void drop_arrivals();
  // After it: waits for what UCX was writing. Whether it has let go of all memory.
  bool let_go(TimePoint end);

  [[nodiscard]] bool idle() const noexcept { return messages_.empty(); }
  [[nodiscard]] bool fetching() const noexcept { return !landings_.empty(); }  // UCX writes to memory that it was given
  [[nodiscard]] std::uint64_t arrived() const noexcept { return arrived_; }    // fragments
  [[nodiscard]] std::uint64_t taken() const noexcept { return first_; }        // of these, for messages that were asked for
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

 private:
  static constexpr std::size_t kSlots = 2;  // a consumer is shown one fragment while UCX fetches the next
  struct Message {
    Signature expected;
    Sink sink;
    std::size_t begun = 0;     // bytes that are there or being fetched
    std::size_t finished = 0;  // bytes
    bool opened = false;       // its first fragment has come
    [[nodiscard]] bool all_begun() const noexcept { return opened && begun == sink.size; }
    [[nodiscard]] bool complete() const noexcept { return opened && finished == sink.size; }
  };
  // What UCX is fetching.
  struct Landing {
    void* request;
    std::size_t message;  // its place in messages_
    std::size_t offset, size;
    std::byte* staged;  // where it is for a consumer
  };
  struct FreeStaging {
    void operator()(std::byte* memory) const noexcept;
  };

  Result<bool> begin_next();
  [[nodiscard]] Status check(const Message& message, const Arrival& arrival) const;
  void take(Message& message, const Arrival& arrival);
  Status fetch(Message& message, const Arrival& arrival);
  Result<bool> finish_landings();
  std::byte* staging(std::size_t slot);
  void give_back(const Arrival& arrival);

  Worker* worker_;
  Rank peer_;
  std::deque<Message> messages_;
  std::size_t begun_ = 0;  // messages all of whose bytes are there or being fetched
  std::deque<std::optional<Arrival>> arrivals_;
  std::uint64_t first_ = 0, arrived_ = 0;  // number of arrivals_.front(); how many came
  std::optional<Error> damage_;            // what came that cannot be
  std::deque<Landing> landings_;
  std::unique_ptr<std::byte, FreeStaging> staging_;  // made for the first consumer
  std::size_t slot_ = 0;                             // that is next
};

}  // namespace tutti::ucx
