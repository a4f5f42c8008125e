#include "doctor/reach.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <random>

#include "transports/tcp/socket.h"

namespace tutti::doctor {
namespace {

std::string random_token() {
  std::random_device random;
  std::string token;
  while (token.size() < kTokenBytes) token += fmt::format("{:08x}", random());
  return token;
}

constexpr std::size_t kMostAtOnce = 32;  // tries
constexpr std::size_t kMostGuests = 128;

// One try under way.
struct Attempt {
  std::size_t door = 0;
  TimePoint deadline = {};
  Fd socket;
  bool connected = false;
  std::string got, outcome = "no answer";
};

SocketAddress any(int family) { return SocketAddress::from_bytes(family, {}, 0); }

// Connected by now, or why not.
void look_at(Attempt& attempt) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(attempt.socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  attempt.connected = error == 0;
  if (error == 0) {
    attempt.outcome = "it connects, but nothing arrives";
    return;
  }
  attempt.outcome = system_error(error, "connect").message();
  attempt.socket.reset();
}

void read_some(Attempt& attempt, const std::string& token) {
  std::array<char, 16384> buffer{};
  const ssize_t got = recv(attempt.socket.get(), buffer.data(), buffer.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got > 0) attempt.got.append(buffer.data(), static_cast<std::size_t>(got));
  const bool ours = attempt.got.starts_with(token);
  if (attempt.got.size() >= kReplyBytes && ours) {
    attempt.outcome.clear();
    attempt.socket.reset();
  } else if (got <= 0 || (attempt.got.size() >= token.size() && !ours)) {
    attempt.outcome = "somebody else answers at this address";
    attempt.socket.reset();
  } else {
    attempt.outcome =
        fmt::format("it connects, but only {} of {} bytes arrive: does a smaller MTU on the way drop large packets?",
                    attempt.got.size(), kReplyBytes);
  }
}

Attempt begin(const std::vector<Knock>& doors, std::size_t which, Duration patience) {
  const Knock& door = doors[which];
  Attempt attempt;
  attempt.door = which;
  attempt.deadline = Clock::now() + patience;
  auto socket = start_connect(door.from.family() == AF_UNSPEC ? any(door.to.family()) : door.from, door.to, {});
  if (socket)
    attempt.socket = std::move(*socket);
  else
    attempt.outcome = socket.error().to_string();
  return attempt;
}

// Waits for a moment for something to happen to one of them.
void go_on(std::vector<Attempt>& attempts, const std::vector<Knock>& doors) {
  std::vector<pollfd> waiting;
  for (const Attempt& a : attempts) waiting.push_back({a.socket.get(), static_cast<short>(a.connected ? POLLIN : POLLOUT), 0});
  if (poll(waiting.data(), waiting.size(), 50) <= 0) return;
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    if (waiting[i].revents == 0) continue;
    if (attempts[i].connected)
      read_some(attempts[i], doors[attempts[i].door].token);
    else
      look_at(attempts[i]);
  }
}

bool out_of_files(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

}  // namespace

Result<std::unique_ptr<Door>> Door::open() {
  std::unique_ptr<Door> door(new Door());
  auto listener = listen_on(any(AF_INET), {});
  if (!listener) return listener.because("listening for the other hosts' tries");
  auto address = SocketAddress::of_socket(listener->get());
  if (!address) return std::move(address.error());
  door->port_ = address->port();
  door->listeners_[0] = std::move(*listener);
  if (auto also = listen_on(any(AF_INET6).with_port(door->port_), {})) door->listeners_[1] = std::move(*also);
  door->token_ = random_token();
  door->thread_ = std::thread([raw = door.get()] { raw->answer(); });
  return door;
}

Door::~Door() {
  closing_ = true;
  if (thread_.joinable()) thread_.join();
}

// What it sends fits into the sockets' buffers, so nobody is waited for.
void Door::answer() {
  std::string reply = token_;
  reply.resize(kReplyBytes, '.');
  std::deque<Fd> guests;  // the newest: by then the others have taken all
  while (!closing_) {
    std::array<pollfd, 2> waiting{{{listeners_[0].get(), POLLIN, 0}, {listeners_[1].get(), POLLIN, 0}}};
    if (poll(waiting.data(), waiting.size(), 50) <= 0) continue;
    for (const pollfd& each : waiting) {
      if (each.revents == 0) continue;
      Fd guest(accept4(each.fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      const bool full = !guest && out_of_files(errno);
      if ((full && !guests.empty()) || guests.size() >= kMostGuests) guests.pop_front();
      if (full) std::this_thread::sleep_for(std::chrono::milliseconds(10));
      if (!guest) continue;
      const int buffer = 4 * static_cast<int>(kReplyBytes);
      setsockopt(guest.get(), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
      (void)send(guest.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
      guests.push_back(std::move(guest));
    }
  }
}

std::vector<std::string> knock(const std::vector<Knock>& doors, Duration patience) {
  std::vector<std::string> outcomes(doors.size());
  std::vector<Attempt> attempts;
  for (std::size_t next = 0; next < doors.size() || !attempts.empty();) {
    while (next < doors.size() && attempts.size() < kMostAtOnce) attempts.push_back(begin(doors, next++, patience));
    go_on(attempts, doors);
    std::erase_if(attempts, [&](const Attempt& a) {
      const bool over = !a.socket || Clock::now() >= a.deadline;
      if (over) outcomes[a.door] = a.outcome;
      return over;
    });
  }
  return outcomes;
}

}  // namespace tutti::doctor
