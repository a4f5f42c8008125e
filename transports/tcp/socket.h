// Opening and tuning the sockets of the TCP transport.
#pragma once

#include "core/clock.h"
#include "core/fd.h"
#include "transports/tcp/socket_address.h"
#include "tutti/result.h"
#include "tutti/types.h"

namespace tutti {

// What a user never needs to change. Tests do, to make rare things common.
struct TcpTuning {
  int send_buffer_bytes = 0;  // of each socket; 0: the kernel adapts it
  int receive_buffer_bytes = 0;
  std::size_t half_open = 256;  // connections that have not authenticated yet; more wait in the kernel
  Duration half_open_time = from_seconds(10);
  Duration reach_time = from_seconds(3);
};

// All sockets are non-blocking and closed on exec.
[[nodiscard]] Result<Fd> listen_on(const SocketAddress& local, const TcpTuning& tuning);
// Starts to connect from `local` (any port of it) to `remote`; the socket becomes writable when it is done.
[[nodiscard]] Result<Fd> start_connect(const SocketAddress& local, const SocketAddress& remote, const TcpTuning& tuning);
// No delay for small messages, and probes that notice a host that vanished.
void tune(int fd);
// Acknowledges now what has been read. Between ranks that send to each other the kernel would wait for data to go along with, up
// to 40 ms at the end of a message; a sender that measures the rate of what is acknowledged (bbr) would take the link to be as
// slow as that, and send the next message at this rate.
void acknowledge(int fd);
// Whether packets are acknowledged on arrival as long as less than 64 KiB is unread. Else the kernel acknowledges large ones when
// they are read, and bbr, which sends at the rate that it measures, keeps to the reader's rate instead of the link's.
// The option behind this is meant for poll(), which then waits for that much to read.
void acknowledge_on_arrival(int fd, bool on);

// What a failed send or recv says about the peer: Code::peer_lost where the connection is gone, else Code::resource.
// `error_number` 0 means an orderly end.
[[nodiscard]] Error connection_error(int error_number, Rank peer);

}  // namespace tutti
