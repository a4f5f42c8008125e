#include "transports/tcp/acceptor.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/log.h"

namespace tutti {
namespace {

// What an event of the epoll instance is about; visitors have the numbers that follow.
constexpr std::uint64_t kListener = 0, kTimer = 1, kFirstVisitor = 2;

Status epoll_set(int epoll, int operation, int fd, std::uint32_t events, std::uint64_t id) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  if (epoll_ctl(epoll, operation, fd, &event) != 0) return system_error(errno, "watching the listening socket and its visitors");
  return {};
}

std::uint64_t random_instance() {
  const Secret random = random_secret();
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) value = value << 8 | std::to_integer<std::uint64_t>(random.bytes[i]);
  return value;
}

}  // namespace

bool Acceptor::Group::complete() const {
  return !sockets.empty() && std::ranges::all_of(sockets, [](const Fd& fd) { return static_cast<bool>(fd); });
}

Result<std::shared_ptr<Acceptor>> Acceptor::open(const InterfaceAddress& local, const Secret& secret, Rank me,
                                                 const TcpTuning& tuning) {
  auto listener = listen_on(local.address, tuning);
  if (!listener) return listener.because("listening on interface " + local.to_string());
  auto bound = SocketAddress::of_socket(listener->get());
  if (!bound) return std::move(bound.error());
  Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  Fd timer(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!epoll || !timer) return system_error(errno, "preparing to wait for connections");
  if (Status set = epoll_set(epoll.get(), EPOLL_CTL_ADD, listener->get(), EPOLLIN, kListener); !set)
    return std::move(set.error());
  if (Status set = epoll_set(epoll.get(), EPOLL_CTL_ADD, timer.get(), EPOLLIN, kTimer); !set) return std::move(set.error());
  return std::shared_ptr<Acceptor>(
      new Acceptor(*std::move(listener), std::move(epoll), std::move(timer), {*bound, random_instance()}, secret, me, tuning));
}

Acceptor::Acceptor(Fd listener, Fd epoll, Fd timer, const TcpAddress& address, const Secret& secret, Rank me,
                   const TcpTuning& tuning)
    : listener_(std::move(listener)),
      epoll_(std::move(epoll)),
      timer_(std::move(timer)),
      address_(address),
      secret_(secret),
      me_(me),
      tuning_(tuning),
      next_id_(kFirstVisitor) {}

Status Acceptor::pump() {
  const std::lock_guard lock(mutex_);
  std::array<epoll_event, 32> events;
  const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  if (count < 0 && errno != EINTR) return system_error(errno, "waiting for connections");
  for (int i = 0; i < count; ++i) {
    const std::uint64_t id = events[static_cast<std::size_t>(i)].data.u64;
    if (id == kListener) {
      if (Status accepted = accept_all(); !accepted) return accepted;
    } else if (id == kTimer) {
      expire();
    } else {
      advance(id);
    }
  }
  return {};
}

Status Acceptor::accept_all() {
  while (visitors_.size() < tuning_.half_open) {
    const int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      if (Status admitted = admit(fd); !admitted) return admitted;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return {};
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      if (Status room = make_room(errno); !room) return room;
    }
    // Other errors are those of a connection that failed before it was accepted.
  }
  return listen_for_more(false);
}

Status Acceptor::make_room(int error_number) {
  Error full =
      system_error(error_number, fmt::format("rank {} cannot accept a connection (TUTTI_TCP_SOCKETS lowers the need)", me_));
  if (visitors_.empty()) return full;
  log(LogLevel::warn, full.to_string());  // whoever is dismissed only sees that this rank hung up
  dismiss(visitors_.begin());
  return {};
}

Status Acceptor::admit(int fd) {
  Fd owned(fd);
  tune(fd);
  const std::uint64_t id = next_id_++;
  if (Status set = epoll_set(epoll_.get(), EPOLL_CTL_ADD, fd, EPOLLIN, id); !set) return set;
  Handshake handshake(fd, Handshake::Role::accepts, secret_, encode(AcceptorHello{.rank = me_, .instance = address_.instance}));
  visitors_.emplace(id, Visitor{std::move(owned), std::move(handshake), Clock::now() + tuning_.half_open_time, POLLIN});
  if (visitors_.size() == 1) set_timer();
  advance(id);
  return {};
}

void Acceptor::advance(std::uint64_t id) {
  const auto it = visitors_.find(id);
  if (it == visitors_.end()) return;
  Visitor& visitor = it->second;
  auto done = visitor.handshake.advance();
  if (done && !*done) {
    const short events = visitor.handshake.wanted_events();
    // The poll and epoll names of these events have the same values.
    if (events != std::exchange(visitor.events, events))
      (void)epoll_set(epoll_.get(), EPOLL_CTL_MOD, visitor.fd.get(), static_cast<std::uint32_t>(events), id);
    return;
  }
  Status end;
  if (!done) {
    end = std::move(done.error());
  } else {
    (void)epoll_set(epoll_.get(), EPOLL_CTL_DEL, visitor.fd.get(), 0, id);
    end = welcome(visitor);
  }
  if (!end) {
    // Peers that ask whether we can be reached hang up without a word, and port scanners are no concern of the user.
    const LogLevel level = end.error().code() == Code::unauthenticated ? LogLevel::warn : LogLevel::debug;
    if (log_enabled(level)) log(level, "dropped an incoming connection: " + end.error().to_string());
  }
  dismiss(it);
}

// Puts an authenticated socket where its endpoint will look for it.
Status Acceptor::welcome(Visitor& visitor) {
  auto hello = decode_connector_hello(visitor.handshake.peer_hello());
  if (!hello) return std::move(hello.error());
  if (hello->instance != address_.instance)
    return Error(Code::protocol, fmt::format("rank {} wanted a process that listened here before", hello->connector));
  const Key key{hello->connector, hello->stream};
  Group& group = groups_[key];
  // A connection of another width is a new attempt, and the newest counts.
  if (group.sockets.size() != hello->sockets) {
    group.sockets.clear();
    group.sockets.resize(hello->sockets);
  }
  group.sockets[hello->socket] = std::move(visitor.fd);
  const auto watcher = watchers_.find(key);
  if (group.complete() && watcher != watchers_.end()) (void)eventfd_write(watcher->second, 1);
  return {};
}

void Acceptor::dismiss(std::map<std::uint64_t, Visitor>::iterator visitor) {
  // A forked child may hold the socket open, and epoll would go on reporting it.
  if (visitor->second.fd) (void)epoll_set(epoll_.get(), EPOLL_CTL_DEL, visitor->second.fd.get(), 0, visitor->first);
  visitors_.erase(visitor);
  (void)listen_for_more(true);
}

Status Acceptor::listen_for_more(bool more) {
  if (listens_ == more) return {};
  listens_ = more;
  return epoll_set(epoll_.get(), EPOLL_CTL_MOD, listener_.get(), more ? EPOLLIN : 0u, kListener);
}

void Acceptor::expire() {
  std::uint64_t ticks = 0;
  (void)!read(timer_.get(), &ticks, sizeof ticks);
  const TimePoint now = Clock::now();
  while (!visitors_.empty() && visitors_.begin()->second.deadline <= now) {
    log(LogLevel::info, "dropped an incoming connection that did not authenticate in time");
    dismiss(visitors_.begin());
  }
  set_timer();
}

// To the deadline of the oldest visitor.
void Acceptor::set_timer() {
  if (visitors_.empty()) return;
  using namespace std::chrono;
  const auto left = std::max<nanoseconds>(visitors_.begin()->second.deadline - Clock::now(), 1us);
  itimerspec when{};
  when.it_value.tv_sec = duration_cast<seconds>(left).count();
  when.it_value.tv_nsec = (left % 1s).count();
  (void)timerfd_settime(timer_.get(), 0, &when, nullptr);
}

std::vector<Fd> Acceptor::take(const Key& key) {
  const std::lock_guard lock(mutex_);
  const auto group = groups_.find(key);
  if (group == groups_.end() || !group->second.complete()) return {};
  std::vector<Fd> sockets = std::move(group->second.sockets);
  groups_.erase(group);
  return sockets;
}

void Acceptor::watch(const Key& key, int event) {
  const std::lock_guard lock(mutex_);
  watchers_[key] = event;
}

void Acceptor::unwatch(const Key& key) {
  const std::lock_guard lock(mutex_);
  watchers_.erase(key);
}

Result<Opening::Progress> Accepting::advance() {
  if (Status pumped = acceptor_->pump(); !pumped) return std::move(pumped.error());
  // Its events are named once and for all: the epoll instance follows the visitors.
  return Progress{acceptor_->take(key_), false};
}

void Accepting::begin_wait(WaitSet& set) {
  set.fds.push_back({acceptor_->wait_fd(), POLLIN, 0});
  if (event_) return;
  event_.reset(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  // Without a descriptor to spare, the other thread's news is seen at the waiter's next look.
  if (!event_) return;
  acceptor_->watch(key_, event_.get());
  set.fds.push_back({event_.get(), POLLIN, 0});
}

void Accepting::end_wait() {
  if (!event_) return;
  acceptor_->unwatch(key_);
  event_.reset();
}

}  // namespace tutti
