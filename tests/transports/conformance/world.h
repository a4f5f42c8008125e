// Runs one body as several ranks, threads or processes, and turns whatever goes wrong in any of them, a hang included, into a
// test failure that names the rank and what it was doing.
#pragma once

#include <cstring>
#include <deque>
#include <optional>
#include <span>
#include <stdexcept>

#include "tests/mixed_memory.h"
#include "tests/transports/conformance/conformance.h"

namespace tutti::conformance {

inline constexpr Rank kMaxRanks = 8;

// Thrown by Member's functions; ends the rank and fails the test.
class RankFailed : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What a transport is given to send and to receive into.
using Buffer = std::vector<std::byte, MixedAllocator<std::byte>>;

// Bytes that depend on their place, the sender and the message, so that nothing can be taken for anything else.
[[nodiscard]] Buffer pattern(std::size_t size, std::uint64_t seed);
[[nodiscard]] Signature signature(std::uint32_t sequence, std::uint64_t count = 0);

// A connection with its account of what was posted and finished.
class Link {
 public:
  Link(std::unique_ptr<Endpoint> endpoint, Rank peer) : endpoint_(std::move(endpoint)), peer_(peer) {}

  // Throw RankFailed on an error.
  void send(const Signature& signature, ConstBytes data);
  void recv(const Signature& expected, const Sink& sink);
  void recv(const Signature& expected, Buffer& into) { recv(expected, {.data = into.data(), .size = into.size()}); }
  // The error of the call, or nothing.
  std::optional<Error> try_send(const Signature& signature, ConstBytes data);
  std::optional<Error> try_recv(const Signature& expected, const Sink& sink);
  // Whether anything moved.
  Result<bool> poll();

  [[nodiscard]] bool idle() const { return sends_ == 0 && recvs_ == 0; }
  [[nodiscard]] std::uint64_t sends() const { return sends_; }  // not finished
  [[nodiscard]] std::uint64_t recvs() const { return recvs_; }
  [[nodiscard]] Endpoint& endpoint() { return *endpoint_; }
  [[nodiscard]] Rank peer() const { return peer_; }

 private:
  std::unique_ptr<Endpoint> endpoint_;
  Rank peer_;
  std::uint64_t sends_ = 0, recvs_ = 0;
};

struct Board;

// What a body knows of its rank.
class Member {
 public:
  Member(const Case& config, Board& board, Rank rank, const Secret& secret);

  Rank rank() const { return rank_; }
  Rank size() const;
  // "what I do now", for the message when it hangs
  void step(const std::string& what);
  // Tells the watchdog that something has moved.
  void moved();
  void check(bool holds, const std::string& what);
  // All ranks that are alive meet here.
  void barrier();

  Transport& transport() { return *transport_; }
  ConstBytes address_of(Rank rank) const;
  Link connect(Rank peer, std::uint64_t stream = 0);
  ConnectRequest request(Rank peer, std::uint64_t stream = 0) const;
  // Polls all links until `done`.
  void until(std::span<Link* const> links, const std::function<bool()>& done);
  void until_idle(std::initializer_list<Link*> links);
  // Polls until the link fails; the test fails when everything finishes instead.
  Error until_error(Link& link);
  // The rank is gone without a word: SIGKILL, or, as a thread, close() on all links.
  void die(std::initializer_list<Link*> links);
  void leave_transport() { transport_.reset(); }
  // A new transport after leave_transport().
  void come_back();
  // Flags between ranks: "I have come to point `n`".
  void arrive(std::size_t point);
  bool arrived(std::size_t point);  // fails at the deadline

 private:
  const Case& config_;
  Board& board_;
  Rank rank_;
  Secret secret_;
  std::unique_ptr<Transport> transport_;
};

using Body = std::function<void(Member&)>;
// `secret_of(rank)` defaults to one secret for all.
void run(const Case& config, Rank ranks, const Body& body, const std::function<Secret(Rank)>& secret_of = {});

}  // namespace tutti::conformance
