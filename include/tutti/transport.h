// The contract between the engine and whatever moves bytes. A transport knows nothing of collectives, reductions or
// algorithms, never waits, and starts no thread: the engine polls it.
//
// Adding a transport: derive Transport and Endpoint, add a row to transports/registry.cpp, and instantiate the
// conformance suite (tests/transports/conformance) for it.
#pragma once

#include <poll.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tutti/result.h"
#include "tutti/types.h"

namespace tutti {

// Says which call a message belongs to. Carried with every message and compared on arrival, so that ranks that disagree
// about a call get an error that shows both sides instead of a hang or wrong data.
struct Signature {
  std::uint64_t count = 0;     // elements of the call
  std::uint32_t sequence = 0;  // number of the call on its communicator
  std::uint32_t plan = 0;      // hash of what else must be equal (algorithm, counts of v-variants, chunking)
  std::uint32_t root = 0;
  std::uint8_t collective = 0;
  std::uint8_t type = 0;
  std::uint8_t op = 0;
  std::uint8_t element_bytes = 0;  // of a user's elements; 255: that or more; 0: the type says it

  friend bool operator==(const Signature&, const Signature&) = default;
  // "all_reduce #5 (count 1024, f32, sum)"
  [[nodiscard]] std::string to_string() const;
};
static_assert(sizeof(Signature) == 24);

// Code::mismatch, naming both sides. For transports to report an arrival that is not what was expected.
[[nodiscard]] Error mismatch(const Signature& mine, std::size_t my_bytes, const Signature& theirs, std::size_t their_bytes,
                             Rank peer);
// The same where no message shows it.
[[nodiscard]] Error mismatch(const Signature& mine, const Signature& theirs, Rank peer);

// What a message is made of.
struct Source {
  Source() = default;
  Source(ConstBytes bytes) : data(bytes) {}  // NOLINT(google-explicit-constructor)
  ConstBytes data;
  bool just_written = false;  // computed by this rank in the same call, so that its caches hold it
  bool awaited = false;       // this rank does not go on before it is sent: its memory is written to next
};

// Where the bytes of a message go. Either memory, or a consumer that is shown the bytes piece by piece, in order, while they
// lie in the transport's own memory (so that a reduction needs no stop in between). Every piece but the last has a size
// that is a multiple of kGrain.
class Consumer {
 public:
  static constexpr std::size_t kGrain = 64;  // bytes
  virtual void consume(std::size_t offset, ConstBytes piece) = 0;

 protected:
  ~Consumer() = default;
};

struct Sink {
  std::byte* data = nullptr;  // used when consumer is null
  std::size_t size = 0;       // exact size of the expected message; may be 0
  Consumer* consumer = nullptr;
  bool past_caches = false;  // it is not read soon: better stored past the caches
};

// A word of memory, maybe shared, that somebody changes and then wakes those who sleep on it (futex).
struct FutexWord {
  const std::atomic<std::uint32_t>* word = nullptr;
  std::uint32_t value = 0;  // sleep while it holds this
};

// What would wake a rank that waits for endpoints: file descriptors, and futex words.
struct WaitSet {
  std::vector<pollfd> fds;
  std::vector<FutexWord> words;

  // The value that counts is the one at the first mention. Whether this is it.
  bool add(const std::atomic<std::uint32_t>& word) {
    for (const FutexWord& known : words)
      if (known.word == &word) return false;
    words.push_back({&word, word.load()});
    return true;
  }
};

// How bytes are best moved between two ranks: found by measurement, as it differs between machines, and between pairs of cores of
// one machine. `from`: for messages of that many bytes or more.
struct LinkTuning {
  static constexpr std::size_t kNever = SIZE_MAX;
  std::size_t past_caches_from = kNever;  // what is written for a peer is stored past the caches
  std::size_t direct_from = kNever;       // the receiver reads the sender's memory, where it may
  // The same of memory that it can map (tutti/memory.h, TUTTI_ADOPT). Below that, waiting until it is done costs more than the
  // copy that it saves, up to four times as much where the sender waits for it.
  std::size_t mapped_from = std::size_t{32} << 10;
  // Smaller ones than this it hands back: each cache line that it has read it writes again, with the same bytes. A core may need
  // many times as long to write to a line of which another core has a clean copy as to one that the other has changed.
  std::size_t handed_back_below = 0;
  // What the sender has just computed it writes into such memory of the receiver, who has said where it belongs.
  std::size_t placed_from = std::size_t{4} << 10;
  double mapped_saves_us = 0;              // what each 4 KiB of large buffers that can be mapped save in a call; 0: not known
  std::size_t oldest_first_from = kNever;  // memory that it passes through is used again as late as possible, not as soon
};

// Publishing: one write that many read. Each member of a stream has a board that it writes to, and reads those of all others in
// place. What is published is for all members, who take it in the order in which it was published; it has nothing to do with
// the messages of endpoints. Used by one thread at a time.
class Board {
 public:
  static constexpr Rank kMostMembers = 256;
  static constexpr std::size_t kUsualBytes = std::size_t{512} << 10;  // most_bytes() where memory is not scarce, for estimates
  virtual ~Board() = default;
  // Whether the boards of all members can be seen, which polling the endpoints brings about. Nothing else may be called before.
  [[nodiscard]] virtual bool ready() const noexcept = 0;
  // The most that one publication can hold, all parts together, each rounded up to Consumer::kGrain; the same on all members, and
  // enough for a part of that size for each.
  [[nodiscard]] virtual std::size_t most_bytes() const noexcept = 0;
  // Either one part for all members, or one for each, this rank's own among them (it is not read). All parts count as large as
  // the largest. true: written, their memory may be used again. false: not before the others have taken what was published.
  virtual Result<bool> publish(const Signature& signature, std::span<const ConstBytes> parts) = 0;
  // The part for this rank of the oldest publication of `member` that it has not taken: `bytes` bytes, which stay until then.
  // nullptr: there is none yet. Code::mismatch where it belongs to another call or is shorter.
  virtual Result<const std::byte*> look(Rank member, const Signature& expected, std::size_t bytes) = 0;
  // Its place may be used again. Without a look before: this rank does not need it, and it may not even be there yet.
  virtual void take(Rank member) noexcept = 0;
  // That it holds; no part of what its endpoints say of themselves.
  [[nodiscard]] virtual std::size_t memory_bytes() const = 0;
};

// One FIFO stream of messages in each direction between this rank and one peer. Used by one thread at a time.
class Endpoint {
 public:
  virtual ~Endpoint() = default;

  // Prepares memory for zero-copy use. Optional: posting unregistered memory always works. The memory has to stay until close().
  virtual Status register_memory(Bytes memory, MemoryKind kind) = 0;

  // false: this transport has no choice and takes no notice. Both sides may be tuned differently, and at any time.
  virtual bool tune(const LinkTuning& /*tuning*/) noexcept { return false; }

  // Starts sending. true: finished, the memory may be reused. false: a later poll() finishes it; until then the data must stay.
  // Messages are delivered in the order posted. May be called before the connection is up.
  virtual Result<bool> post_send(const Signature& signature, const Source& source) = 0;

  // Starts receiving the next message in order. true: it has arrived already. A message with another signature or size is
  // Code::mismatch, and the sink may have been written to all the same. The sink must stay until the receive is finished; after
  // an error the peer may still write to it, or read what is being sent, until close() has returned.
  virtual Result<bool> post_recv(const Signature& expected, const Sink& sink) = 0;

  // Whether the message that the next post_recv asks for is there. For the engine to look at again and again when it has
  // nothing else to do; a transport that cannot say so cheaply does not know.
  enum class Arrival : std::uint8_t { unknown, not_yet, there };
  [[nodiscard]] virtual Arrival next_arrival() noexcept { return Arrival::unknown; }

  struct Progress {
    std::uint32_t sends = 0;  // posted sends finished by this call (oldest first), not counting those that post_* finished
    std::uint32_t recvs = 0;
    bool moved = false;  // anything happened at all (bytes, handshake)
  };
  // Moves whatever can move, without waiting. Errors are final for the endpoint; they carry the peer.
  virtual Result<Progress> poll() = 0;

  // Before the engine sleeps: add what would wake it. The engine polls once more after begin_wait and before sleeping, and
  // calls end_wait after.
  virtual void begin_wait(WaitSet& set) = 0;
  virtual void end_wait() = 0;

  // Optional: the board of this rank on the stream that this endpoint belongs to (ConnectRequest::members); lives as long as it.
  [[nodiscard]] virtual Board* board() noexcept { return nullptr; }

  // Tells the peer that close() follows, as nothing else may. Whoever closes several does this with all of them first: where
  // close() waits for peers that have stopped, it does so for all at once.
  virtual void begin_close() {}
  // Lets go of everything. Peers see it as an orderly end; a peer that is still waiting for data gets Code::peer_lost.
  virtual void close() = 0;

  // Bytes of memory this endpoint holds (arenas, staging), for accounting.
  [[nodiscard]] virtual std::size_t memory_bytes() const = 0;
};

struct ConnectRequest {
  Rank me = 0;  // numbers in errors; the higher rank connects, the lower accepts
  Rank peer = 0;
  std::uint64_t stream = 0;             // both sides pass the same number; unique per (communicator, channel)
  std::vector<std::byte> peer_address;  // what the peer's listen() returned
  // Ranks that publish to each other on this stream, 0 to members - 1: all of them connect with each other, and say so alike. 0:
  // there is no board. A transport that has none takes no notice.
  Rank members = 0;
};

// One process-rank's end of a way to move bytes. Thread safe: several communicators may connect at once.
class Transport {
 public:
  virtual ~Transport() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  // Whether this transport can work on this machine, or the reason why it cannot.
  virtual Status probe() = 0;
  // Two ranks whose domains are equal may try to connect. Reachability is then proved by `reaches`.
  [[nodiscard]] virtual std::string domain() const = 0;
  // What of this machine it uses, for people: "eth0 10.0.0.1"; empty: nothing that has a name. Asked after listen().
  [[nodiscard]] virtual std::string uses() const { return {}; }
  // Whether its endpoints have boards where that is asked for (ConnectRequest::members).
  [[nodiscard]] virtual bool has_boards() const noexcept { return false; }
  // Opens the listening side and returns an address for peers (at most 512 bytes).
  virtual Result<std::vector<std::byte>> listen() = 0;
  // Whether the peer behind this address can really be reached: asked once per peer at start, only where domains are equal.
  // Needs no help of the peer beyond its having called listen(). An error says why not.
  virtual Status reaches(Rank peer, ConstBytes peer_address) = 0;
  // Returns at once; the connection is brought up by Endpoint::poll on both sides.
  virtual Result<std::unique_ptr<Endpoint>> connect(const ConnectRequest& request) = 0;
};

// 32 random bytes known to the ranks of one job only.
struct Secret {
  std::array<std::byte, 32> bytes{};
  friend bool operator==(const Secret&, const Secret&) = default;
};

// Of RDMA: the variables TUTTI_IB_...
struct IbOptions {
  std::string devices;            // as in TUTTI_IB_DEVICES
  std::vector<std::string> near;  // PCI addresses of the devices nearest to this rank; empty: none is nearer than others
  int gid_index = -1;             // the best one
  int timeout = 18;               // 4.096 us * 2^timeout until a packet is sent again
  int retries = 6;                // 7: some devices never give up
  int service_level = 0;
  int traffic_class = 0;
  std::size_t ring_bytes = 128u << 10;
};

struct TransportOptions {
  Secret secret;
  Rank rank = 0;
  Rank ranks = 1;
  Rank local_ranks = 1;   // how many ranks share this host, for sizing
  std::string interface;  // tcp: interface list as in TUTTI_INTERFACE
  std::size_t shm_bytes = 8u << 20;
  std::size_t l2_bytes = 0;  // a core's second cache; 0: not known
  int tcp_sockets = 2;
  bool cma = true;
  // shm: how long a peer may take to put a part of a message into this rank's memory, where a live one takes microseconds.
  std::chrono::milliseconds writer_time{2000};
  IbOptions ib = {};
};

}  // namespace tutti
