// Mutual authentication of both ends of a fresh stream socket, before any other byte is parsed.
//
//   connector -> acceptor   magic, nonce_c (32 random bytes)
//   acceptor  -> connector  nonce_a, HMAC-SHA256(secret, "tutti accept" | nonce_c | nonce_a)
//   connector -> acceptor   length, hello_c, HMAC-SHA256(secret, "tutti connect" | nonce_c | nonce_a | hello_c)
//   acceptor  -> connector  length, hello_a, HMAC-SHA256(secret, "tutti welcome" | nonce_c | nonce_a | hello_a)
//
// A stranger learns nothing but nonces, can't replay, and is dropped at the first wrong byte. Lengths are 32 bits, big endian.
// Whoever refuses the other's proof answers with the length 0xffffffff, so that both ends report the same reason.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "tutti/result.h"
#include "tutti/transport.h"

namespace tutti {

[[nodiscard]] Secret random_secret();
// Secret from any text a user passes around (SHA-256 of it).
[[nodiscard]] Secret secret_from_text(std::string_view text);

class Handshake {
 public:
  enum class Role { connects, accepts };
  static constexpr std::size_t kMaxHello = 4096;

  // `fd` is a non-blocking connected (or still connecting) stream socket; it stays the caller's.
  Handshake(int fd, Role role, const Secret& secret, std::vector<std::byte> hello);

  // Moves as far as the socket allows. true: both ends have proved that they know the secret.
  // Code::unauthenticated when the peer does not know it, Code::protocol for garbage, Code::peer_lost when it hung up.
  Result<bool> advance();
  // The events to poll the socket for while advance() says false.
  [[nodiscard]] short wanted_events() const noexcept;
  // What the peer said about itself; valid once advance() returned true.
  [[nodiscard]] ConstBytes peer_hello() const noexcept { return peer_hello_; }

 private:
  enum class Stage { send_challenge, recv_challenge, send_proof, recv_proof, send_hello, recv_hello_size, recv_hello, done };
  using Nonce = std::array<std::byte, 32>;

  Result<bool> step();                  // one stage; false: the socket has no more for us
  Result<bool> flush();                 // out_ has gone out
  Result<bool> fill(std::size_t size);  // in_ holds `size` bytes, and not one more was read
  Result<bool> take_challenge();
  Result<bool> take_proof();
  Result<bool> take_hello_size();
  Result<bool> take_hello();
  void prepare_hello();
  Error refuse(std::string why);

  int fd_;
  Role role_;
  Stage stage_;
  Secret secret_;
  std::vector<std::byte> hello_, peer_hello_;
  std::vector<std::byte> out_, in_;
  std::size_t out_sent_ = 0;
  std::size_t peer_hello_size_ = 0;
  Nonce nonce_c_{}, nonce_a_{};
};

}  // namespace tutti
