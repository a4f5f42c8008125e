#include "transports/tcp/wire.h"

#include <fmt/format.h>

#include <cstring>

namespace tutti {
namespace {

struct AddressBlob {
  std::uint32_t magic = kMagic;
  std::uint16_t version = 4;  // of the Internet protocol
  std::uint16_t port = 0;
  std::array<std::byte, 16> address{};
  std::uint64_t instance = 0;

  static constexpr std::uint32_t kMagic = 0x74634c31;
};
static_assert(sizeof(AddressBlob) == 32);

template <class T>
std::vector<std::byte> to_bytes(const T& value) {
  std::vector<std::byte> out(sizeof value);
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

template <class T>
Result<T> from_bytes(ConstBytes bytes, std::string_view what) {
  T value;
  if (bytes.size() != sizeof value)
    return Error(Code::protocol, fmt::format("{} of {} bytes, expected {}", what, bytes.size(), sizeof value));
  std::memcpy(static_cast<void*>(&value), bytes.data(), sizeof value);
  if (value.magic != T::kMagic)
    return Error(Code::protocol,
                 fmt::format("{} begins with {:#010x}, expected {:#010x} (another version, or a host of the other "
                             "byte order)",
                             what, value.magic, T::kMagic));
  return value;
}

}  // namespace

std::vector<std::byte> encode(const TcpAddress& address) {
  AddressBlob blob;
  blob.version = address.address.family() == AF_INET ? 4 : 6;
  blob.port = address.address.port();
  blob.address = address.address.bytes();
  blob.instance = address.instance;
  return to_bytes(blob);
}

Result<TcpAddress> decode_tcp_address(ConstBytes bytes) {
  auto blob = from_bytes<AddressBlob>(bytes, "a TCP address");
  if (!blob) return std::move(blob.error());
  if ((blob->version != 4 && blob->version != 6) || blob->port == 0)
    return Error(Code::protocol, fmt::format("a TCP address of IP version {} and port {}", blob->version, blob->port));
  return TcpAddress{SocketAddress::from_bytes(blob->version == 4 ? AF_INET : AF_INET6, blob->address, blob->port),
                    blob->instance};
}

std::vector<std::byte> encode(const ConnectorHello& hello) { return to_bytes(hello); }

Result<ConnectorHello> decode_connector_hello(ConstBytes bytes) {
  auto hello = from_bytes<ConnectorHello>(bytes, "a hello");
  if (!hello) return hello;
  if (hello->sockets == 0 || hello->sockets > kMaxTcpSockets || hello->socket >= hello->sockets)
    return Error(Code::protocol, fmt::format("a hello of socket {} of {}", hello->socket, hello->sockets));
  return hello;
}

std::vector<std::byte> encode(const AcceptorHello& hello) { return to_bytes(hello); }

Result<AcceptorHello> decode_acceptor_hello(ConstBytes bytes) { return from_bytes<AcceptorHello>(bytes, "an answer to a hello"); }

Status check(const MessageHeader& header, Rank peer) {
  if (header.magic != MessageHeader::kMagic)
    return Error(Code::protocol,
                 fmt::format("a message of rank {} begins with {:#010x}, expected {:#010x}: its stream is corrupt", peer,
                             header.magic, MessageHeader::kMagic),
                 peer);
  if (header.bytes > MessageHeader::kMaxBytes)
    return Error(Code::protocol,
                 fmt::format("rank {} announces a message of {} bytes: its stream is corrupt", peer, header.bytes), peer);
  return {};
}

}  // namespace tutti
