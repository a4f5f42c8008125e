// TCP over IPv4 and IPv6 loopback, and with buffers so small that partial reads and writes are the rule.
#include <poll.h>

#include "tests/transports/conformance/conformance.h"
#include "tests/transports/conformance/dial.h"
#include "transports/tcp/tcp_transport.h"

namespace tutti::conformance {
namespace {

std::vector<Case> over(std::string name, std::string interface, int sockets, int buffer_bytes) {
  TransportFactory factory;
  factory.name = std::move(name);
  factory.make = [interface, sockets, buffer_bytes](TransportOptions options) -> std::unique_ptr<Transport> {
    options.interface = interface;
    options.tcp_sockets = sockets;
    return std::make_unique<TcpTransport>(options,
                                          TcpTuning{.send_buffer_bytes = buffer_bytes, .receive_buffer_bytes = buffer_bytes});
  };
  factory.dial = dial_tcp;
  return cases(factory);
}

INSTANTIATE_TEST_SUITE_P(Tcp4, TransportConformance, testing::ValuesIn(over("tcp4", "127.0.0.1", 2, 0)), case_name);
INSTANTIATE_TEST_SUITE_P(Tcp6, TransportConformance, testing::ValuesIn(over("tcp6", "::1", 1, 0)), case_name);
INSTANTIATE_TEST_SUITE_P(TcpTiny, TransportConformance, testing::ValuesIn(over("tcp_tiny", "127.0.0.1", 5, 32768)), case_name);

}  // namespace
}  // namespace tutti::conformance
