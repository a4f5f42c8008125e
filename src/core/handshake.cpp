#include "core/handshake.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace tutti {
namespace {

using Mac = std::array<std::byte, 32>;

constexpr std::string_view kMagic = "tutti/1\n";
constexpr std::size_t kNonceSize = 32;
constexpr std::size_t kLengthSize = 4;
constexpr std::size_t kChallengeSize = kMagic.size() + kNonceSize;
constexpr std::uint32_t kRefused = 0xffffffff;

unsigned char* raw(std::byte* p) { return reinterpret_cast<unsigned char*>(p); }

void fill_random(Bytes bytes) {
  if (RAND_bytes(raw(bytes.data()), static_cast<int>(bytes.size())) == 1) return;
  // The kernel's generator fails only when interrupted before it is seeded.
  while (getentropy(bytes.data(), bytes.size()) != 0) continue;
}

void append(std::vector<std::byte>& out, ConstBytes bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

void append_length(std::vector<std::byte>& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::byte>(value >> shift));
}

std::uint32_t read_length(ConstBytes bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < kLengthSize; ++i) value = value << 8 | std::to_integer<std::uint32_t>(bytes[i]);
  return value;
}

Mac prove(const Secret& secret, std::string_view label, ConstBytes nonce_c, ConstBytes nonce_a, ConstBytes hello) {
  std::vector<std::byte> text;
  append(text, std::as_bytes(std::span(label)));
  append(text, nonce_c);
  append(text, nonce_a);
  append(text, hello);
  Mac mac{};
  HMAC(EVP_sha256(), secret.bytes.data(), static_cast<int>(secret.bytes.size()), raw(text.data()), text.size(), raw(mac.data()),
       nullptr);
  return mac;
}

bool equal(const Mac& mine, ConstBytes theirs) {
  return theirs.size() == mine.size() && CRYPTO_memcmp(mine.data(), theirs.data(), mine.size()) == 0;
}

bool is_hang_up(int error_number) { return error_number == EPIPE || error_number == ECONNRESET; }

Error hung_up() { return {Code::peer_lost, "the peer hung up before both ends had authenticated each other"}; }

}  // namespace

Secret random_secret() {
  Secret secret;
  fill_random(secret.bytes);
  return secret;
}

Secret secret_from_text(std::string_view text) {
  Secret secret;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), raw(secret.bytes.data()));
  return secret;
}

Handshake::Handshake(int fd, Role role, const Secret& secret, std::vector<std::byte> hello)
    : fd_(fd),
      role_(role),
      stage_(role == Role::connects ? Stage::send_challenge : Stage::recv_challenge),
      secret_(secret),
      hello_(std::move(hello)) {
  fill_random(role == Role::connects ? nonce_c_ : nonce_a_);
  if (role == Role::accepts) return;
  append(out_, std::as_bytes(std::span(kMagic)));
  append(out_, nonce_c_);
}

short Handshake::wanted_events() const noexcept {
  const bool sends = stage_ == Stage::send_challenge || stage_ == Stage::send_proof || stage_ == Stage::send_hello;
  return sends ? POLLOUT : POLLIN;
}

Result<bool> Handshake::advance() {
  if (hello_.size() > kMaxHello)
    return Error(Code::invalid_argument,
                 fmt::format("a hello of {} bytes is longer than the {} allowed", hello_.size(), kMaxHello));
  while (stage_ != Stage::done) {
    Result<bool> moved = step();
    if (!moved || !*moved) return moved;
  }
  return true;
}

Result<bool> Handshake::step() {
  const bool connects = role_ == Role::connects;
  switch (stage_) {
    case Stage::recv_challenge:
      return take_challenge();
    case Stage::recv_proof:
      return take_proof();
    case Stage::recv_hello_size:
      return take_hello_size();
    case Stage::recv_hello:
      return take_hello();
    case Stage::send_challenge:
    case Stage::send_proof:
    case Stage::send_hello:
      break;
    case Stage::done:
      return true;
  }
  Result<bool> sent = flush();
  if (!sent || !*sent) return sent;
  if (stage_ == Stage::send_challenge) {
    stage_ = Stage::recv_proof;
  } else {
    stage_ = stage_ == Stage::send_hello && !connects ? Stage::done : Stage::recv_hello_size;
  }
  return true;
}

Result<bool> Handshake::flush() {
  while (out_sent_ < out_.size()) {
    const ssize_t n = send(fd_, out_.data() + out_sent_, out_.size() - out_sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      out_sent_ += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return false;
    } else if (errno != EINTR) {
      return is_hang_up(errno) ? hung_up() : system_error(errno, "sending a handshake");
    }
  }
  out_.clear();
  out_sent_ = 0;
  return true;
}

Result<bool> Handshake::fill(std::size_t size) {
  while (in_.size() < size) {
    const std::size_t had = in_.size();
    in_.resize(size);
    const ssize_t n = recv(fd_, in_.data() + had, size - had, MSG_DONTWAIT);
    const int error_number = errno;
    in_.resize(had + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    if (n > 0) continue;
    if (n == 0) return hung_up();
    if (error_number == EAGAIN || error_number == EWOULDBLOCK) return false;
    if (error_number != EINTR) return is_hang_up(error_number) ? hung_up() : system_error(error_number, "receiving a handshake");
  }
  return true;
}

Result<bool> Handshake::take_challenge() {
  Result<bool> full = fill(kChallengeSize);
  // Looked at even when not all is there, so that a talkative stranger is dropped at once.
  const std::size_t seen = std::min(in_.size(), kMagic.size());
  if (!std::ranges::equal(ConstBytes(in_).first(seen), std::as_bytes(std::span(kMagic)).first(seen)))
    return Error(Code::protocol, "whoever connected does not speak tutti's protocol (wrong first bytes)");
  if (!full || !*full) return full;
  std::copy_n(in_.begin() + kMagic.size(), kNonceSize, nonce_c_.begin());
  in_.clear();
  append(out_, nonce_a_);
  append(out_, prove(secret_, "tutti accept", nonce_c_, nonce_a_, {}));
  stage_ = Stage::send_proof;
  return true;
}

Result<bool> Handshake::take_proof() {
  Result<bool> full = fill(kNonceSize + sizeof(Mac));
  if (!full || !*full) return full;
  std::copy_n(in_.begin(), kNonceSize, nonce_a_.begin());
  if (!equal(prove(secret_, "tutti accept", nonce_c_, nonce_a_, {}), ConstBytes(in_).subspan(kNonceSize)))
    return refuse("the listening side does not know this job's secret");
  in_.clear();
  prepare_hello();
  return true;
}

Result<bool> Handshake::take_hello_size() {
  Result<bool> full = fill(kLengthSize);
  if (!full || !*full) return full;
  const std::uint32_t size = read_length(in_);
  if (size == kRefused) return Error(Code::unauthenticated, "the peer refused this rank: both must be given the same secret");
  if (size > kMaxHello)
    return Error(Code::protocol, fmt::format("the peer announces a hello of {} bytes, allowed are {}", size, kMaxHello));
  peer_hello_size_ = size;
  in_.clear();
  stage_ = Stage::recv_hello;
  return true;
}

Result<bool> Handshake::take_hello() {
  Result<bool> full = fill(peer_hello_size_ + sizeof(Mac));
  if (!full || !*full) return full;
  const bool connects = role_ == Role::connects;
  const ConstBytes hello = ConstBytes(in_).first(peer_hello_size_);
  const Mac expected = prove(secret_, connects ? "tutti welcome" : "tutti connect", nonce_c_, nonce_a_, hello);
  if (!equal(expected, ConstBytes(in_).subspan(peer_hello_size_)))
    return refuse(connects ? "the listening side does not know this job's secret"
                           : "whoever connected does not know this job's secret");
  peer_hello_.assign(hello.begin(), hello.end());
  in_.clear();
  if (connects) {
    stage_ = Stage::done;
  } else {
    prepare_hello();
  }
  return true;
}

void Handshake::prepare_hello() {
  append_length(out_, static_cast<std::uint32_t>(hello_.size()));
  append(out_, hello_);
  append(out_, prove(secret_, role_ == Role::connects ? "tutti connect" : "tutti welcome", nonce_c_, nonce_a_, hello_));
  stage_ = Stage::send_hello;
}

Error Handshake::refuse(std::string why) {
  append_length(out_, kRefused);
  (void)flush();  // a courtesy: the connection is lost anyway
  return {Code::unauthenticated,
          why + ": give every rank of the job the same secret, and check that nothing else uses this port"};
}

}  // namespace tutti
