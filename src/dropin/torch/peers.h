// Messages between two ranks: send and recv with their tags, and recv from anyone.
//
// A collective call and a message must not wait for each other, and neither must messages of different directions or tags. So
// each direction between two ranks has a connection (a communicator of two) for each tag that is used, made when both sides first
// use it, and a thread that does one message after the other. A header goes before each message: its size, for errors that show
// both sides, and as the sign that there is one, for whoever receives from anyone.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>

#include "meeting.h"
#include "work.h"
#include "worker.h"

namespace tutti_torch {

// A message that is received from whichever rank sends one first.
struct FromAnyone {
  std::mutex mutex;
  c10::intrusive_ptr<CallWork> work;  // until a message has been found for it, or it has failed
  at::Tensor tensor;
  std::size_t open = 0;  // connections that may still find one
};

class Peers {
 public:
  Peers(Store store, int rank, int size, const tutti::Communicator& group, std::chrono::milliseconds timeout)
      : store_(std::move(store)), rank_(rank), size_(size), group_(group), timeout_(timeout) {}
  ~Peers() { close("the process group was destroyed"); }

  void send(c10::intrusive_ptr<CallWork> work, const at::Tensor& tensor, int to, int tag);
  void recv(c10::intrusive_ptr<CallWork> work, const at::Tensor& tensor, int from, int tag);
  void recv_from_anyone(const std::shared_ptr<FromAnyone>& request, int tag);
  // Ends all that waits, with this reason.
  void close(const std::string& reason);
  void set_timeout(std::chrono::milliseconds timeout) { timeout_ = timeout; }

 private:
  struct Header {
    std::uint64_t magic = kMagic;
    std::uint64_t bytes = 0;
    static constexpr std::uint64_t kMagic = 0x7475747469707472;
  };
  // One direction, and one tag.
  struct Channel {
    int from = 0, to = 0, tag = 0;
    std::optional<tutti::Communicator> pair;  // of the sender and the receiver; used by the worker, aborted by others
    std::mutex mutex;                         // guards that it is made or ended
    std::optional<Header> waiting;            // of a message that nobody has received
    Worker worker;
  };

  Channel& channel(int from, int to, int tag);
  using Transfer = tutti::Status (Peers::*)(Channel& channel, const at::Tensor& tensor);
  void push(Channel& channel, c10::intrusive_ptr<CallWork> work, const at::Tensor& tensor, Transfer transfer);
  [[nodiscard]] int other(const Channel& channel) const { return rank_ == channel.from ? channel.to : channel.from; }
  tutti::Status open(Channel& channel, const MayWait& may_wait);
  [[nodiscard]] tutti::Error in_group(const Channel& channel, tutti::Error error) const;
  tutti::Status send_now(Channel& channel, const at::Tensor& tensor);
  tutti::Status recv_now(Channel& channel, const at::Tensor& tensor);
  tutti::Status take_header(Channel& channel, double timeout_s);
  tutti::Status take_payload(Channel& channel, const at::Tensor& tensor);
  void look_for_anyone(Channel& channel, FromAnyone& request);
  [[nodiscard]] double timeout_s() const { return std::chrono::duration<double>(timeout_.load()).count(); }
  Store own_store();

  Store store_;
  const int rank_, size_;
  const tutti::Communicator& group_;
  std::atomic<std::chrono::milliseconds> timeout_;
  std::stop_source closed_;
  std::mutex mutex_;  // guards what follows
  Store own_store_;
  std::map<std::array<int, 3>, std::unique_ptr<Channel>> channels_;
};

}  // namespace tutti_torch
