#include "transports/shm/hub.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "core/log.h"
#include "transports/shm/membarrier.h"

namespace tutti::shm {
namespace {

// What all connections may have together, when each has the least, in parts of what is asked for.
constexpr std::size_t kMostOfAll = 4;
// Two connections with each of 255 others, and a board for one of the two streams, find room in what is asked for by default.
static_assert(2 * 255 * (sizeof(Lane) + Cells::kLeastMemory / 2) + sizeof(BoardMemory) + 255 * 8 * kLine <=
              TransportOptions{}.shm_bytes);
constexpr std::size_t kUsualL2 = std::size_t{1} << 20;
constexpr std::size_t kStage = 2 * Board::kUsualBytes;
// Strangers that connect and say nothing must not use up all descriptors.
constexpr std::size_t kMaxKnocks = 2048;

struct Hello {
  std::array<char, 8> magic{'t', 'u', 't', 't', 'i', 's', 'h', '2'};
  Rank me = kNoRank;
  Rank peer = kNoRank;
  std::uint64_t stream = 0;
};
static_assert(sizeof(Hello) == 24);

std::optional<Key> parse_hello(ConstBytes bytes) {
  Hello hello;
  if (bytes.size() != sizeof hello) return std::nullopt;
  std::memcpy(&hello, bytes.data(), sizeof hello);
  if (hello.magic != Hello{}.magic) return std::nullopt;
  return Key{.me = hello.peer, .peer = hello.me, .stream = hello.stream};
}

}  // namespace

std::vector<std::byte> make_hello(const ConnectRequest& request) {
  Hello hello;
  hello.me = request.me;
  hello.peer = request.peer;
  hello.stream = request.stream;
  const auto bytes = std::as_bytes(std::span(&hello, 1));
  return {bytes.begin(), bytes.end()};
}

Status Hub::open() {
  std::lock_guard lock(mutex_);
  if (arena_) return {};
  const Secret random = random_secret();
  std::string name = "tutti-";
  for (std::size_t i = 0; i < 16; ++i) name += fmt::format("{:02x}", std::to_integer<int>(random.bytes[i]));
  std::memcpy(&probe_word_, random.bytes.data() + 16, sizeof probe_word_);
  auto arena = Arena::create(kMostOfAll * std::min(options_.shm_bytes, kMostMemfd / kMostOfAll));
  if (!arena) return std::move(arena.error());
  auto listener = listen_at(name);
  if (!listener) return std::move(listener.error());
  fenced_ = register_for_fences();
  (*arena)->header().sleepers_fence.store(fenced_ ? 1 : 0);
  listener_ = std::move(*listener);
  socket_name_ = std::move(name);
  arena_ = std::move(*arena);
  return {};
}

std::size_t Hub::used_bytes() const noexcept { return arena_->size() - arena_->free_bytes() + cell_bytes_; }

Error Hub::no_memory() const {
  return {
      Code::resource,
      fmt::format("this rank's open connections hold {} bytes of shared memory, {} times what TUTTI_SHM_BYTES asks for; set it "
                  "higher or close communicators",
                  used_bytes(), kMostOfAll)};
}

Result<Region> Hub::allocate_lane() {
  std::lock_guard lock(mutex_);
  reap_lanes();
  if (used_bytes() + sizeof(Lane) > arena_->size()) return no_memory();
  return arena_->allocate_lane();
}

// Half of the memory is kept for late comers, who get the least, and may have more than there should be.
std::size_t Hub::spare_bytes() const noexcept {
  const std::size_t half = options_.shm_bytes / 2;
  return std::max(half, used_bytes()) - used_bytes();
}

Result<std::shared_ptr<ShmBoard>> Hub::board(const ConnectRequest& request) {
  if (request.members == 0) return std::shared_ptr<ShmBoard>();
  if (request.members > Board::kMostMembers || request.me >= request.members || request.peer >= request.members)
    return Error(Code::invalid_argument, fmt::format("ranks {} and {} cannot be members of a stream of {} ranks; the most is {}",
                                                     request.me, request.peer, request.members, Board::kMostMembers));
  std::lock_guard lock(mutex_);
  if (const auto known = boards_.find(request.stream); known != boards_.end()) return known->second;
  const std::size_t least = ShmBoard::least_stage(request.members);
  const std::size_t bytes = sizeof(BoardMemory) + std::max(std::min(kStage, std::bit_floor(spare_bytes())), least);
  if (used_bytes() + bytes > arena_->size()) return no_memory();
  auto region = arena_->allocate(bytes);
  if (!region) return std::move(region.error());
  return boards_[request.stream] = std::make_shared<ShmBoard>(*arena_, *region, request.me, request.members);
}

Result<std::size_t> Hub::reserve_cells() {
  std::lock_guard lock(mutex_);
  reap_lanes();
  // Twice the second cache: of what two ranks exchange, what is used oldest first has left it by then. Peers that are many take
  // turns.
  const std::size_t peers = static_cast<std::size_t>(std::max<Rank>(options_.local_ranks - 1, 1));
  const std::size_t l2 = options_.l2_bytes > 0 ? options_.l2_bytes : kUsualL2;
  const std::size_t wanted = std::bit_floor(std::min(2 * l2 / peers, Cells::kMostMemory));
  const std::size_t bytes = std::max(std::min(wanted, 2 * std::bit_floor(spare_bytes())), Cells::kLeastMemory);
  if (used_bytes() + bytes / 2 > arena_->size()) return no_memory();
  cell_bytes_ += bytes / 2;
  return bytes;
}

Result<CellMemory> Hub::create_cells() {
  const auto bytes = reserve_cells();
  if (!bytes) return bytes.error().clone();
  auto cells = CellMemory::create(*bytes);
  if (!cells) {
    std::lock_guard lock(mutex_);
    cell_bytes_ -= *bytes / 2;
  }
  return cells;
}

Result<CellMemory> Hub::map_cells(const Fd& memory, Rank peer) {
  auto cells = CellMemory::map(memory, peer);
  if (!cells) return cells;
  std::lock_guard lock(mutex_);
  cell_bytes_ += cells->mapping.size() / 2;
  return cells;
}

void Hub::release(Region lane, std::size_t cell_bytes, std::shared_ptr<ShmBoard> board, Fd socket) {
  std::lock_guard lock(mutex_);
  if (socket) {
    shutdown(socket.get(), SHUT_WR);
    buried_.push_back({lane, cell_bytes, std::move(board), std::move(socket)});
  } else {
    arena_->release(lane);
    cell_bytes_ -= cell_bytes / 2;
    board.reset();
  }
  reap_lanes();
}

// They may be used again only when the peer can no longer take old messages from them: when it has hung up, too.
void Hub::reap_lanes() {
  std::erase_if(buried_, [this](const Buried& buried) {
    const bool gone = has_hung_up(buried.socket);
    if (gone) {
      arena_->release(buried.lane);
      cell_bytes_ -= buried.cell_bytes / 2;
    }
    return gone;
  });
  std::erase_if(boards_, [this](const auto& entry) {
    const bool unused = entry.second.use_count() == 1;
    if (unused) arena_->release(entry.second->region());
    return unused;
  });
}

Result<std::shared_ptr<PeerArena>> Hub::map_peer(const Fd& memory, const Fd& bell, Rank peer) {
  struct stat status {};
  if (fstat(memory.get(), &status) != 0) return system_error(errno, "looking at a peer's shared memory", peer);
  std::lock_guard lock(mutex_);
  std::erase_if(peers_, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<PeerArena>& known = peers_[{status.st_dev, status.st_ino}];
  if (auto mapped = known.lock()) return mapped;
  auto mapped = PeerArena::map(memory, bell, fenced_, peer);
  if (mapped) known = *mapped;
  return mapped;
}

Result<std::optional<Fd>> Hub::accept(const Key& key) {
  std::lock_guard lock(mutex_);
  auto found = accepted_.find(key);
  if (found == accepted_.end()) {
    if (Status taken = take_knocks(); !taken) return std::move(taken.error());
    advance_knocks();
    found = accepted_.find(key);
    if (found == accepted_.end()) return std::optional<Fd>();
  }
  Fd socket = std::move(found->second);
  accepted_.erase(found);
  return std::optional(std::move(socket));
}

Status Hub::take_knocks() {
  for (;;) {
    Fd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) {
      const bool full = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
      // Whoever is being heard may hang up and leave room.
      if (full && knocks_.empty()) return system_error(errno, "accepting a connection over shared memory");
      return {};
    }
    if (auto user = same_user(socket, kNoRank); !user) {
      log(LogLevel::warn, fmt::format("shm: refused a connection: {}", user.error().to_string()));
      continue;
    }
    if (knocks_.size() >= kMaxKnocks) knocks_.pop_front();
    const int fd = socket.get();
    // What this side has to say about itself follows with the descriptors, when it is known which stream is meant.
    knocks_.push_back({std::move(socket), Handshake(fd, Handshake::Role::accepts, options_.secret, {})});
    ++knock_changes_;
  }
}

void Hub::advance_knocks() {
  bool news = false;
  for (auto knock = knocks_.begin(); knock != knocks_.end();) {
    const short wanted = knock->handshake.wanted_events();
    const Result<bool> proved = knock->handshake.advance();
    if (!proved || *proved || knock->handshake.wanted_events() != wanted) ++knock_changes_;
    if (proved && !*proved) {
      ++knock;
      continue;
    }
    // Probes of reaches() hang up at once, strangers say nonsense: neither concerns anybody here.
    if (!proved && log_enabled(LogLevel::debug)) log(LogLevel::debug, "shm: dropped a connection: " + proved.error().to_string());
    if (proved) {
      if (const auto key = parse_hello(knock->handshake.peer_hello())) {
        accepted_[*key] = std::move(knock->socket);
        news = true;
      }
    }
    knock = knocks_.erase(knock);
  }
  // It may be another thread's endpoint that waits for this one.
  if (news) ring_own_bell();
}

void Hub::add_accept_fds(std::vector<pollfd>& fds) {
  std::lock_guard lock(mutex_);
  fds.push_back({listener_.get(), POLLIN, 0});
  for (const Knock& knock : knocks_) fds.push_back({knock.socket.get(), knock.handshake.wanted_events(), 0});
}

void Hub::begin_wait(WaitSet& set) {
  Doorbell& bell = arena_->bell();
  arena_->header().sleepers.fetch_add(1);
  if (set.add(bell.word) && fenced_) (void)fence_everybody();
}

void Hub::ring_own_bell() noexcept {
  Doorbell& bell = arena_->bell();
  bell.word.fetch_add(1);
  if (arena_->header().sleepers.load() != 0) futex_wake_all(bell.word);
}

}  // namespace tutti::shm
