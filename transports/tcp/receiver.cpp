#include "transports/tcp/receiver.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <new>

#include "transports/tcp/socket.h"

namespace tutti {
namespace {

constexpr std::size_t kMaxPieces = 32;
constexpr std::size_t kBudget = 4u << 20;
constexpr std::size_t kStaging = Stripes::kSegment;
constexpr std::align_val_t kStagingAlignment{64};
static_assert(Stripes::kSegment % Consumer::kGrain == 0);

}  // namespace

void Receiver::FreeStaging::operator()(std::byte* memory) const noexcept { ::operator delete(memory, kStagingAlignment); }

void Receiver::post(const Signature& expected, const Sink& sink) {
  MessageHeader none;
  none.magic = 0;
  lanes_.post({none, expected, sink, sizeof none + sink.size});
}

std::size_t Receiver::memory_bytes() const noexcept { return lanes_.memory_bytes() + (staging_ ? kStaging : 0); }

// A consumer is shown one message at a time, and its segments in order, whichever socket they come on.
bool Receiver::is_turn(const Message& message, std::size_t socket, bool oldest) const noexcept {
  if (message.sink.consumer == nullptr) return true;
  if (!oldest) return false;
  if (message.ordered == message.bytes()) return socket == 0;  // only the header is left
  return lanes_.stripes(message).socket_of(message.ordered) == socket;
}

bool Receiver::wants(std::size_t socket) const noexcept {
  bool oldest = false;
  const Message* message = lanes_.next(socket, oldest);
  return message != nullptr && is_turn(*message, socket, oldest);
}

bool Receiver::ends_large_share(const Message& message, std::size_t socket, std::size_t done) const noexcept {
  const std::size_t share = lanes_.stripes(message).share(socket);
  return share >= Stripes::kSegment && done == share + (socket == 0 ? sizeof(MessageHeader) : 0);
}

// Where the next bytes of the message's data go.
std::size_t Receiver::aim(const Message& message, std::size_t socket, std::size_t done, std::span<iovec> pieces) {
  const Stripes stripes = lanes_.stripes(message);
  if (message.sink.consumer == nullptr) return stripes.gather(socket, done, message.sink.data, pieces);
  if (done == stripes.share(socket)) return 0;
  if (!staging_) staging_.reset(static_cast<std::byte*>(::operator new(kStaging, kStagingAlignment)));
  pieces[0] = {staging_.get() + held_, std::min(stripes.piece(socket, done).size, kStaging - held_)};
  return 1;
}

Result<bool> Receiver::pull(std::size_t socket, std::size_t& budget) {
  bool moved = false;
  for (auto place = lanes_.place(socket); place.message != nullptr && budget > 0; place = lanes_.place(socket)) {
    if (!is_turn(*place.message, socket, place.oldest)) break;
    std::array<iovec, kMaxPieces> pieces;
    std::size_t count = 0, done = place.done;
    if (socket == 0) count = header_part(place.message->header, done, pieces);
    count += aim(*place.message, socket, done, std::span(pieces).subspan(count));
    msghdr what{};
    what.msg_iov = pieces.data();
    what.msg_iovlen = count;
    const ssize_t n = recvmsg(lanes_.fd(socket), &what, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (n <= 0) return connection_error(n == 0 ? 0 : errno, peer_);
    Status taken = take(*place.message, socket, place.done, static_cast<std::size_t>(n));
    if (!taken) return std::move(taken.error());
    if (ends_large_share(*place.message, socket, place.done + static_cast<std::size_t>(n))) acknowledge(lanes_.fd(socket));
    budget -= std::min(budget, static_cast<std::size_t>(n));
    moved = true;
  }
  return moved;
}

// `bytes` of the message have arrived behind the `done` bytes that this socket had brought before.
Status Receiver::take(Message& message, std::size_t socket, std::size_t done, std::size_t bytes) {
  lanes_.moved(socket, bytes);
  std::size_t of_data = bytes;
  if (socket == 0 && done < sizeof(MessageHeader)) {
    if (done + bytes < sizeof(MessageHeader)) return {};
    of_data = done + bytes - sizeof(MessageHeader);
    if (Status valid = check(message.header, peer_); !valid) return valid;
    if (message.header.signature != message.expected || message.header.bytes != message.bytes())
      return mismatch(message.expected, message.bytes(), message.header.signature, message.header.bytes, peer_);
  }
  if (message.sink.consumer != nullptr && of_data > 0) show(message, of_data);
  return {};
}

// Hands whole pieces to the consumer and keeps the rest at the front of the staging memory.
void Receiver::show(Message& message, std::size_t bytes) {
  const std::size_t offset = message.ordered - held_;
  message.ordered += bytes;
  held_ += bytes;
  const std::size_t shown = message.ordered == message.bytes() ? held_ : held_ - held_ % Consumer::kGrain;
  if (shown == 0) return;
  message.sink.consumer->consume(offset, {staging_.get(), shown});
  held_ -= shown;
  std::memmove(staging_.get(), staging_.get() + shown, held_);
}

Result<Pumped> Receiver::pump() {
  Pumped result;
  std::size_t budget = kBudget;
  bool moved = true;
  // Again after progress: a consumer's next segment may lie on a socket that was looked at before.
  while (moved && budget > 0) {
    moved = false;
    for (std::size_t socket = 0; socket < lanes_.sockets() && !lanes_.idle(); ++socket) {
      auto pulled = pull(socket, budget);
      if (!pulled) return std::move(pulled.error());
      moved |= *pulled;
    }
    result.finished += lanes_.retire();
    result.moved |= moved;
  }
  return result;
}

}  // namespace tutti
