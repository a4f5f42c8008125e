// The sending half of a connection over UCX.
#pragma once

#include <deque>
#include <optional>

#include "transports/ucx/worker.h"

namespace tutti::ucx {

class Sender {
 public:
  Sender(Worker& worker, Rank peer) : worker_(&worker), peer_(peer) {}

  // The connection is up: what the peer's inbox is.
  void start(ucp_ep_h connection, std::uint64_t inbox) noexcept {
    connection_ = connection;
    inbox_ = inbox;
  }
  void post(const Signature& signature, ConstBytes data);
  // Hands UCX what has been posted since, and takes back what it is done with. Returns how many messages that finished.
  Result<std::uint32_t> pump();
  // The peer's word: so many fragments that came have been asked for.
  void taken(std::uint64_t fragments);
  // After the connection is closed: takes back the rest. Whether UCX has let go of all of it.
  bool let_go(TimePoint end);

  [[nodiscard]] bool idle() const noexcept { return fragments_.empty(); }
  [[nodiscard]] std::uint64_t sent() const noexcept { return number_; }  // fragments
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return fragments_.size() * sizeof(Fragment); }

 private:
  struct Fragment {
    FragmentHeader header;  // UCX reads it in place
    ConstBytes data;
    bool last = true;         // of its message
    void* request = nullptr;  // of UCX, while it has this fragment
  };
  Status hand_over(Fragment& fragment);
  Result<std::uint32_t> take_back();
  [[nodiscard]] std::size_t most_handed_over() const;

  Worker* worker_;
  Rank peer_;
  ucp_ep_h connection_ = nullptr;
  std::uint64_t inbox_ = 0, number_ = 0, taken_ = 0;
  std::deque<Fragment> fragments_;
  std::size_t handed_over_ = 0;  // of these
  std::optional<Error> damage_;  // what the peer said that cannot be
};

// What UCX's word about a connection or a message says about the peer.
[[nodiscard]] Error connection_error(const Library& library, ucs_status_t status, Rank peer);

}  // namespace tutti::ucx
