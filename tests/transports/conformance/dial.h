// A stranger's socket to a transport that is met over TCP.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include "transports/tcp/wire.h"

namespace tutti::conformance {

// -1: nobody listens there.
inline int dial_tcp(ConstBytes address) {
  auto remote = decode_tcp_address(address);
  if (!remote) return -1;
  const int fd = socket(remote->address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, remote->address.get(), remote->address.size()) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

}  // namespace tutti::conformance
