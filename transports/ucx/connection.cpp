#include "transports/ucx/connection.h"

#include <fmt/format.h>

#include <algorithm>

namespace tutti::ucx {
namespace {

constexpr Signature kGreeting{.sequence = 1}, kAddress{.sequence = 2}, kGoodbye{.sequence = 3};

template <class T>
ConstBytes bytes_of(const T& value) {
  return {reinterpret_cast<const std::byte*>(&value), sizeof value};
}
template <class T>
Sink sink_of(T& value) {
  Sink sink;
  sink.data = reinterpret_cast<std::byte*>(&value);
  sink.size = sizeof value;
  return sink;
}

}  // namespace

Connection::Connection(Rank peer, std::shared_ptr<Worker> worker, std::unique_ptr<Endpoint> tcp, std::uint64_t inbox)
    : rank_(peer), worker_(std::move(worker)), tcp_(std::move(tcp)) {
  mine_.address_bytes = static_cast<std::uint32_t>(worker_->address().size());
  mine_.inbox = inbox;
}

Status Connection::introduce() {
  stage_ = Stage::greeting;
  for (const auto& [signature, bytes] : {std::pair(kGreeting, bytes_of(mine_)), std::pair(kAddress, worker_->address())})
    if (auto sent = tcp_->post_send(signature, bytes); !sent) return std::move(sent.error());
  auto there = tcp_->post_recv(kGreeting, sink_of(theirs_));
  if (!there) return std::move(there.error());
  return *there ? advance() : Status{};
}

Status Connection::come_up(bool& moved) {
  if (stage_ == Stage::start)
    if (Status introduced = introduce(); !introduced) return introduced;
  auto progress = tcp_->poll();
  if (!progress) return std::move(progress.error());
  moved |= progress->moved;
  for (; progress->recvs > 0; --progress->recvs)
    if (Status advanced = advance(); !advanced) return advanced;
  return {};
}

// What was expected from the peer next has come.
Status Connection::advance() {
  if (stage_ == Stage::done) return heed_goodbye();
  if (stage_ == Stage::address) return connect();
  if (Status valid = check(theirs_, rank_); !valid) return valid;
  stage_ = Stage::address;
  address_.resize(theirs_.address_bytes);
  auto there = tcp_->post_recv(kAddress, {.data = address_.data(), .size = address_.size()});
  if (!there) return std::move(there.error());
  return *there ? advance() : Status{};
}

Status Connection::connect() {
  stage_ = Stage::done;
  ucp_ep_params_t wanted{};
  wanted.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS | UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE | UCP_EP_PARAM_FIELD_ERR_HANDLER;
  wanted.address = reinterpret_cast<const ucp_address_t*>(address_.data());
  wanted.err_mode = UCP_ERR_HANDLING_MODE_PEER;
  wanted.err_handler.cb = fail;
  wanted.err_handler.arg = this;
  if (const auto status = worker_->library().connect(worker_->handle(), &wanted, &handle_); status != UCS_OK) {
    handle_ = nullptr;
    if (look() && peer_state_ != Peer::there) return why_gone();  // whose shared memory is gone, too
    return Error(
        Code::unsupported,
        fmt::format("UCX finds no way to rank {} ({}): UCX_TLS and UCX_NET_DEVICES say what it may use, on both sides, and "
                    "UCX_LOG_LEVEL=info what it looks at",
                    rank_, worker_->library().status_string(status)),
        rank_);
  }
  auto there = tcp_->post_recv(kGoodbye, sink_of(theirs_last_));
  if (!there) return std::move(there.error());
  return *there ? advance() : Status{};
}

// Called by UCX, from within progress().
void Connection::fail(void* self, ucp_ep_h /*handle*/, ucs_status_t status) { static_cast<Connection*>(self)->failed_ = status; }

Status Connection::heed_goodbye() {
  if (Status valid = check(theirs_last_, rank_); !valid) return valid;
  peer_state_ = Peer::left;
  return {};
}

Status Connection::look() {
  if (peer_state_ != Peer::there) return {};
  auto progress = tcp_->poll();
  if (progress) return progress->recvs > 0 ? heed_goodbye() : Status{};
  if (progress.error().code() != Code::peer_lost) return std::move(progress.error());
  peer_state_ = Peer::gone;
  gone_ = std::move(progress.error());
  return {};
}

Error Connection::why_gone() const {
  if (gone_) return gone_->clone();
  return {Code::peer_lost, fmt::format("rank {} closed its connection", rank_), rank_};
}

void Connection::begin_wait(WaitSet& set) {
  if (peer_state_ == Peer::there && !disconnecting_) tcp_->begin_wait(set);
  if (!up()) return;
  const int fd = failed_ || disconnecting_ ? worker_->awake_fd() : worker_->wait_fd();
  // Once for all connections of the stream.
  if (std::ranges::find(set.fds, fd, &pollfd::fd) == set.fds.end()) set.fds.push_back({fd, POLLIN, 0});
}

// One word at a time. That it fails shows elsewhere.
void Connection::tell(std::uint64_t taken) {
  if (!up() || taken - taken_.fragments < kTellAfter || !worker_->let_go(tell_)) return;
  taken_.inbox = theirs_.inbox;
  taken_.fragments = taken;
  const ucp_request_param_t how{};
  tell_ = worker_->library().send(handle_, kTakenId, &taken_, sizeof taken_, nullptr, 0, &how);
}

void Connection::say_goodbye(std::uint64_t fragments) {
  mine_last_.fragments = fragments;
  (void)tcp_->post_send(kGoodbye, bytes_of(mine_last_));  // an error shows at the next look
  if (fragments == 0) return;
  ucp_request_param_t how{};
  flush_ = worker_->library().flush(handle_, &how);
  if (UCS_PTR_IS_ERR(flush_)) flush_ = nullptr;
}

bool Connection::delivered() {
  if (!look() || peer_state_ != Peer::there) return true;
  if (flush_ != nullptr && worker_->library().request_status(flush_) == UCS_INPROGRESS) return false;
  return true;
}

void Connection::disconnect() {
  disconnecting_ = true;
  tcp_->close();
  if (handle_ == nullptr) return;
  ucp_request_param_t how{};
  how.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS;
  how.flags = UCP_EP_CLOSE_FLAG_FORCE;
  close_ = worker_->library().close(handle_, &how);
}

bool Connection::disconnected() {
  for (void** request : {&tell_, &flush_, &close_}) {
    if (!worker_->let_go(*request)) return false;
    *request = nullptr;
  }
  handle_ = nullptr;
  return true;
}

}  // namespace tutti::ucx
