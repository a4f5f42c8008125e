// Where ranks meet that have nothing but one address in common. Each rank sends one request (who it is, where it listens) and
// gets one answer: the addresses of its ceil(log2 p) neighbours. Only the server's work is linear in the number of ranks; it is
// small (some 100 bytes and one HMAC exchange per rank) and it is the only linear work of a start.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "bootstrap/reception.h"
#include "bootstrap/sockets.h"
#include "core/clock.h"
#include "tutti/transport.h"

namespace tutti {

// Serves in a thread of its own until every rank has its answer, so that any process may hold it: rank 0, or one that is no rank.
class Rendezvous {
 public:
  struct Limits {
    Duration lifetime;  // without anybody registering
    Duration timeout;   // from the first registration to the last; ranks that wait less long shorten it
  };
  static Result<std::unique_ptr<Rendezvous>> start(std::vector<Fd> listeners, const Secret& secret, std::uint64_t job,
                                                   Limits limits);
  // Stops serving; ranks that wait for an answer learn that the rendezvous was closed.
  ~Rendezvous();
  Rendezvous(const Rendezvous&) = delete;
  Rendezvous& operator=(const Rendezvous&) = delete;

  [[nodiscard]] bool finished() const noexcept { return finished_.load(std::memory_order_acquire); }
  // Why it was closed before all ranks had registered. For the process that holds it.
  [[nodiscard]] Status status() const { return finished() && failure_ ? Status(failure_->clone()) : Status(); }

 private:
  class Server;
  Rendezvous() = default;

  Fd stop_;
  std::optional<Error> failure_;  // of the thread, until it has finished
  std::atomic<bool> finished_ = false;
  std::thread thread_;
};

struct Registration {
  Rank rank = 0;
  Rank size = 1;
  Secret secret;
  std::uint64_t job = 0;
  HostPort at;
  std::string at_text;  // where the address came from, for errors
  // Opens this rank's own listener; is told which of this host's addresses reaches the rendezvous.
  std::function<Result<SocketAddress>(const SocketAddress& local)> listen;
  Duration timeout{};               // to reach the rendezvous, and again from there until all ranks have
  const Rendezvous* own = nullptr;  // where this process serves it
  bool of_an_id = false;            // it was served before anybody heard of it: when nobody listens there, nobody will again
  std::stop_token stop = {};
};

// Registers with the rendezvous, retrying with growing pauses, and returns the addresses of the neighbours.
[[nodiscard]] Result<std::vector<SocketAddress>> register_rank(const Registration& registration);

}  // namespace tutti
