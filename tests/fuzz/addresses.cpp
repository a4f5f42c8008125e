// host:port, interface lists, and encoded addresses.
#include "bootstrap/sockets.h"
#include "tests/fuzz/fuzz.h"
#include "transports/tcp/interfaces.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  const std::string_view text = text_of(input);
  if (const auto at = parse_host_port(text); parsed(at)) {
    const auto again = parse_host_port(to_string(*at));
    promise(parsed(again) && again->host == at->host && again->port == at->port, "host and port come back");
  }
  static const InterfaceAddress kAvailable[] = {
      {"lo", SocketAddress::parse("127.0.0.1").value_or_throw(), true, true, true},
      {"eth0", SocketAddress::parse("10.0.0.1").value_or_throw(), true, true, false},
      {"eth10", SocketAddress::parse("2001:db8::1").value_or_throw(), true, true, false},
      {"docker0", SocketAddress::parse("172.17.0.1").value_or_throw(), true, true, false}};
  (void)parsed(choose_interface(text, kAvailable));
  Reader in(input);
  if (const auto address = decode_address(in, 0); parsed(address)) {
    Writer out;
    encode(*address, out);
    const auto bytes = out.take();
    Reader again(bytes);
    const auto back = decode_address(again, 0);
    promise(parsed(back) && back->to_string() == address->to_string(), "an address comes back");
  }
}

}  // namespace tutti::fuzz
