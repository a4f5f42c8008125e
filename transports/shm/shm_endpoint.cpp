#include "transports/shm/shm_endpoint.h"

#include <fmt/format.h>
#include <sched.h>

#include <array>
#include <cstring>

#include "core/clock.h"
#include "core/log.h"
#include "transports/shm/adopted.h"
#include "transports/shm/cma.h"

namespace tutti::shm {
namespace {

// A system call to see whether the peer is still there, once in so many polls that found nothing.
constexpr std::uint32_t kPollsPerLook = 1024;

// Sent with the descriptors: where in the arena this connection's lane is, and how to find out whether memory can be read.
struct HandOver {
  std::uint64_t lane_offset = 0;
  std::uint64_t members = 0;  // of the board; 0: there is none
  std::uint64_t board_offset = 0;
  std::uint64_t probe_address = 0;
  std::uint64_t probe_value = 0;
};

bool fits(const HandOver& theirs, std::size_t arena_bytes) {
  return theirs.lane_offset % kLine == 0 && theirs.lane_offset >= kPage && theirs.lane_offset <= arena_bytes &&
         arena_bytes - theirs.lane_offset >= sizeof(Lane);
}

}  // namespace

ShmEndpoint::ShmEndpoint(std::shared_ptr<Hub> hub, ConnectRequest request, std::string socket_name, Region lane,
                         std::shared_ptr<ShmBoard> board)
    : stage_(request.me > request.peer ? Stage::dialing : Stage::waiting_for_caller),
      hub_(std::move(hub)),
      request_(std::move(request)),
      socket_name_(std::move(socket_name)),
      lane_(lane),
      board_(std::move(board)) {}

Error ShmEndpoint::ended() const {
  if (error_) return error_->clone();
  return {Code::invalid_argument, fmt::format("the connection with rank {} was closed on this side", request_.peer),
          request_.peer};
}

Error ShmEndpoint::fail(Error error) {
  if (error.peer() == kNoRank) error = Error(error.code(), error.to_string(), request_.peer);
  error_ = error.clone();
  stage_ = Stage::ended;
  return error;
}

Result<bool> ShmEndpoint::post_send(const Signature& signature, const Source& source) {
  const auto outgoing = [&] {
    return Outgoing{.signature = signature, .data = source.data, .just_written = source.just_written, .awaited = source.awaited};
  };
  if (stage_ == Stage::open && sends_.empty() && !gone_) [[likely]] {
    if (outbox_.send_small(signature, source.data)) return true;
    Outgoing message = outgoing();
    bool moved = false;
    Result<bool> finished = outbox_.advance(message, moved);
    if (!finished) return fail(std::move(finished.error()));
    if (!*finished) sends_.push(message);
    return finished;
  }
  if (stage_ == Stage::ended) return ended();
  if (gone_)
    return fail(Error(Code::peer_lost, fmt::format("rank {} has gone: nothing can be sent to it", request_.peer), request_.peer));
  sends_.push(outgoing());
  return false;
}

Result<bool> ShmEndpoint::post_recv(const Signature& expected, const Sink& sink) {
  if (stage_ == Stage::ended) [[unlikely]]
    return ended();
  Incoming message{.expected = expected, .sink = sink};
  if (stage_ == Stage::open && recvs_.empty() && inbox_.has_next()) {
    if (inbox_.take_small(message)) return true;
    // What lies in the sender's memory is left there until this rank has nothing else to do: it may be about to read what it has
    // sent itself, and its own memory is far away when the peer has read it first.
    if (!inbox_.next_is_direct()) {
      bool moved = false;
      Result<bool> finished = inbox_.advance(message, moved);
      if (!finished) return fail(std::move(finished.error()));
      if (*finished) return true;
    }
  } else if (stage_ == Stage::open) {
    inbox_.offer(message, recvs_.size());
  }
  recvs_.push(message);
  return false;
}

Status ShmEndpoint::move(Progress& progress) {
  while (!sends_.empty()) {
    Result<bool> finished = outbox_.advance(sends_.front(), progress.moved);
    if (!finished) return fail(std::move(finished.error()));
    if (!*finished) break;
    sends_.pop();
    ++progress.sends;
  }
  while (!recvs_.empty()) {
    Incoming& message = recvs_.front();
    if (message.stage == Incoming::Stage::awaited && !inbox_.has_next()) break;
    if (inbox_.take_small(message)) {
      progress.moved = true;
    } else {
      Result<bool> finished = inbox_.advance(message, progress.moved);
      if (!finished) return fail(std::move(finished.error()));
      if (!*finished) break;
    }
    recvs_.pop();
    ++progress.recvs;
  }
  return {};
}

Result<Endpoint::Progress> ShmEndpoint::poll() {
  if (stage_ == Stage::open) [[likely]] {
    Progress progress;
    if (Status moved = move(progress); !moved) return std::move(moved.error());
    if (progress.moved) {
      idle_polls_ = 0;
      return progress;
    }
    if (++idle_polls_ < kPollsPerLook && waits_ == 0) [[likely]]
      return progress;
  }
  return poll_slowly();
}

Result<Endpoint::Progress> ShmEndpoint::poll_slowly() {
  Progress progress;
  if (stage_ == Stage::ended) return ended();
  if (stage_ != Stage::open) {
    // Whoever is about to sleep has named what to wait for; when that changes, it has to look again.
    const auto awaited = [this] {
      return std::pair(hub_->knock_changes(), stage_ == Stage::authenticating ? handshake_->wanted_events() : short{0});
    };
    const auto before = awaited();
    Result<bool> up = come_up();
    if (!up) return fail(std::move(up.error()).because(fmt::format("connecting with rank {} over shared memory", request_.peer)));
    progress.moved = *up || awaited() != before;
    if (stage_ == Stage::open) {
      if (Status moved = move(progress); !moved) return std::move(moved.error());
    }
    return progress;
  }
  idle_polls_ = 0;
  if (!peer_has_gone()) return progress;
  gone_ = true;
  // What it sent before it went is still there.
  if (Status moved = move(progress); !moved) return std::move(moved.error());
  if (progress.moved || (sends_.empty() && recvs_.empty())) return progress;
  const bool orderly = lanes_.theirs->closed.load() != 0;
  return fail(Error(
      Code::peer_lost,
      fmt::format("rank {} {} while this rank still waited for it", request_.peer, orderly ? "closed its connection" : "died"),
      request_.peer));
}

bool ShmEndpoint::peer_has_gone() { return gone_ || lanes_.theirs->closed.load() != 0 || has_hung_up(socket_); }

Result<bool> ShmEndpoint::come_up() {
  bool moved = false;
  while (stage_ != Stage::open) {
    Result<bool> next = next_stage();
    if (!next) return next;
    if (!*next) break;
    moved = true;
  }
  return moved;
}

Result<bool> ShmEndpoint::next_stage() {
  switch (stage_) {
    case Stage::dialing:
      return dial();
    case Stage::authenticating:
      return authenticate();
    case Stage::waiting_for_caller:
      return wait_for_caller();
    case Stage::handing_over:
      return take_over();
    case Stage::open:
    case Stage::ended:
      break;
  }
  return false;
}

Result<bool> ShmEndpoint::dial() {
  auto socket = connect_to(socket_name_, request_.peer);
  if (!socket) return std::move(socket.error());
  if (!*socket) return false;
  socket_ = std::move(*socket);
  if (auto user = same_user(socket_, request_.peer); !user) return std::move(user.error());
  handshake_.emplace(socket_.get(), Handshake::Role::connects, hub_->options().secret, make_hello(request_));
  stage_ = Stage::authenticating;
  return true;
}

Result<bool> ShmEndpoint::authenticate() {
  Result<bool> proved = handshake_->advance();
  if (!proved || !*proved) return proved;
  handshake_.reset();
  if (Status given = hand_over(); !given) return std::move(given.error());
  return true;
}

Result<bool> ShmEndpoint::wait_for_caller() {
  auto socket = hub_->accept({.me = request_.me, .peer = request_.peer, .stream = request_.stream});
  if (!socket) return std::move(socket.error());
  if (!*socket) return false;
  socket_ = std::move(**socket);
  if (Status given = hand_over(); !given) return std::move(given.error());
  return true;
}

Status ShmEndpoint::hand_over() {
  const HandOver mine{.lane_offset = lane_.offset,
                      .members = static_cast<std::uint64_t>(request_.members),
                      .board_offset = board_ ? board_->region().offset : 0,
                      .probe_address = reinterpret_cast<std::uint64_t>(&hub_->probe_word()),
                      .probe_value = hub_->probe_word()};
  if (creates_cells()) {
    auto cells = hub_->create_cells();
    if (!cells) return std::move(cells.error());
    cell_memory_ = std::move(*cells);
  }
  const std::array descriptors{hub_->arena().memory_fd(), hub_->arena().bell_fd(), cell_memory_.fd.get()};
  const Status sent = send_descriptors(socket_, std::as_bytes(std::span(&mine, 1)),
                                       std::span(descriptors).first(creates_cells() ? 3 : 2), request_.peer);
  cell_memory_.fd = {};
  stage_ = Stage::handing_over;
  return sent ? Status{} : sent.error().clone();
}

Result<bool> ShmEndpoint::take_over() {
  HandOver theirs;
  std::array<Fd, 3> descriptors;
  auto& [memory, bell, cells_memory] = descriptors;
  Result<bool> got = receive_descriptors(socket_, std::as_writable_bytes(std::span(&theirs, 1)), descriptors,
                                         creates_cells() ? 2 : 3, request_.peer);
  if (!got || !*got) return got;
  auto arena = hub_->map_peer(memory, bell, request_.peer);
  if (!arena) return std::move(arena.error());
  if (!fits(theirs, (*arena)->size()))
    return Error(Code::protocol, fmt::format("rank {} names a lane that does not lie in its shared memory", request_.peer),
                 request_.peer);
  if (!creates_cells()) {
    auto cells = hub_->map_cells(cells_memory, request_.peer);
    if (!cells) return std::move(cells.error());
    cell_memory_ = std::move(*cells);
  }
  auto process = same_user(socket_, request_.peer);
  if (!process) return std::move(process.error());
  peer_arena_ = std::move(*arena);
  hub_->arena().enter(lane_);
  peer_arena_->enter({theirs.lane_offset, sizeof(Lane)});
  cells_.open(cell_memory_.mapping.bytes(), creates_cells());
  lanes_.mine = hub_->arena().lane(lane_.offset);
  lanes_.theirs = reinterpret_cast<const Lane*>(peer_arena_->data() + theirs.lane_offset);
  lanes_.cells = &cells_;
  lanes_.taken = &taken_;
  handover_.open(socket_, peer_arena_->segments(), lanes_.mine->segments_taken, lanes_.theirs->segments_taken, request_.peer);
  lanes_.handover = &handover_;
  lanes_.peer_arena = peer_arena_.get();
  lanes_.peer = request_.peer;
  if (hub_->options().cma && can_read(*process, theirs.probe_address, theirs.probe_value)) lanes_.process = *process;
  lanes_.mine->reads_peer.store(lanes_.process != 0 ? 1 : 0);
  outbox_.open(lanes_);
  inbox_.open(lanes_);
  if (theirs.members != static_cast<std::uint64_t>(request_.members))
    return Error(Code::protocol,
                 fmt::format("rank {} publishes to {} ranks on this stream, this one to {}", request_.peer, theirs.members,
                             request_.members),
                 request_.peer);
  if (board_)
    if (Status joined = board_->join(request_.peer, peer_arena_, theirs.board_offset, *lanes_.theirs, socket_); !joined)
      return std::move(joined.error());
  stage_ = Stage::open;
  return true;
}

// While the connection comes up its news arrive on sockets. Afterwards they arrive in memory: a peer rings the bell. A peer
// that is killed rings nothing, so that sleeps must be bounded; the poll before each sleep asks the system for the peer.
void ShmEndpoint::begin_wait(WaitSet& set) {
  ++waits_;
  if (board_) board_->begin_wait();
  hub_->begin_wait(set);
  if (stage_ == Stage::waiting_for_caller) hub_->add_accept_fds(set.fds);
  if (stage_ == Stage::authenticating) set.fds.push_back({socket_.get(), handshake_->wanted_events(), 0});
  if (stage_ == Stage::handing_over) set.fds.push_back({socket_.get(), POLLIN, 0});
}

void ShmEndpoint::end_wait() {
  if (waits_ == 0) return;
  --waits_;
  if (board_) board_->end_wait();
  hub_->end_wait();
}

// The peer may be about to write to this rank's memory, which is its owner's again when this connection is closed.
void ShmEndpoint::wait_for_writer() {
  while (lanes_.theirs->writes_there.load() != 0 && !has_hung_up(socket_)) {
    if (Clock::now() > writer_deadline_) {
      log(LogLevel::warn, fmt::format("shm: rank {} has stopped while it wrote to memory of this rank", request_.peer));
      return Adopted::of_process().withdraw();  // should it go on, it writes where the program no longer looks
    }
    sched_yield();
  }
}

void ShmEndpoint::begin_close() {
  if (lanes_.mine == nullptr || lanes_.mine->closed.load() != 0) return;
  lanes_.mine->closed.store(1);  // in one order with the peer's look at it and what it says of writing
  peer_arena_->tell(lanes_.mine->closed, 1U);
  writer_deadline_ = Clock::now() + hub_->options().writer_time;
}

void ShmEndpoint::close() {
  if (lane_.size == 0) return;
  while (waits_ > 0) end_wait();
  begin_close();
  if (lanes_.mine != nullptr) wait_for_writer();
  if (board_) board_->leave(request_.peer);
  hub_->release(lane_, cell_memory_.mapping.size(), std::move(board_), std::move(socket_));
  cell_memory_ = {};
  outbox_ = {};
  inbox_ = {};
  lane_ = {};
  lanes_ = {};
  sends_ = {};
  recvs_ = {};
  handshake_.reset();
  peer_arena_.reset();
  stage_ = Stage::ended;
}

std::size_t ShmEndpoint::memory_bytes() const {
  return lane_.size + cell_memory_.mapping.size() / 2 + sends_.memory_bytes() + recvs_.memory_bytes();
}

}  // namespace tutti::shm
