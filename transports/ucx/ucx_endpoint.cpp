#include "transports/ucx/ucx_endpoint.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/log.h"

namespace tutti::ucx {
namespace {

// Fruitless polls between looks at the TCP connection: a system call each.
constexpr unsigned kQuietPolls = 64;
// How long what a peer has sent before it left may stay under way; and how long UCX may know of an end before TCP does.
constexpr Duration kUnderWay = std::chrono::seconds(5), kHearsay = std::chrono::seconds(2);
// How long close() waits for the devices to have delivered what they took, and for UCX to let go of memory.
constexpr Duration kDelivery = std::chrono::seconds(1), kLettingGo = std::chrono::seconds(5);

constexpr Signature kGreeting{.sequence = 1}, kAddress{.sequence = 2}, kGoodbye{.sequence = 3};

template <class T>
ConstBytes bytes_of(const T& value) {
  return {reinterpret_cast<const std::byte*>(&value), sizeof value};
}
template <class T>
Sink sink_of(T& value) {
  return {.data = reinterpret_cast<std::byte*>(&value), .size = sizeof value};
}

}  // namespace

UcxEndpoint::UcxEndpoint(Rank peer, std::shared_ptr<Worker> worker, std::unique_ptr<Endpoint> control)
    : peer_(peer), worker_(std::move(worker)), control_(std::move(control)) {
  const std::lock_guard lock(worker_->mutex());
  sender_.emplace(*worker_, peer);
  receiver_.emplace(*worker_, peer);
  mine_.address_bytes = static_cast<std::uint32_t>(worker_->address().size());
  mine_.inbox = worker_->enlist(*receiver_);
}

Error UcxEndpoint::fail(Error error) {
  failure_ = error.clone();
  return error;
}

void UcxEndpoint::lose(Error reason) {
  if (lost_) return;
  lost_ = std::move(reason);
  lost_at_ = Clock::now();
}

// Called by UCX, from within progress().
void UcxEndpoint::connection_failed(void* self, ucp_ep_h /*connection*/, ucs_status_t status) {
  auto& endpoint = *static_cast<UcxEndpoint*>(self);
  endpoint.lose(connection_error(endpoint.worker_->library(), status, endpoint.peer_));
}

// ---- coming up

Status UcxEndpoint::introduce() {
  for (const auto& [signature, bytes] : {std::pair(kGreeting, bytes_of(mine_)), std::pair(kAddress, worker_->address())})
    if (auto sent = control_->post_send(signature, bytes); !sent) return std::move(sent.error());
  auto there = control_->post_recv(kGreeting, sink_of(theirs_));
  if (!there) return std::move(there.error());
  stage_ = Stage::greeting;
  return {};
}

// One of the peer's introductory messages has arrived.
Status UcxEndpoint::advance(bool& moved) {
  moved = true;
  if (stage_ == Stage::address) return connect();
  if (Status valid = check(theirs_, peer_); !valid) return valid;
  address_.resize(theirs_.address_bytes);
  stage_ = Stage::address;
  auto there = control_->post_recv(kAddress, {.data = address_.data(), .size = address_.size()});
  if (!there) return std::move(there.error());
  return *there ? connect() : Status{};
}

Status UcxEndpoint::come_up(bool& moved) {
  if (stage_ == Stage::start)
    if (Status introduced = introduce(); !introduced) return introduced;
  auto progress = control_->poll();
  if (!progress) return std::move(progress.error());
  moved |= progress->moved;
  for (std::uint32_t i = 0; i < progress->recvs; ++i)
    if (Status advanced = advance(moved); !advanced) return advanced;
  return {};
}

Status UcxEndpoint::connect() {
  ucp_ep_params_t wanted{};
  wanted.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE | UCP_EP_PARAM_FIELD_ERR_HANDLER;
  wanted.address = reinterpret_cast<const ucp_address_t*>(address_.data());
  wanted.err_mode = UCP_ERR_HANDLING_MODE_PEER;
  wanted.err_handler = {connection_failed, this};
  if (const auto status = worker_->library().connect(worker_->handle(), &wanted, &connection_); status != UCS_OK)
    return Error(Code::unsupported,
                 fmt::format("UCX finds no way to rank {} ({}): UCX_TLS and UCX_NET_DEVICES say what it may use, on both sides, and "
                             "UCX_LOG_LEVEL=info what it looks at",
                             peer_, worker_->library().status_string(status)),
                 peer_);
  sender_->start(connection_, theirs_.inbox);
  stage_ = Stage::up;
  auto there = control_->post_recv(kGoodbye, sink_of(goodbye_));
  if (!there) return std::move(there.error());
  left_ = *there;
  return left_ ? heed_control() : Status{};
}

// ---- messages

Result<bool> UcxEndpoint::pump() {
  auto sent = sender_->pump();
  if (sent) {
    sends_ += *sent;
  } else if (sent.error().code() == Code::peer_lost) {
    lose(std::move(sent.error()));  // what the peer said before, a mismatch for example, explains more
  } else {
    return std::move(sent.error());
  }
  auto received = receiver_->pump();
  if (received) {
    recvs_ += *received;
  } else if (received.error().code() == Code::peer_lost) {
    lose(std::move(received.error()));
  } else {
    return std::move(received.error());
  }
  return sends_ + recvs_ > 0;
}

Result<bool> UcxEndpoint::post_send(const Signature& signature, const Source& source) {
  if (failure_) return failure_->clone();
  const std::lock_guard lock(worker_->mutex());
  const bool alone = sender_->idle() && sends_ == 0;
  sender_->post(signature, source.data);
  if (stage_ != Stage::up || lost_) return false;
  auto sent = sender_->pump();
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
  const bool alone = receiver_->idle() && recvs_ == 0;
  receiver_->post(expected, sink);
  auto received = receiver_->pump();
  if (!received && received.error().code() == Code::peer_lost) {
    lose(std::move(received.error()));
    return false;
  }
  if (!received) return fail(std::move(received.error()));
  if (alone && *received == 1) return true;
  recvs_ += *received;
  return false;
}

// What the TCP connection says: the peer's goodbye, or that it is gone without one.
Status UcxEndpoint::heed_control() {
  quiet_ = 0;
  if (by_control_) return {};
  if (!left_) {
    auto progress = control_->poll();
    if (!progress && progress.error().code() != Code::peer_lost) return std::move(progress.error());
    if (progress && progress->recvs == 0) return {};
    left_ = static_cast<bool>(progress);
    if (!left_) {
      lost_.reset();
      lose(std::move(progress.error()));
    }
  }
  by_control_ = true;
  if (!left_) return {};
  if (Status valid = check(goodbye_, peer_); !valid) return valid;
  lost_.reset();
  lose(Error(Code::peer_lost, fmt::format("rank {} closed its connection", peer_), peer_));
  return {};
}

// Whether nothing that was posted will ever be finished.
bool UcxEndpoint::waits_in_vain(bool moved) {
  if (!lost_ || idle()) return false;
  const Duration since = Clock::now() - lost_at_;
  if (moved) return since > kUnderWay;
  if (!by_control_) return since > kHearsay;
  return !left_ || receiver_->arrived() >= goodbye_.fragments || since > kUnderWay;
}

Result<Endpoint::Progress> UcxEndpoint::poll() {
  if (failure_) return failure_->clone();
  const std::lock_guard lock(worker_->mutex());
  Progress progress;
  if (stage_ != Stage::up) {
    if (Status coming = come_up(progress.moved); !coming) return fail(std::move(coming.error()));
    if (stage_ != Stage::up) return progress;
  }
  progress.moved |= worker_->progress();
  auto pumped = pump();
  if (!pumped) return fail(std::move(pumped.error()));
  progress.moved |= *pumped;
  if (!*pumped && !idle() && (++quiet_ >= kQuietPolls || lost_)) {
    const bool known = by_control_;
    if (Status heeded = heed_control(); !heeded) return fail(std::move(heeded.error()));
    progress.moved |= by_control_ != known;  // a last look at what UCX has
  }
  if (waits_in_vain(progress.moved)) return fail(*std::move(lost_));
  progress.sends = std::exchange(sends_, 0);
  progress.recvs = std::exchange(recvs_, 0);
  return progress;
}

void UcxEndpoint::begin_wait(WaitSet& set) {
  if (stage_ == Stage::closed) return;
  const std::lock_guard lock(worker_->mutex());
  const auto add = [&](int fd) {  // once for all endpoints of the stream
    if (std::ranges::find(set.fds, fd, &pollfd::fd) == set.fds.end()) set.fds.push_back({fd, POLLIN, 0});
  };
  quiet_ = kQuietPolls;
  if (!by_control_) control_->begin_wait(set);
  if (stage_ == Stage::up) add(lost_ ? worker_->awake_fd() : worker_->wait_fd());
}

void UcxEndpoint::end_wait() {
  quiet_ = kQuietPolls;
  if (stage_ != Stage::closed) control_->end_wait();
}

// ---- the end

// Waits until UCX's transports have delivered what they were given, which for most means the peer's memory, and for TCP the kernel,
// whether the peer looks at it or not.
void UcxEndpoint::say_goodbye() {
  const TimePoint end = Clock::now() + kDelivery;
  const Goodbye goodbye{.fragments = sender_->sent()};
  const auto said = control_->post_send(kGoodbye, bytes_of(goodbye));
  for (bool gone = said && *said; said && !gone && Clock::now() < end;) {
    const auto progress = control_->poll();
    gone = !progress || progress->sends > 0;
  }
  if (!said || goodbye.fragments == 0) return;
  ucp_request_param_t how{};
  flush_ = worker_->library().flush(connection_, &how);
  if (worker_->finish(flush_, end)) flush_ = nullptr;  // else the connection's end finishes it
}

void UcxEndpoint::disconnect(TimePoint end) {
  ucp_request_param_t how{};
  how.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
  how.flags = UCP_EP_CLOSE_FLAG_FORCE;
  void* request = worker_->library().close(connection_, &how);
  (void)worker_->finish(request, end);
  (void)worker_->finish(flush_, end);
  connection_ = nullptr;
}

void UcxEndpoint::close() {
  if (stage_ == Stage::closed) return;
  if (!failure_) failure_.emplace(Code::aborted, fmt::format("the connection to rank {} was closed by this rank", peer_), peer_);
  {
    const std::lock_guard lock(worker_->mutex());
    const TimePoint end = Clock::now() + kLettingGo;
    worker_->strike(mine_.inbox);
    receiver_->drop_arrivals();
    if (stage_ == Stage::up && sender_->idle() && !lost_) say_goodbye();
    control_->close();
    if (connection_ != nullptr) disconnect(end);
    const bool sender_free = sender_->let_go(end), receiver_free = receiver_->let_go(end);
    if (!sender_free || !receiver_free)
      log(LogLevel::warn, fmt::format("UCX has not let go of memory that was for rank {}, and may still use it", peer_));
    stage_ = Stage::closed;
  }
  receiver_.reset();
  sender_.reset();
  worker_.reset();
}

std::size_t UcxEndpoint::memory_bytes() const {
  if (stage_ == Stage::closed) return 0;
  return sizeof *this + control_->memory_bytes() + address_.size() + sender_->memory_bytes() + receiver_->memory_bytes();
}

}  // namespace tutti::ucx
