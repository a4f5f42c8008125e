// What travels between TCP transports, and the parsers of it: nothing from a peer is used before it passed one of these.
// Plain structs in the sender's byte order; the magic numbers tell a host of the other order.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "transports/tcp/socket_address.h"
#include "tutti/result.h"
#include "tutti/transport.h"

namespace tutti {

inline constexpr std::size_t kMaxTcpSockets = 64;

// What listen() hands to peers.
struct TcpAddress {
  SocketAddress address;
  std::uint64_t instance = 0;  // random: a process that later gets the same port is another one
};
[[nodiscard]] std::vector<std::byte> encode(const TcpAddress& address);
[[nodiscard]] Result<TcpAddress> decode_tcp_address(ConstBytes bytes);

// The connecting side's hello: whose connection this socket belongs to.
struct ConnectorHello {
  std::uint32_t magic = kMagic;
  std::uint16_t socket = 0;    // index of this socket
  std::uint16_t sockets = 1;   // how many the connection has: the connecting side decides
  std::uint64_t instance = 0;  // whom it means to reach
  std::uint64_t stream = 0;
  Rank connector = 0;
  Rank acceptor = 0;

  static constexpr std::uint32_t kMagic = 0x74634331;
};
static_assert(sizeof(ConnectorHello) == 32);
[[nodiscard]] std::vector<std::byte> encode(const ConnectorHello& hello);
[[nodiscard]] Result<ConnectorHello> decode_connector_hello(ConstBytes bytes);

// The accepting side's hello.
struct AcceptorHello {
  std::uint32_t magic = kMagic;
  Rank rank = 0;
  std::uint64_t instance = 0;

  static constexpr std::uint32_t kMagic = 0x74634131;
};
static_assert(sizeof(AcceptorHello) == 16);
[[nodiscard]] std::vector<std::byte> encode(const AcceptorHello& hello);
[[nodiscard]] Result<AcceptorHello> decode_acceptor_hello(ConstBytes bytes);

// Stands before the bytes of each message, on socket 0.
struct MessageHeader {
  std::uint32_t magic = kMagic;
  std::uint32_t reserved = 0;
  std::uint64_t bytes = 0;
  Signature signature;

  static constexpr std::uint32_t kMagic = 0x74634d31;
  static constexpr std::uint64_t kMaxBytes = 1ull << 48;
};
static_assert(sizeof(MessageHeader) == 40);
// Code::protocol when this cannot be a header.
Status check(const MessageHeader& header, Rank peer);

}  // namespace tutti
