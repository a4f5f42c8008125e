#include "transports/shm/unix_socket.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace tutti::shm {
namespace {

constexpr int kBacklog = 4096;

struct Address {
  sockaddr_un un{};
  socklen_t size = 0;
};

// The name begins with a zero byte: it lives as long as the socket and leaves no file.
Address abstract(const std::string& name) {
  Address address;
  address.un.sun_family = AF_UNIX;
  const std::size_t length = std::min(name.size(), sizeof address.un.sun_path - 1);
  std::copy_n(name.begin(), length, address.un.sun_path + 1);
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
  return address;
}

Result<Fd> make_socket() {
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return system_error(errno, "opening a Unix socket");
  return fd;
}

struct alignas(cmsghdr) Control {
  std::array<char, CMSG_SPACE(kMostDescriptors * sizeof(int))> bytes{};
};

}  // namespace

Result<Fd> listen_at(const std::string& name) {
  auto fd = make_socket();
  if (!fd) return fd;
  const Address address = abstract(name);
  if (bind(fd->get(), reinterpret_cast<const sockaddr*>(&address.un), address.size) != 0)
    return system_error(errno, fmt::format("binding the Unix socket @{}", name));
  if (::listen(fd->get(), kBacklog) != 0) return system_error(errno, fmt::format("listening on the Unix socket @{}", name));
  return fd;
}

Result<Fd> connect_to(const std::string& name, Rank peer) {
  auto fd = make_socket();
  if (!fd) return fd;
  const Address address = abstract(name);
  if (connect(fd->get(), reinterpret_cast<const sockaddr*>(&address.un), address.size) == 0) return fd;
  if (errno == EAGAIN || errno == EINTR) return Fd();
  if (errno == ECONNREFUSED)
    return Error(Code::peer_lost,
                 fmt::format("rank {} does not listen on the Unix socket @{}: it has ended, or is in another network namespace",
                             peer, name),
                 peer);
  return system_error(errno, fmt::format("connecting to rank {} at the Unix socket @{}", peer, name), peer);
}

Result<pid_t> same_user(const Fd& socket, Rank peer) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
    return system_error(errno, "asking for a peer's credentials", peer);
  if (credentials.uid != geteuid())
    return Error(
        Code::unauthenticated,
        fmt::format("the process at the other end belongs to user {}, this one to user {}; ranks share memory only within "
                    "one user",
                    credentials.uid, geteuid()),
        peer);
  return credentials.pid;
}

Status send_descriptors(const Fd& socket, ConstBytes bytes, std::span<const int> descriptors, Rank peer) {
  Control control;
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  ssize_t sent = 0;
  do sent = sendmsg(socket.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  if (sent == static_cast<ssize_t>(bytes.size())) return {};
  if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
    return Error(Code::peer_lost, fmt::format("rank {} hung up while shared memory was handed over", peer), peer);
  return system_error(sent < 0 ? errno : EMSGSIZE, fmt::format("handing shared memory to rank {}", peer), peer);
}

Result<bool> receive_descriptors(const Fd& socket, Bytes bytes, std::span<Fd> into, std::size_t least, Rank peer) {
  Control control;
  iovec part{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = CMSG_LEN(into.size() * sizeof(int));  // no room for more, which nobody would close
  const ssize_t got = recvmsg(socket.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got == 0 || (got < 0 && errno == ECONNRESET))
    return Error(Code::peer_lost, fmt::format("rank {} hung up before it handed its shared memory over", peer), peer);
  if (got < 0) return system_error(errno, fmt::format("receiving the shared memory of rank {}", peer), peer);
  std::size_t received = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count && received < into.size(); ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      into[received++] = Fd(fd);
    }
  }
  if (got == static_cast<ssize_t>(bytes.size()) && received >= least && (message.msg_flags & MSG_CTRUNC) == 0) return true;
  if (got == static_cast<ssize_t>(bytes.size()) && received < into.size() && (message.msg_flags & MSG_CTRUNC) != 0)
    return system_error(EMFILE, fmt::format("receiving the shared memory of rank {}", peer), peer);
  return Error(Code::protocol,
               fmt::format("rank {} sent {} bytes and {} descriptors where {} and at least {} were expected", peer, got, received,
                           bytes.size(), least),
               peer);
}

bool has_hung_up(const Fd& socket) noexcept {
  pollfd look{socket.get(), POLLRDHUP, 0};
  return ::poll(&look, 1, 0) > 0 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

}  // namespace tutti::shm
