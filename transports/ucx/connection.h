// What two ranks have between them: UCX's endpoint, and a TCP connection. On the latter both sides have proved who they are, tell
// where their workers are, say goodbye, and, by its end, that they have died: UCX may notice that late, or not before it sends. A
// connection's functions are called with its worker's lock held.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "transports/ucx/worker.h"

namespace tutti::ucx {

class Connection {
 public:
  Connection(Rank peer, std::shared_ptr<Worker> worker, std::unique_ptr<Endpoint> tcp, std::uint64_t inbox);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Moves the introduction. `moved`: it did.
  Status come_up(bool& moved);
  [[nodiscard]] bool up() const noexcept { return handle_ != nullptr; }
  [[nodiscard]] ucp_ep_h handle() const noexcept { return handle_; }
  [[nodiscard]] std::uint64_t peer_inbox() const noexcept { return theirs_.inbox; }
  [[nodiscard]] Worker& worker() noexcept { return *worker_; }

  // What is known of the peer. `left`: it has said goodbye, with the number of its fragments. `gone`: without a word; why_gone().
  enum class Peer : std::uint8_t { there, left, gone };
  [[nodiscard]] Peer peer() const noexcept { return peer_state_; }
  [[nodiscard]] std::uint64_t fragments() const noexcept { return theirs_last_.fragments; }
  [[nodiscard]] Error why_gone() const;
  // Asks TCP. An error is a peer that says what it cannot say.
  Status look();
  // What UCX has called the connection's end, or nothing. It may know before TCP, and does not tell leaving from dying.
  [[nodiscard]] std::optional<ucs_status_t> failed() const noexcept { return failed_; }

  void begin_wait(WaitSet& set);
  void end_wait() { tcp_->end_wait(); }

  // Tells the peer, now and then, how many of its fragments have been taken.
  void tell(std::uint64_t taken);
  // Tells the peer that so many fragments are all, and starts to have them delivered.
  void say_goodbye(std::uint64_t fragments);
  // Whether UCX's transports have delivered what they were given (which for most means the peer's memory, and for TCP the
  // kernel), or there is nobody for it any more.
  [[nodiscard]] bool delivered();
  // Starts to let go of all, whatever is under way. UCX may call this connection until it has.
  void disconnect();
  [[nodiscard]] bool disconnecting() const noexcept { return disconnecting_; }
  // Whether UCX has let go, once that has been started.
  [[nodiscard]] bool disconnected();
  [[nodiscard]] std::size_t memory_bytes() const { return sizeof *this + tcp_->memory_bytes() + address_.size(); }

 private:
  enum class Stage : std::uint8_t { start, greeting, address, done };
  Status introduce();
  Status advance();
  Status connect();
  Status heed_goodbye();
  static void fail(void* self, ucp_ep_h handle, ucs_status_t status);

  Rank rank_;  // of the peer
  std::shared_ptr<Worker> worker_;
  std::unique_ptr<Endpoint> tcp_;
  Stage stage_ = Stage::start;
  Greeting mine_, theirs_;
  std::vector<std::byte> address_;  // of the peer's worker
  ucp_ep_h handle_ = nullptr;
  Taken taken_;                                                 // UCX reads it in place
  void *tell_ = nullptr, *flush_ = nullptr, *close_ = nullptr;  // UCX's requests
  bool disconnecting_ = false;
  Goodbye mine_last_, theirs_last_;
  Peer peer_state_ = Peer::there;
  std::optional<Error> gone_;
  std::optional<ucs_status_t> failed_;
};

}  // namespace tutti::ucx
