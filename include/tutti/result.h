// Result<T>: a value, or an error that remembers why.
//
//   Result<Socket> connect_to(Address a) {
//     auto socket = open_socket(a);
//     if (!socket) return socket.because("connecting to rank 3");
//     return socket;
//   }
//
// printed: "connecting to rank 3 <- socket(): Address already in use (EADDRINUSE)".
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "tutti/types.h"

namespace tutti {

enum class Code : std::uint8_t {
  invalid_argument,  // the caller passed something that cannot be meant
  mismatch,          // ranks disagree about the call they are in
  unsupported,       // meant, but not offered here
  timeout,           // a deadline passed
  peer_lost,         // a peer died or closed its connection
  aborted,           // this communicator was aborted, here or by a peer
  unauthenticated,   // the other side does not know the secret
  protocol,          // bytes that do not parse
  resource,          // memory, files, sockets: the system said no
  environment,       // launcher variables or configuration are missing or malformed
  internal,          // a bug in tutti
};
[[nodiscard]] std::string_view name(Code code) noexcept;

// One link of the chain of causes. Cheap to move, allocated only when something failed.
class Error {
 public:
  Error(Code code, std::string message, Rank peer = kNoRank);

  [[nodiscard]] Code code() const noexcept { return node_->code; }
  // The rank at fault, or kNoRank where none is known.
  [[nodiscard]] Rank peer() const noexcept { return node_->peer; }
  [[nodiscard]] const std::string& message() const noexcept { return node_->message; }
  // All messages, outermost first, joined by " <- ".
  [[nodiscard]] std::string to_string() const;
  // The same error seen from further out; code and peer are kept.
  [[nodiscard]] Error because(std::string context) &&;
  [[nodiscard]] Error clone() const;

 private:
  struct Node {
    Code code;
    Rank peer;
    std::string message;
    std::unique_ptr<Node> cause;
  };
  explicit Error(std::unique_ptr<Node> node) : node_(std::move(node)) {}
  std::unique_ptr<Node> node_;
};

// From errno: "what: strerror (EXXX)", and which limit of the process was met where it was one.
[[nodiscard]] Error system_error(int error_number, std::string_view what, Rank peer = kNoRank);

// Thrown by Result::value_or_throw only; the library itself never throws across its interface.
class Failure : public std::runtime_error {
 public:
  explicit Failure(const Error& error) : std::runtime_error(error.to_string()), code_(error.code()), peer_(error.peer()) {}
  [[nodiscard]] Code code() const noexcept { return code_; }
  [[nodiscard]] Rank peer() const noexcept { return peer_; }

 private:
  Code code_;
  Rank peer_;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}                               // NOLINT(google-explicit-constructor)
  Result(Error error) : error_(std::make_unique<Error>(std::move(error))) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] explicit operator bool() const noexcept { return value_.has_value(); }
  [[nodiscard]] T& operator*() & { return *value_; }
  [[nodiscard]] const T& operator*() const& { return *value_; }
  [[nodiscard]] T&& operator*() && { return std::move(*value_); }
  [[nodiscard]] T* operator->() { return &*value_; }
  [[nodiscard]] const T* operator->() const { return &*value_; }
  [[nodiscard]] Error& error() { return *error_; }
  [[nodiscard]] const Error& error() const { return *error_; }
  // Hands the error on with one more line of context.
  [[nodiscard]] Error because(std::string context) { return std::move(*error_).because(std::move(context)); }
  // The value, or a Failure thrown: for programs that do not handle errors one by one.
  T value_or_throw() && {
    if (!value_) throw Failure(*error_);
    return std::move(*value_);
  }

 private:
  std::optional<T> value_;
  std::unique_ptr<Error> error_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::make_unique<Error>(std::move(error))) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] explicit operator bool() const noexcept { return error_ == nullptr; }
  [[nodiscard]] Error& error() { return *error_; }
  [[nodiscard]] const Error& error() const { return *error_; }
  [[nodiscard]] Error because(std::string context) { return std::move(*error_).because(std::move(context)); }
  void value_or_throw() && {
    if (error_) throw Failure(*error_);
  }

 private:
  std::unique_ptr<Error> error_;
};

using Status = Result<void>;

}  // namespace tutti
