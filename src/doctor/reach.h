// Whether other hosts are reached, by trying: each rank answers whoever connects with a token of its own and 64 KiB, so that an
// address that leads to somebody else, and a way that drops large packets, are told from one that works.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "core/fd.h"
#include "transports/tcp/socket_address.h"
#include "tutti/result.h"

namespace tutti::doctor {

inline constexpr std::size_t kTokenBytes = 32;         // text
inline constexpr std::size_t kReplyBytes = 64u << 10;  // token included

// Answers until it is destroyed, at any address of this host.
class Door {
 public:
  static Result<std::unique_ptr<Door>> open();
  ~Door();
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] const std::string& token() const noexcept { return token_; }

 private:
  Door() = default;
  void answer();

  std::array<Fd, 2> listeners_;  // IPv4, IPv6 where there is any
  std::uint16_t port_ = 0;
  std::string token_;
  std::atomic<bool> closing_ = false;
  std::thread thread_;
};

struct Knock {
  SocketAddress from;  // port 0; empty: any of this host
  SocketAddress to;
  std::string token;  // that the right door answers with
};
// Some at once, each for no longer than `patience`. In order: empty where it was reached, else what went wrong.
[[nodiscard]] std::vector<std::string> knock(const std::vector<Knock>& doors, Duration patience);

}  // namespace tutti::doctor
