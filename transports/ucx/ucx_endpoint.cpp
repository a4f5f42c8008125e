#include "transports/ucx/ucx_endpoint.h"

#include <fmt/format.h>

#include "core/log.h"

namespace tutti::ucx {
namespace {

// Fruitless polls between looks at the TCP connection, which are a system call each.
constexpr unsigned kQuietPolls = 64;
// How long what a peer has sent before it left may stay under way; and how long UCX may know of an end before TCP does.
constexpr Duration kUnderWay = std::chrono::seconds(5), kHearsay = std::chrono::seconds(2);
// How long close() itself waits for what was sent to be delivered.
constexpr Duration kPartingWait = std::chrono::milliseconds(5);

}  // namespace

UcxEndpoint::UcxEndpoint(Rank peer, std::shared_ptr<Worker> worker, std::unique_ptr<Endpoint> tcp,
                         std::shared_ptr<Departures> departures)
    : peer_(peer),
      worker_(std::move(worker)),
      departures_(std::move(departures)),
      sender_(*worker_, peer),
      receiver_(*worker_, peer) {
  const std::lock_guard lock(worker_->mutex());
  inbox_ = worker_->enlist(*this);
  connection_ = std::make_unique<Connection>(peer, worker_, std::move(tcp), inbox_);
}

Error UcxEndpoint::fail(Error error) {
  failure_ = error.clone();
  return error;
}

// What the peer said before, a mismatch for example, or TCP's word may explain more.
void UcxEndpoint::lose(Error hearsay) {
  if (!hearsay_) hearsay_ = std::move(hearsay);
}

Result<bool> UcxEndpoint::pump() {
  if (!hearsay_) {
    auto sent = sender_.pump();
    if (!sent && sent.error().code() != Code::peer_lost) return std::move(sent.error());
    if (sent) sends_ += *sent;
    if (!sent) lose(std::move(sent.error()));
  }
  auto received = receiver_.pump();
  connection_->tell(receiver_.taken());
  if (!received && received.error().code() != Code::peer_lost) return std::move(received.error());
  if (received) recvs_ += *received;
  if (!received) lose(std::move(received.error()));
  return sends_ + recvs_ > 0;
}

Result<bool> UcxEndpoint::post_send(const Signature& signature, const Source& source) {
  if (failure_) return failure_->clone();
  const std::lock_guard lock(worker_->mutex());
  const bool alone = sender_.idle() && sends_ == 0;
  sender_.post(signature, source.data);
  if (!connection_->up() || hearsay_) return false;
  auto sent = sender_.pump();
  if (!sent) {
    lose(std::move(sent.error()));
    return false;
  }
  if (alone && *sent == 1) return true;
  sends_ += *sent;
  return false;
}

Result<bool> UcxEndpoint::post_recv(const Signature& expected, const Sink& sink) {
  if (failure_) return failure_->clone();
  const std::lock_guard lock(worker_->mutex());
  const bool alone = receiver_.idle() && recvs_ == 0;
  receiver_.post(expected, sink);
  auto received = receiver_.pump();
  connection_->tell(receiver_.taken());
  if (!received) {
    if (received.error().code() != Code::peer_lost) return fail(std::move(received.error()));
    lose(std::move(received.error()));
    return false;
  }
  if (alone && *received == 1) return true;
  recvs_ += *received;
  return false;
}

Status UcxEndpoint::come_up(bool& moved) {
  if (Status coming = connection_->come_up(moved); !coming) return coming;
  if (!connection_->up()) return {};
  sender_.start(connection_->handle(), connection_->peer_inbox());
  moved = true;
  return {};
}

// At what is not worth it in each poll.
Status UcxEndpoint::look_around(bool& moved) {
  quiet_ = 0;
  const auto before = connection_->peer();
  if (Status looked = connection_->look(); !looked) return looked;
  moved |= connection_->peer() != before;  // then once more at what UCX has
  return {};
}

// Why what was posted will never be finished, where that is so.
std::optional<Error> UcxEndpoint::waits_in_vain(bool moved) {
  const auto peer = connection_->peer();
  if (connection_->failed()) lose(connection_error(worker_->library(), *connection_->failed(), peer_));
  if (idle() || (peer == Connection::Peer::there && !hearsay_)) return std::nullopt;
  if (!ending_) ending_ = Clock::now();
  const Duration since = Clock::now() - *ending_;
  if (peer == Connection::Peer::there) return since > kHearsay ? std::optional(hearsay_->clone()) : std::nullopt;
  const bool all_there = peer == Connection::Peer::gone || receiver_.arrived() >= connection_->fragments();
  if (since > kUnderWay || (!moved && all_there)) return connection_->why_gone();
  return std::nullopt;
}

Result<Endpoint::Progress> UcxEndpoint::poll() {
  if (failure_) return failure_->clone();
  if (quiet_ >= kQuietPolls) departures_->look();
  const std::lock_guard lock(worker_->mutex());
  Progress progress;
  if (!connection_->up()) {
    if (Status coming = come_up(progress.moved); !coming) return fail(std::move(coming.error()));
    if (!connection_->up()) return progress;
  }
  progress.moved |= worker_->progress();
  auto pumped = pump();
  if (!pumped) return fail(std::move(pumped.error()));
  progress.moved |= *pumped;
  if (!*pumped && !idle()) {
    if (++quiet_ > kQuietPolls || hearsay_ || connection_->failed())
      if (Status looked = look_around(progress.moved); !looked) return fail(std::move(looked.error()));
    if (auto lost = waits_in_vain(progress.moved)) return fail(*std::move(lost));
  }
  progress.sends = std::exchange(sends_, 0);
  progress.recvs = std::exchange(recvs_, 0);
  return progress;
}

void UcxEndpoint::begin_wait(WaitSet& set) {
  if (!connection_) return;
  departures_->begin_wait(set);
  const std::lock_guard lock(worker_->mutex());
  connection_->begin_wait(set);
  // What ends with time only, as nothing comes that would wake this rank.
  if (ending_ || hearsay_) set.fds.push_back({worker_->awake_fd(), POLLIN, 0});
  quiet_ = kQuietPolls;
}

void UcxEndpoint::end_wait() {
  if (connection_) connection_->end_wait();
  quiet_ = kQuietPolls;
}

// Takes leave of the peer in order. Whether all is delivered, or nobody is there for it.
bool UcxEndpoint::part() {
  connection_->say_goodbye(sender_.sent());
  const TimePoint end = Clock::now() + kPartingWait;
  while (!connection_->delivered()) {
    if (Clock::now() > end) return false;
    (void)worker_->progress();
  }
  return true;
}

// Whether UCX has let go of the connection.
bool UcxEndpoint::disconnect(TimePoint end) {
  connection_->disconnect();
  while (!connection_->disconnected()) {
    if (Clock::now() > end) return false;
    (void)worker_->progress();
  }
  return true;
}

void UcxEndpoint::close_once() {
  if (!connection_) return;
  if (!failure_) failure_.emplace(Code::aborted, fmt::format("the connection to rank {} was closed by this rank", peer_), peer_);
  bool over = true;
  {
    const std::lock_guard lock(worker_->mutex());
    worker_->strike(inbox_);
    receiver_.drop_arrivals();
    const bool orderly = connection_->up() && sender_.idle() && !receiver_.fetching() && !hearsay_ && !connection_->failed();
    if (orderly) over = part();
    const TimePoint end = Clock::now() + kLettingGo;
    if (over) over = disconnect(end);
    const bool sent = sender_.let_go(end), received = receiver_.let_go(end);
    if (!sent || !received)
      log(LogLevel::warn,
          fmt::format("UCX has not let go of memory that was to be {} rank {}", received ? "sent to" : "received from", peer_));
  }
  if (over) connection_.reset();
  if (!over) departures_->add(std::move(connection_));
  worker_.reset();
}

std::size_t UcxEndpoint::memory_bytes() const {
  if (!connection_) return 0;
  return sizeof *this + connection_->memory_bytes() + sender_.memory_bytes() + receiver_.memory_bytes();
}

}  // namespace tutti::ucx
