// The control network of a communicator: every rank keeps a TCP connection to the ranks 1, 2, 4, ... away on both sides.
//
// It carries small exchanges among all ranks (all_gather: Bruck's, ceil(log2 p) steps; "Efficient algorithms for all-to-all
// communications in multiport message-passing systems", 1997), and it is the failure detector: a connection that ends without a
// farewell tells that its rank died, and that news, like an abort, is passed on once by everyone to all neighbours.
#pragma once

#include <poll.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "bootstrap/channel.h"
#include "bootstrap/member.h"
#include "bootstrap/reception.h"
#include "core/clock.h"
#include "tutti/result.h"
#include "tutti/transport.h"

namespace tutti {

// Thread safe, except that one all_gather at a time may run: it is a collective call of its own.
class Overlay {
 public:
  static constexpr std::size_t kMaxBlob = 16u << 20;  // one rank's contribution to an all_gather
  static constexpr std::size_t kMaxFrame = 1u << 30;  // all that one message carries
  static constexpr std::size_t kMaxReason = 1024;     // text of an abort
  static constexpr std::size_t kMaxNote = 4096;       // what one rank tells another

  struct Setup {
    Rank rank = 0;
    Rank size = 1;
    Secret secret;
    std::uint64_t job = 0;
    Fd listener;
    std::vector<SocketAddress> next;  // of next_rank(rank, size, 0), (.., 1), ...
    Duration timeout{};               // for connecting, and for each all_gather
    std::stop_token stop = {};        // ends connecting
  };
  // Connects and learns who everybody is. With one rank it opens nothing.
  static Result<std::unique_ptr<Overlay>> connect(Setup setup);
  ~Overlay();
  Overlay(const Overlay&) = delete;
  Overlay& operator=(const Overlay&) = delete;

  [[nodiscard]] Rank rank() const noexcept { return rank_; }
  [[nodiscard]] Rank size() const noexcept { return size_; }
  [[nodiscard]] const Member& member(Rank rank) const { return members_.at(static_cast<std::size_t>(rank)); }
  // "rank 3 (host h2, pid 1234)"
  [[nodiscard]] std::string describe(Rank rank) const;

  // Every rank's bytes, by rank; they may differ in length. Called by all ranks in the same order. A failure
  // ends the overlay for all ranks.
  Result<std::vector<std::vector<std::byte>>> all_gather(ConstBytes mine) { return all_gather(mine, timeout_); }
  Result<std::vector<std::vector<std::byte>>> all_gather(ConstBytes mine, Duration timeout);

  // Whether all is well as far as this rank can know: Code::peer_lost with the rank that died, or what a rank called abort()
  // with. Cheap, never waits; passes news on. Once it has failed it says the same for ever.
  Status poll_failures();
  // Whether this rank may still be waited for, as far as the last poll_failures() has heard: Code::peer_lost when it has finished
  // and left. What it sent before may still arrive, so ask after what has arrived was read. Fails like poll_failures() for other
  // reasons.
  Status still_here(Rank peer);
  // Tells one rank something, without waiting for it. It goes from link to link, as far as the ranks between look after their
  // overlays: for hints that may be late or lost. Only the latest note of a rank is kept.
  void send_note(Rank to, ConstBytes text);
  [[nodiscard]] std::map<Rank, std::vector<std::byte>> notes();

  // Tells all ranks that this communicator is over; every poll_failures() gives this error from now on. The first reason wins.
  void abort(const Error& error);
  // As long as the result lives, asking to stop does so, too.
  using Stopping = std::stop_callback<std::function<void()>>;
  [[nodiscard]] Stopping aborted_by(std::stop_token stop);
  // Leaves in an orderly way: the others do not take this rank for dead.
  void goodbye();

  // What would wake a rank that waits for news.
  void append_fds(std::vector<pollfd>& fds);

 private:
  struct Link {
    Rank peer = kNoRank;
    std::unique_ptr<Channel> channel;
    std::deque<std::vector<std::byte>> gathers;  // frames of all_gathers not looked at yet
    bool over = false;                           // nothing more will come
  };
  // Where the connection of an outgoing link stands while it is made.
  struct Attempt {
    SocketAddress address;
    TimePoint next_try;
    Duration pause{};
    std::string last_error = "no answer";
  };
  class Wiring;
  using Blocks = std::vector<std::vector<std::byte>>;
  using Lock = std::unique_lock<std::mutex>;

  explicit Overlay(const Setup& setup);
  Status learn_members();
  Result<Blocks> gather(ConstBytes mine, Duration timeout);
  Result<std::vector<std::byte>> await_block(Link& link, std::uint32_t sequence, int step, TimePoint start, Duration timeout,
                                             Lock& lock);
  Status await_flushed(TimePoint deadline, Lock& lock);
  void sleep(TimePoint deadline, Lock& lock);

  [[nodiscard]] static bool is_up(const Link& link) { return !link.over && link.channel && link.channel->is_open(); }

  // All of these with the lock held.
  void progress();
  void read_link(Link& link, std::vector<Rank>& lost);
  Status handle(Link& link, std::vector<std::byte> frame);
  Status handle_abort(ConstBytes body);
  Status handle_left(ConstBytes body);
  Status handle_note(ConstBytes frame);
  void pass_on(Rank to, ConstBytes frame);
  void fail(Error error, Rank origin);
  void broadcast(ConstBytes frame);
  void flush_until(TimePoint deadline);
  [[nodiscard]] bool all_flushed() const;
  [[nodiscard]] Status status() const;

  std::mutex mutex_;
  Rank rank_;
  Rank size_;
  Duration timeout_;
  std::vector<Link> links_;  // outgoing ones first, then incoming
  std::vector<Member> members_;
  std::vector<bool> left_;
  std::vector<Rank> newly_left_;
  std::map<Rank, std::vector<std::byte>> notes_;
  std::optional<Error> failure_;
  std::uint32_t sequence_ = 0;
  std::vector<pollfd> fds_;  // scratch of progress()
  bool leaving_ = false;
};

}  // namespace tutti
