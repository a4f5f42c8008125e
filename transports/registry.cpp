#include "transports/registry.h"

#include <algorithm>
#include <array>

#include "transports/loopback/loopback.h"
#include "transports/shm/shm_transport.h"
#include "transports/tcp/tcp_transport.h"
#include "transports/ucx/ucx_transport.h"
#include "transports/verbs/verbs_transport.h"

namespace tutti {
namespace {

constexpr std::array kTable = {
    TransportRow{"shm", make_shm, "shared memory between ranks of one machine", false, true},
    TransportRow{"verbs", make_verbs, "RDMA over InfiniBand and RoCE, on one or several ports"},
    TransportRow{"tcp", make_tcp, "TCP over a chosen interface, IPv4 and IPv6"},
    // Only where it is named, or where somebody has measured it to be the fastest (tutti tune --transports): it reaches what the
    // transports above reach. Nor is it even loaded before, as it starts threads, takes signals and looks at every device.
    TransportRow{"ucx", make_ucx, "UCX (libucp.so.0), with the networks and memory that it knows", true},
    TransportRow{"loopback", [](const TransportOptions& options) { return make_loopback(options); },
                 "queues between threads of one process, for tests", true, true},
};

}  // namespace

std::span<const TransportRow> transport_table() noexcept { return kTable; }

const TransportRow* find_transport(std::string_view name) noexcept {
  const auto row = std::ranges::find(kTable, name, &TransportRow::name);
  return row == kTable.end() ? nullptr : &*row;
}

}  // namespace tutti
