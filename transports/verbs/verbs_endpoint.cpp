#include "transports/verbs/verbs_endpoint.h"

#include <fmt/format.h>
#include <poll.h>
#include <sched.h>

#include "core/clock.h"
#include "transports/shm/unix_socket.h"

namespace tutti::verbs {
namespace {

// A system call to see whether the peer is still there, once in so many polls that found nothing.
constexpr std::uint32_t kPollsPerLook = 1024;
// How long what was sent may take to arrive before a connection is closed all the same. Longer than a link that is down for a
// moment.
constexpr std::chrono::seconds kDrainTime{5};
// And while that was in vain elsewhere, a moment ago: many connections to ranks that are lost must not take so long each, but
// where nothing is lost, all arrives long before.
constexpr std::chrono::milliseconds kHurriedDrainTime{200};

std::vector<std::size_t> places_of(const std::vector<RailPort>& rails) {
  std::vector<std::size_t> places;
  places.reserve(rails.size());
  for (const RailPort& rail : rails) places.push_back(rail.place);
  return places;
}

}  // namespace

VerbsEndpoint::VerbsEndpoint(Setup setup)
    : peer_(setup.peer),
      setup_(std::move(setup)),
      channel_(peer_),
      link_{.channel = channel_,
            .registrations = setup_.registrations,
            .devices = places_of(setup_.rails),
            .stripes = Stripes(setup_.speeds, setup_.tuning.stripe_from),
            .tuning = setup_.tuning} {}

Error VerbsEndpoint::ended() const {
  if (error_) return error_->clone();
  return {Code::invalid_argument, fmt::format("the connection with rank {} was closed on this side", peer_), peer_};
}

Error VerbsEndpoint::fail(Error error) {
  if (error.peer() == kNoRank) error = Error(error.code(), error.to_string(), peer_);
  error_ = error.clone();
  stage_ = Stage::ended;
  return error;
}

Error VerbsEndpoint::gone() const {
  return {Code::peer_lost, fmt::format("rank {} closed its connection or died", peer_), peer_};
}

Status VerbsEndpoint::register_memory(Bytes memory, MemoryKind kind) {
  if (kind != MemoryKind::host || memory.empty()) return {};
  auto kept = setup_.registrations->keep(memory);
  if (!kept) return std::move(kept.error());
  registered_.push_back(*std::move(kept));
  return {};
}

Result<bool> VerbsEndpoint::post_send(const Signature& signature, const Source& source) {
  if (stage_ == Stage::ended) return ended();
  if (broken_ && inbox_.empty()) return fail(broken_->clone());
  const bool first = outbox_.empty() && stage_ == Stage::open && !broken_;
  if (first) {
    auto sent = outbox_.send_small(link_, signature, source.data);
    if (sent && *sent) return true;
    if (!sent) broken_ = std::move(sent.error());
  }
  outbox_.post(signature, source.data);
  settled_ = false;
  if (!first || broken_) return false;
  // What the receiver has answered to a large one is known by polling only, and saves the announcement.
  if (source.data.size() > channel_.ask_from()) return false;
  auto moved = outbox_.pump(link_);
  // What the peer said before it went away, a mismatch for example, explains more than a failed send.
  if (!moved) broken_ = std::move(moved.error());
  return moved && moved->finished == 1;
}

Result<bool> VerbsEndpoint::post_recv(const Signature& expected, const Sink& sink) {
  if (stage_ == Stage::ended) return ended();
  const bool first = inbox_.empty() && stage_ == Stage::open;
  inbox_.post(expected, sink);
  settled_ = settled_ && first && !broken_;
  if (!first || broken_) return false;
  auto moved = inbox_.pump(link_);
  if (!moved) return fail(std::move(moved.error()));
  // Who only receives what has arrived may not poll for long.
  if (auto given = channel_.give_credits(); !given) broken_ = std::move(given.error());
  return moved->finished == 1;
}

// ---- Coming up

Result<bool> VerbsEndpoint::come_up() {
  bool moved = false;
  while (stage_ != Stage::open) {
    auto next = next_stage();
    if (!next) return next;
    moved |= *next;
    if (!*next) break;
  }
  return moved;
}

// Whether it got to the next stage.
Result<bool> VerbsEndpoint::next_stage() {
  switch (stage_) {
    case Stage::opening:
      return open_socket();
    case Stage::introducing:
      return introduce();
    case Stage::getting_ready:
      return get_ready();
    case Stage::open:
    case Stage::ended:
      break;
  }
  return false;
}

Result<bool> VerbsEndpoint::open_socket() {
  auto progress = setup_.opening->advance();
  if (!progress) return std::move(progress.error());
  opening_moved_ |= progress->moved;
  if (progress->sockets.empty()) return false;
  setup_.opening.reset();
  socket_ = std::move(progress->sockets.front());
  std::vector<std::unique_ptr<QueuePair>> rails;
  for (const RailPort& rail : setup_.rails) {
    QueueLimits limits = setup_.tuning.queue;
    if (!rails.empty()) limits.receives = 2 * static_cast<int>(kAnswers);  // one for each message that is placed
    auto made = QueuePair::create(rail.device, rail.port, limits, peer_);
    if (!made) return std::move(made.error());
    rails.push_back(*std::move(made));
  }
  if (Status opened = channel_.open(std::move(rails), setup_.tuning); !opened) return std::move(opened.error());
  exchange_.emplace(channel_.introduction());
  stage_ = Stage::introducing;
  return true;
}

Result<bool> VerbsEndpoint::introduce() {
  auto done = exchange_->advance(socket_.get(), peer_);
  if (!done || !*done) return done;
  if (Status connected = channel_.connect(exchange_->theirs<Introduction>(), setup_.path); !connected)
    return std::move(connected.error());
  exchange_.emplace(Ready{});
  stage_ = Stage::getting_ready;
  return true;
}

// Before the other end can receive, what is written to it would be lost and only sent again a long time after.
Result<bool> VerbsEndpoint::get_ready() {
  auto done = exchange_->advance(socket_.get(), peer_);
  if (!done || !*done) return done;
  if (Status ready = check(exchange_->theirs<Ready>(), peer_); !ready) return std::move(ready.error());
  exchange_.reset();
  stage_ = Stage::open;
  return true;
}

// ---- Moving

Status VerbsEndpoint::move(Progress& progress) {
  auto polled = channel_.poll();
  if (polled && !*polled && settled_) return {};
  settled_ = false;
  if (polled)
    progress.moved |= *polled;
  else if (!broken_)
    broken_ = std::move(polled.error());
  auto in = inbox_.pump(link_);
  if (!in) return std::move(in.error());
  progress.recvs += in->finished;
  progress.moved |= in->any;
  if (broken_) return {};
  auto credits = channel_.give_credits();
  auto out = credits ? outbox_.pump(link_) : Result<Moved>(std::move(credits.error()));
  if (!out) {
    broken_ = std::move(out.error());
    progress.moved = true;  // look once more at what can be received
    return {};
  }
  progress.sends += out->finished;
  progress.moved |= out->any;
  settled_ = true;
  return {};
}

Result<Endpoint::Progress> VerbsEndpoint::poll() {
  if (stage_ == Stage::ended) return ended();
  Progress progress;
  if (stage_ != Stage::open) {
    opening_moved_ = false;
    auto up = come_up();
    if (!up) return fail(std::move(up.error()).because(fmt::format("connecting with rank {} over RDMA", peer_)));
    progress.moved = *up || opening_moved_;
    if (stage_ != Stage::open) return progress;
  }
  if (Status moved = move(progress); !moved) return fail(std::move(moved.error()));
  if (progress.moved) {
    idle_polls_ = 0;
    return progress;
  }
  if (!broken_ && ++idle_polls_ < kPollsPerLook && waits_ == 0) return progress;
  idle_polls_ = 0;
  if (!broken_ && peer_has_gone()) {
    // What it sent before it went is there.
    broken_ = gone();
    if (Status moved = move(progress); !moved) return fail(std::move(moved.error()));
  }
  if (broken_ && !progress.moved && !outbox_.empty() && peer_has_gone()) {
    const Moved concluded = outbox_.conclude(link_);
    progress.sends += concluded.finished;
    progress.moved |= concluded.any;
  }
  if (!broken_ || progress.moved || (inbox_.empty() && outbox_.empty())) return progress;
  return fail(peer_has_gone() && broken_->code() == Code::peer_lost ? gone() : broken_->clone());
}

bool VerbsEndpoint::peer_has_gone() const { return shm::has_hung_up(socket_); }

// ---- Waiting

void VerbsEndpoint::begin_wait(WaitSet& set) {
  ++waits_;
  if (stage_ == Stage::opening) return setup_.opening->begin_wait(set);
  if (stage_ == Stage::ended) return;
  if (exchange_) {
    set.fds.push_back({socket_.get(), exchange_->wanted_events(), 0});
    return;
  }
  channel_.begin_wait(set);
  set.fds.push_back({socket_.get(), POLLIN, 0});  // nothing comes but the end
}

void VerbsEndpoint::end_wait() {
  if (waits_ == 0) return;
  --waits_;
  if (setup_.opening) setup_.opening->end_wait();
  channel_.end_wait();
}

// ---- The end

// What was sent is finished for the caller, and has to arrive. Devices see to that by themselves, but not without the queue pair.
// The peer is told what this rank has seen, as acknowledgements that are lost now are not sent again.
void VerbsEndpoint::drain() {
  const TimePoint start = Clock::now();
  while ((channel_.owes_credits() || !channel_.drained()) && !shm::has_hung_up(socket_)) {
    if (!channel_.poll() || (channel_.owes_credits() && !channel_.give_credits(true)) || !channel_.flush()) return;
    const TimePoint now = Clock::now();
    const bool in_vain = now - start > kDrainTime;
    if (in_vain) *setup_.hurried_until = now + kDrainTime;
    if (in_vain || (now < setup_.hurried_until->load() && now - start > kHurriedDrainTime)) return;
    sched_yield();
  }
}

void VerbsEndpoint::close() {
  if (closed_) return;
  closed_ = true;
  while (waits_ > 0) end_wait();
  if (stage_ == Stage::open && !broken_) drain();
  stage_ = Stage::ended;
  channel_.close();
  outbox_.clear();
  inbox_.clear();
  registered_.clear();
  setup_.opening.reset();
  exchange_.reset();
  socket_.reset();
}

std::size_t VerbsEndpoint::memory_bytes() const {
  return closed_ ? 0 : sizeof *this + channel_.memory_bytes() + outbox_.memory_bytes() + inbox_.memory_bytes();
}

}  // namespace tutti::verbs
