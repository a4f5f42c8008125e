// Which network interface to use. One syntax for data and control connections:
//
//   eth0,ib           first what is called eth0 or begins with it, else what begins with ib
//   =eth0             exactly eth0
//   ^docker,lo        anything but these; `^=docker0` excludes that one only
//   10.77.0.0/24      the interface with an address in this network (IPv6: fe80::/10, ::/0 for any)
//   10.77.0.3         the interface with this address (IPv6: fe80::1%eth0, ::1)
//   eth,^eth3         anything that begins with eth, but not eth3
//
// A leading `^` or `=` holds for the whole list, elsewhere for its item. Empty: any interface that is up, container bridges
// (docker*, virbr*, br-*) left out, loopback as the last resort. Of several addresses IPv4 comes before global IPv6 before
// link-local ones.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "transports/tcp/socket_address.h"
#include "tutti/result.h"

namespace tutti {

struct InterfaceAddress {
  std::string name;       // "eth0"
  SocketAddress address;  // port 0
  bool up = false;
  bool running = false;  // has a carrier
  bool loopback = false;

  // "eth0 10.0.0.1"
  [[nodiscard]] std::string to_string() const;
};

// Every IPv4 and IPv6 address of this host, in the kernel's order, those of interfaces that are down included.
[[nodiscard]] Result<std::vector<InterfaceAddress>> list_interfaces();

// The address that `spec` asks for. Code::invalid_argument for a malformed spec, Code::environment when nothing matches; both
// show the spec, the latter also what there is. Thread safe.
[[nodiscard]] Result<InterfaceAddress> choose_interface(std::string_view spec);
// The same among the given ones.
[[nodiscard]] Result<InterfaceAddress> choose_interface(std::string_view spec, std::span<const InterfaceAddress> available);

}  // namespace tutti
