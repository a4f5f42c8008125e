// Lanes between this rank's device and those of the other ranks of a host (what they are: program.h). Memory that ranks share is
// told by letters, and mapped: in one process it is used as it is, in others through CUDA's IPC.
//
// Source: CUDA Driver API Reference, cuIpcGetMemHandle, cuIpcOpenMemHandle, cuCtxEnablePeerAccess, cuStreamWaitValue32.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "device/op.h"
#include "gpu/memory.h"
#include "tutti/result.h"

namespace tutti::gpu {

// Carries letters between ranks, in order for each pair. Each is heard once.
class Courier {
 public:
  virtual Status tell(Rank peer, ConstBytes letter) = 0;  // does not wait for the peer
  virtual Result<std::vector<std::byte>> hear(Rank peer) = 0;
  // Whether one is there, that is to say.
  virtual Result<bool> arrived(Rank peer) = 0;

 protected:
  ~Courier() = default;
};

// Memory of a device, given back when nobody in this process uses it any more.
class DeviceMemory {
 public:
  static Result<std::shared_ptr<const DeviceMemory>> make(const Driver& driver, ContextHandle context, std::uint64_t bytes);
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory();
  [[nodiscard]] Address at() const noexcept { return at_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  DeviceMemory(const Driver& driver, ContextHandle context, Address at, std::uint64_t bytes)
      : driver_(driver), context_(context), at_(at), bytes_(bytes) {}
  const Driver& driver_;
  ContextHandle context_;
  Address at_;
  std::uint64_t bytes_;
};

// One side of a lane.
struct LaneEnd {
  std::array<Address, 2> ready = {}, credit = {};           // of each half; 0: not known yet
  std::map<std::uint64_t, std::array<Address, 2>> inboxes;  // by the size of a half
  std::uint32_t half = 0;                                   // incoming: in use next; outgoing: in use last
};

struct LaneNeed {
  Rank peer = kNoRank;
  std::uint16_t channel = 0;
  bool outgoing = false;
  std::uint64_t inbox_bytes = 0;  // of a half; the same on both sides
};

// A mailbox of a block of the interpreter kernel (device/op.h), and that of the peer; the same on both sides.
struct MailboxNeed {
  Rank peer = kNoRank;
  std::uint16_t channel = 0, block = 0;
  device::Protocol protocol = device::Protocol::simple;
  std::uint64_t half_bytes = 0;
  friend auto operator<=>(const MailboxNeed&, const MailboxNeed&) = default;
};
struct MailboxEnds {
  Address own = 0, peers = 0;
};

// Used by one thread at a time, but for free_waiters.
class Lanes {
 public:
  struct Setup {
    const Driver* driver = nullptr;
    ContextHandle context = nullptr;
    Rank rank = 0, ranks = 1;
    Courier* courier = nullptr;
  };
  // Meets all other ranks. `problem`: why this rank cannot take part, whatever they say. Where any rank cannot, or one of them
  // cannot map another's memory, all of them get Code::unsupported with the reason.
  static Result<std::unique_ptr<Lanes>> make(const Setup& setup, Status problem = {});
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;
  ~Lanes();  // when nothing uses them any more

  // Sees to it that these are there. Waits for their other sides, which must need the same.
  Status open(std::span<const LaneNeed> needs);
  // Whose memory is where this process's own is.
  [[nodiscard]] bool in_this_process(Rank r) const {
    return r == setup_.rank || peers_[static_cast<std::size_t>(r)].same_process;
  }
  [[nodiscard]] LaneEnd& end(const LaneNeed& need) { return (need.outgoing ? outgoing_ : incoming_)[{need.peer, need.channel}]; }

  Status open(std::span<const MailboxNeed> needs);
  [[nodiscard]] MailboxEnds mailbox(const MailboxNeed& need) const { return mailboxes_.at(need); }

  // Whether all ranks can do what they are about to: else Code::unsupported, on all of them, with the reason of one.
  Status agree(const Status& mine);

  // Memory for as long as this lives, and the bytes that come to lie there. Waits for nothing that others do.
  Result<Address> put(ConstBytes bytes);
  // The stream, on which no call is under way, waits until the peers have taken all that was sent to them: they write into this
  // rank's memory no more.
  Status settle(StreamHandle stream);
  // All that waits now for a flag of this rank's goes on; what the flags say is not true afterwards. From any thread.
  Status free_waiters();
  // With the flags of waits, kWaitGreaterOrEqual.
  [[nodiscard]] unsigned wait_flags() const noexcept { return wait_flags_; }
  // Of the device, that this rank has taken.
  [[nodiscard]] std::uint64_t memory_bytes() const noexcept;

 private:
  struct Letter;
  struct Region {
    std::shared_ptr<const DeviceMemory> memory;
    std::uint64_t used = 0;
  };
  // A peer's memory, as it is seen here.
  struct Mapped {
    Address at = 0;
    bool by_ipc = false;
    std::shared_ptr<const DeviceMemory> owner;  // of this process
  };
  struct Peer {
    bool same_process = false;
    std::map<Address, Mapped> memory;  // by where it is for the peer
    Address flags = 0;                 // as they are seen here
  };
  using Ends = std::map<std::pair<Rank, std::uint16_t>, LaneEnd>;

  explicit Lanes(const Setup& setup) : setup_(setup), peers_(static_cast<std::size_t>(setup.ranks)) {}
  [[nodiscard]] const Driver& driver() const noexcept { return *setup_.driver; }
  [[nodiscard]] Peer& peer(Rank r) { return peers_[static_cast<std::size_t>(r)]; }

  Status begin();
  Status introduce(Status mine);
  template <class Write, class Read>
  Status exchange(Write&& write, Read&& read);
  Status reach(const Letter& introduction) const;
  Status share(Rank r, Letter& letter, const std::shared_ptr<const DeviceMemory>& memory);
  Result<Address> map(Rank r, const Letter& letter);
  Status tell(Rank r, const Letter& letter);
  Result<Letter> hear(Rank r);
  Status take(Rank r);

  Result<std::uint64_t> new_flags();
  Result<std::uint64_t> room_for(std::uint64_t bytes);
  Result<Address> offer(Rank r, std::uint64_t bytes, Letter& letter);
  Status offer_inbox(const LaneNeed& need, LaneEnd& end);
  Status offer_credit(const LaneNeed& need, LaneEnd& end);

  Setup setup_;
  unsigned wait_flags_ = kWaitGreaterOrEqual;
  StreamHandle stream_ = nullptr;  // of its own, for what must be done at once
  std::shared_ptr<const DeviceMemory> flags_;
  std::atomic<std::uint64_t> flags_used_{0};
  std::vector<Region> regions_;  // where inboxes and mailboxes lie
  std::vector<Peer> peers_;
  Ends outgoing_, incoming_;
  std::map<MailboxNeed, MailboxEnds> mailboxes_;
  std::mutex settling_mutex_;
  std::vector<MemoryOperation> settling_;  // what settle waits for
};

}  // namespace tutti::gpu
