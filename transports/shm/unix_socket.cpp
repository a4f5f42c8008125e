#include "transports/shm/unix_socket.h"

#include <fmt/format.h>
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

constexpr std::size_t kMostDescriptors = 3;
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

Result<bool> receive_descriptors(const Fd& socket, Bytes bytes, Descriptors& into, Rank peer) {
  Control control;
  iovec part{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = CMSG_LEN(kMostDescriptors * sizeof(int));  // no room for more, which nobody would close
  const ssize_t got = recvmsg(socket.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got == 0 || (got < 0 && errno == ECONNRESET))
    return Error(Code::peer_lost, fmt::format("rank {} hung up before it handed its shared memory over", peer), peer);
  if (got < 0) return system_error(errno, fmt::format("receiving the shared memory of rank {}", peer), peer);
  std::array<int, kMostDescriptors> fds{-1, -1, -1};
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t size = std::min<std::size_t>(header->cmsg_len - CMSG_LEN(0), sizeof fds);
    std::memcpy(fds.data(), CMSG_DATA(header), size);
  }
  into.memory = Fd(fds[0]);
  into.bell = Fd(fds[1]);
  into.cells = Fd(fds[2]);
  const auto received = std::ranges::count_if(fds, [](int fd) { return fd >= 0; });
  if (received < static_cast<std::ptrdiff_t>(kMostDescriptors) &&
      (message.msg_flags & MSG_CTRUNC) != 0)  // this process had no room for them
    return system_error(EMFILE, fmt::format("receiving the shared memory of rank {}", peer), peer);
  if (got != static_cast<ssize_t>(bytes.size()) || !into.memory || !into.bell || (message.msg_flags & MSG_CTRUNC) != 0)
    return Error(Code::protocol,
                 fmt::format("rank {} sent {} bytes and {} descriptors where {} and at least 2 were expected", peer, got,
                             received, bytes.size()),
                 peer);
  return true;
}

bool has_hung_up(const Fd& socket) noexcept {
  char byte = 0;
  const ssize_t got = recv(socket.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

}  // namespace tutti::shm
