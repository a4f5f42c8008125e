// What comes from the other side of a TCP connection.
#include <cstring>

#include "tests/fuzz/fuzz.h"
#include "transports/tcp/wire.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  if (const auto address = decode_tcp_address(input); parsed(address)) {
    const auto again = decode_tcp_address(encode(*address));
    promise(parsed(again) && again->address.to_string() == address->address.to_string(), "an address comes back");
  }
  if (const auto hello = decode_connector_hello(input); parsed(hello))
    promise(hello->socket < hello->sockets && hello->sockets <= kMaxTcpSockets, "a socket is one of the sockets");
  (void)parsed(decode_acceptor_hello(input));
  if (input.size() != sizeof(MessageHeader)) return;
  MessageHeader header;
  std::memcpy(&header, input.data(), sizeof header);
  if (parsed(check(header, 1))) promise(header.bytes <= MessageHeader::kMaxBytes, "no message is absurdly large");
}

}  // namespace tutti::fuzz
