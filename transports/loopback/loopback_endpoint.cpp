#include "transports/loopback/loopback_endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/futex.h"

namespace tutti::loopback {

void Bell::ring() {
  word.fetch_add(1);
  if (sleepers.load() != 0) futex_wake_all(word);
}

LoopbackEndpoint::LoopbackEndpoint(const ConnectRequest& request, const LoopbackFaults& faults, std::shared_ptr<Bell> bell,
                                   std::shared_ptr<Link> link, std::optional<Error> refusal)
    : peer_(request.peer),
      side_(request.me < request.peer ? 0 : 1),
      faults_(faults),
      bell_(std::move(bell)),
      link_(std::move(link)),
      error_(std::move(refusal)) {}

Status LoopbackEndpoint::check_alive() const {
  if (error_) return error_->clone();
  if (!link_) return Error(Code::invalid_argument, "this endpoint was closed", peer_);
  return {};
}

Status LoopbackEndpoint::fail(Error error) {
  error_ = error.clone();
  return error;
}

void LoopbackEndpoint::wake_peer() {
  if (const auto& bell = link_->bells[static_cast<std::size_t>(1 - side_)]) bell->ring();
}

void LoopbackEndpoint::die() {
  close();
  error_ = Error(Code::aborted, fmt::format("this endpoint was told to die before its message {}", sent_));
}

Result<bool> LoopbackEndpoint::post_send(const Signature& signature, const Source& source) {
  if (sent_ == faults_.die_before_send && !error_) die();
  if (Status alive = check_alive(); !alive) return std::move(alive.error());
  ++sent_;
  waiting_.push_back({signature, source.data});
  // Earlier sends are finished by poll(), which reports them.
  if (waiting_.size() > 1) return false;
  Progress progress;
  std::lock_guard lock(link_->mutex);
  if (admit_sends(progress)) wake_peer();
  return !faults_.rendezvous && waiting_.empty();
}

// Puts waiting messages on their way while there is room.
bool LoopbackEndpoint::admit_sends(Progress& progress) {
  bool moved = false;
  while (!waiting_.empty() && !link_->closed[static_cast<std::size_t>(1 - side_)]) {
    const Send& send = waiting_.front();
    if (out().bytes != 0 && out().bytes + send.data.size() > faults_.capacity_bytes) break;
    Message& message = out().messages.emplace_back();
    message.signature = send.signature;
    if (!faults_.rendezvous) message.copy.assign(send.data.begin(), send.data.end());
    message.bytes = faults_.rendezvous ? send.data : ConstBytes(message.copy);
    message.polls_left = faults_.delay_polls;
    out().bytes += send.data.size();
    if (faults_.rendezvous) {
      ++under_way_;
    } else {
      ++progress.sends;
    }
    waiting_.pop_front();
    moved = true;
  }
  return moved;
}

Result<bool> LoopbackEndpoint::post_recv(const Signature& expected, const Sink& sink) {
  if (Status alive = check_alive(); !alive) return std::move(alive.error());
  recvs_.push_back({expected, sink});
  if (recvs_.size() > 1) return false;
  Progress progress;
  std::lock_guard lock(link_->mutex);
  if (Status taken = take_messages(false, progress); !taken) return fail(std::move(taken.error())).error().clone();
  if (progress.moved) wake_peer();
  return recvs_.empty();
}

Status LoopbackEndpoint::take_messages(bool is_poll, Progress& progress) {
  while (!recvs_.empty() && !in().messages.empty()) {
    Message& message = in().messages.front();
    if (message.polls_left > 0) {
      if (is_poll) --message.polls_left;
      return {};
    }
    const std::size_t before = recvs_.front().arrived;
    const Result<bool> whole = take_piece(message, recvs_.front());
    if (!whole) return whole.error().clone();
    progress.moved = progress.moved || *whole || recvs_.front().arrived != before;
    if (!*whole) return {};
    in().bytes -= message.bytes.size();
    ++in().received;
    in().messages.pop_front();
    recvs_.pop_front();
    ++progress.recvs;
  }
  return {};
}

Result<bool> LoopbackEndpoint::take_piece(Message& message, Recv& recv) {
  const std::size_t size = message.bytes.size();
  if (message.signature != recv.expected || size != recv.sink.size)
    return mismatch(recv.expected, recv.sink.size, message.signature, size, peer_);
  const std::size_t limit = faults_.piece_bytes == 0 ? size : std::max<std::size_t>(faults_.piece_bytes / 64 * 64, 64);
  const std::size_t piece = std::min(size - recv.arrived, limit);
  const ConstBytes bytes = message.bytes.subspan(recv.arrived, piece);
  if (recv.sink.consumer != nullptr && piece > 0) {
    recv.sink.consumer->consume(recv.arrived, bytes);
  } else if (piece > 0) {
    std::memcpy(recv.sink.data + recv.arrived, bytes.data(), piece);
  }
  recv.arrived += piece;
  return recv.arrived == size;
}

Result<Endpoint::Progress> LoopbackEndpoint::poll() {
  if (Status alive = check_alive(); !alive) return std::move(alive.error());
  Progress progress;
  std::lock_guard lock(link_->mutex);
  progress.moved = admit_sends(progress);
  if (Status taken = take_messages(true, progress); !taken) return fail(std::move(taken.error())).error().clone();
  if (faults_.rendezvous) {
    const std::uint64_t finished = out().received - received_seen_;
    received_seen_ += finished;
    under_way_ -= finished;
    progress.sends += static_cast<std::uint32_t>(finished);
  }
  progress.moved = progress.moved || progress.sends + progress.recvs > 0;
  if (progress.moved) wake_peer();
  const bool peer_closed = link_->closed[static_cast<std::size_t>(1 - side_)];
  const bool starved = !recvs_.empty() && in().messages.empty();
  if (peer_closed && !progress.moved && (starved || under_way_ > 0 || !waiting_.empty()))
    return fail(Error(Code::peer_lost, fmt::format("rank {} closed its connection", peer_), peer_)).error().clone();
  return progress;
}

void LoopbackEndpoint::begin_wait(WaitSet& set) {
  bell_->sleepers.fetch_add(1);
  set.add(bell_->word);
  if (!link_) return;
  // A delayed or cut message needs more polls, not more events: the sleep must be cut short.
  std::lock_guard lock(link_->mutex);
  if (!in().messages.empty() && !recvs_.empty()) bell_->ring();
}

void LoopbackEndpoint::end_wait() { bell_->sleepers.fetch_sub(1); }

void LoopbackEndpoint::close() {
  if (!link_) return;
  {
    std::lock_guard lock(link_->mutex);
    link_->closed[static_cast<std::size_t>(side_)] = true;
    // Memory lent for a rendezvous goes back to its owner now.
    if (faults_.rendezvous) out().messages.clear();
    wake_peer();
  }
  link_.reset();
}

std::size_t LoopbackEndpoint::memory_bytes() const {
  if (!link_) return 0;
  std::lock_guard lock(link_->mutex);
  return sizeof *link_ + out().bytes;
}

}  // namespace tutti::loopback
