// What all connections of one rank share: its arena, its listening socket, the peers' arenas it has mapped.
#pragma once

#include <atomic>
#include <list>
#include <map>
#include <mutex>
#include <optional>

#include "core/handshake.h"
#include "transports/shm/board.h"
#include "transports/shm/unix_socket.h"

namespace tutti::shm {

// What the two ends of a connection must agree about, from the acceptor's point of view.
struct Key {
  Rank me = kNoRank;
  Rank peer = kNoRank;
  std::uint64_t stream = 0;
  friend auto operator<=>(const Key&, const Key&) = default;
};
[[nodiscard]] std::vector<std::byte> make_hello(const ConnectRequest& request);

class Hub {
 public:
  explicit Hub(TransportOptions options) : options_(std::move(options)) {}

  // Arena and listening socket; does nothing when they exist already.
  Status open();
  [[nodiscard]] const TransportOptions& options() const noexcept { return options_; }
  [[nodiscard]] const std::string& socket_name() const noexcept { return socket_name_; }
  [[nodiscard]] Arena& arena() noexcept { return *arena_; }
  // A word of this process's memory with a random value, by which peers find out whether they may read it.
  [[nodiscard]] const std::uint64_t& probe_word() const noexcept { return probe_word_; }

  Result<Region> allocate_lane();
  // This rank's board on a stream, or none where it has no members; the same for all its connections; kept until the last of them
  // has been released.
  Result<std::shared_ptr<ShmBoard>> board(const ConnectRequest& request);
  // Memory of a connection's cells; each side has half of it on its account. As much as suits the caches, or less where memory
  // has become scarce.
  Result<CellMemory> create_cells();
  Result<CellMemory> map_cells(const Fd& memory, Rank peer);
  // Gives a lane, cells and a share in a board back: at once when nobody has seen them (no socket), else when the peer has let go
  // of them, too.
  void release(Region lane, std::size_t cell_bytes, std::shared_ptr<ShmBoard> board, Fd socket);
  Result<std::shared_ptr<PeerArena>> map_peer(const Fd& memory, const Fd& bell, Rank peer);

  // Accepts and authenticates whoever knocks; returns the connection that has this key, if it is there.
  Result<std::optional<Fd>> accept(const Key& key);
  // Descriptors whose events may bring a connection.
  void add_accept_fds(std::vector<pollfd>& fds);
  // Counts a sleeper and names what wakes it.
  void begin_wait(WaitSet& set);
  void end_wait() noexcept { arena_->header().sleepers.fetch_sub(1); }
  // Wakes this rank's own threads that sleep.
  void ring_own_bell() noexcept;
  // Counts changes of what add_accept_fds() names: a waiter that has seen one must not sleep on what was named before.
  [[nodiscard]] std::uint64_t knock_changes() const noexcept { return knock_changes_.load(); }

 private:
  std::atomic<std::uint64_t> knock_changes_{0};
  struct Knock {
    Fd socket;
    Handshake handshake;
  };
  struct Buried {
    Region lane;
    std::size_t cell_bytes;
    std::shared_ptr<ShmBoard> board;
    Fd socket;
  };
  Status take_knocks();
  void advance_knocks();
  void reap_lanes();
  Result<std::size_t> reserve_cells();
  [[nodiscard]] std::size_t spare_bytes() const noexcept;
  [[nodiscard]] std::size_t used_bytes() const noexcept;
  [[nodiscard]] Error no_memory() const;

  TransportOptions options_;
  std::mutex mutex_;
  std::unique_ptr<Arena> arena_;
  std::size_t cell_bytes_ = 0;  // of all connections, this side's halves
  Fd listener_;
  std::string socket_name_;
  std::uint64_t probe_word_ = 0;
  bool fenced_ = false;  // peers may leave fences to this process's sleepers
  std::list<Knock> knocks_;
  std::map<Key, Fd> accepted_;                                 // authenticated, not asked for yet
  std::map<std::uint64_t, std::shared_ptr<ShmBoard>> boards_;  // by stream
  std::vector<Buried> buried_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::weak_ptr<PeerArena>> peers_;  // by device and inode
};

}  // namespace tutti::shm
