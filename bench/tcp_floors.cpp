// What TCP between two hosts allows, for the figures of `bench/peers/run.py --hosts 2`: two processes, one thread each, plain
// sockets that are polled without a pause.
//
//   tcp_floors ADDRESS          listens there
//   tcp_floors ADDRESS connect  connects, and prints a line of JSON:
//     round_trip_us     8 bytes there and back
//     exchange_us       8 bytes each way at once, as in an all_reduce
//     one_way_gbps      the best rate of a long stream over 1, 2, 4 or 8 sockets, and how many these were
//     both_ways_gbps    the same in both directions at once (of each direction)
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "core/clock.h"
#include "core/fd.h"

namespace {

constexpr std::size_t kMostSockets = 8;
constexpr std::size_t kSmall = 8;
constexpr int kSmallRounds = 4000, kStreamRounds = 5;
constexpr std::size_t kStream = 64u << 20;  // bytes each way
constexpr std::size_t kCall = 256u << 10;   // bytes asked of the kernel at a time
constexpr std::uint16_t kPort = 7117;

[[noreturn]] void fail(const char* what) {
  fmt::print(stderr, "tcp_floors: {}: {}\n", what, std::strerror(errno));
  std::exit(1);
}

sockaddr_in address_of(const char* text) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kPort);
  if (inet_pton(AF_INET, text, &address.sin_addr) != 1) fail("the address");
  return address;
}

tutti::Fd open_socket() {
  tutti::Fd fd(socket(AF_INET, SOCK_STREAM, 0));
  if (!fd) fail("socket");
  return fd;
}

std::vector<tutti::Fd> accept_all(const sockaddr_in& address) {
  const tutti::Fd listener = open_socket();
  const int on = 1;
  (void)setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("bind");
  if (listen(listener.get(), kMostSockets) != 0) fail("listen");
  std::vector<tutti::Fd> sockets;
  while (sockets.size() < kMostSockets) {
    sockets.emplace_back(accept(listener.get(), nullptr, nullptr));
    if (!sockets.back()) fail("accept");
  }
  return sockets;
}

tutti::Fd connect_in_time(const sockaddr_in& address) {
  const auto start = tutti::Clock::now();
  for (;;) {
    tutti::Fd fd = open_socket();
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    if (errno != ECONNREFUSED || tutti::seconds_since(start) > 10) fail("connect");
  }
}

std::vector<tutti::Fd> connect_all(const sockaddr_in& address) {
  std::vector<tutti::Fd> sockets;
  while (sockets.size() < kMostSockets) sockets.push_back(connect_in_time(address));
  return sockets;
}

// What a call on a socket has moved: 0 when it would have had to wait.
std::size_t moved(ssize_t result, const char* what) {
  if (result > 0) return static_cast<std::size_t>(result);
  if (result == 0) fail("the other side has ended");
  if (errno != EAGAIN && errno != EINTR) fail(what);
  return 0;
}

class Pair {
 public:
  Pair(std::vector<tutti::Fd> sockets, bool first) : sockets_(std::move(sockets)), first_(first), in_(kStream), out_(kStream) {
    const int on = 1;
    for (const tutti::Fd& fd : sockets_) {
      (void)setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      (void)fcntl(fd.get(), F_SETFL, O_NONBLOCK);
    }
  }

  double round_trip_us() {
    return median_us(kSmallRounds, [&] {
      if (first_) send_small();
      receive_small();
      if (!first_) send_small();
    });
  }
  double exchange_us() {
    return median_us(kSmallRounds, [&] {
      send_small();
      receive_small();
    });
  }

  // GB/s of each direction over that many sockets, the median. A round ends when whoever receives has all and has said so.
  double stream_gbps(std::size_t sockets, bool sends, bool receives) {
    const double us = median_us(kStreamRounds, [&] {
      stream(sockets, sends, receives);
      if (receives) send_small();
      if (sends) receive_small();
    });
    return static_cast<double>(kStream) / us / 1e3;
  }
  [[nodiscard]] bool first() const noexcept { return first_; }

 private:
  template <class Round>
  double median_us(int rounds, Round&& round) {
    std::vector<double> us;
    for (int i = -rounds / 10 - 1; i < rounds; ++i) {
      const auto start = tutti::Clock::now();
      round();
      if (i >= 0) us.push_back(1e6 * tutti::seconds_since(start));
    }
    std::ranges::nth_element(us, us.begin() + rounds / 2);
    return us[static_cast<std::size_t>(rounds / 2)];
  }

  void send_small() {
    for (std::size_t done = 0; done < kSmall;)
      done += moved(send(sockets_[0].get(), small_.data() + done, kSmall - done, MSG_NOSIGNAL), "send");
  }
  // A look takes the socket's lock, so those that follow each other without a pause hold up what arrives.
  void receive_small() {
    constexpr int kPauses = 8;
    for (std::size_t done = 0; done < kSmall;) {
      const std::size_t n = moved(recv(sockets_[0].get(), small_.data() + done, kSmall - done, 0), "recv");
      for (int i = 0; n == 0 && i < kPauses; ++i) tutti::cpu_relax();
      done += n;
    }
  }

  // Each socket moves a contiguous part, in turns.
  void stream(std::size_t sockets, bool sends, bool receives) {
    const std::size_t share = kStream / sockets;
    std::array<std::size_t, kMostSockets> sent{}, received{};
    for (std::size_t left = share * sockets * (sends + receives); left > 0;)
      for (std::size_t s = 0; s < sockets; ++s) {
        const int fd = sockets_[s].get();
        const std::size_t at = s * share;
        if (receives && received[s] < share) {
          const std::size_t n = moved(recv(fd, in_.data() + at + received[s], std::min(kCall, share - received[s]), 0), "recv");
          received[s] += n;
          left -= n;
        }
        if (sends && sent[s] < share) {
          const std::size_t n =
              moved(send(fd, out_.data() + at + sent[s], std::min(kCall, share - sent[s]), MSG_NOSIGNAL), "send");
          sent[s] += n;
          left -= n;
        }
      }
  }

  std::vector<tutti::Fd> sockets_;
  bool first_;
  std::vector<std::byte> in_, out_;
  std::array<std::byte, kSmall> small_{};
};

struct Best {
  double gbps = 0;
  std::size_t sockets = 0;
};

Best best_stream(Pair& pair, bool both_ways) {
  Best best;
  for (std::size_t sockets = 1; sockets <= kMostSockets; sockets *= 2) {
    const double gbps = pair.stream_gbps(sockets, both_ways || pair.first(), both_ways || !pair.first());
    if (gbps > best.gbps) best = {gbps, sockets};
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: tcp_floors ADDRESS [connect]\n");
    return 2;
  }
  const bool connects = argc > 2;
  const sockaddr_in address = address_of(argv[1]);
  Pair pair(connects ? connect_all(address) : accept_all(address), connects);
  const double round_trip = pair.round_trip_us(), exchange = pair.exchange_us();
  const Best one_way = best_stream(pair, false), both_ways = best_stream(pair, true);
  if (connects)
    fmt::print(
        "{{\"round_trip_us\": {:.2f}, \"exchange_us\": {:.2f}, \"one_way_gbps\": {:.2f}, \"one_way_sockets\": {}, "
        "\"both_ways_gbps\": {:.2f}, \"both_ways_sockets\": {}}}\n",
        round_trip, exchange, one_way.gbps, one_way.sockets, both_ways.gbps, both_ways.sockets);
  return 0;
}
