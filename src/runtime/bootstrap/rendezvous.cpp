#include "bootstrap/rendezvous.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "bootstrap/member.h"
#include "bootstrap/neighbours.h"
#include "core/log.h"
#include "core/stop.h"
#include "core/thread.h"

namespace tutti {
namespace {

constexpr std::size_t kMaxAnswer = 64u << 10;
constexpr std::size_t kMaxReason = 1024;
constexpr Duration kAnswerTime = std::chrono::seconds(10);
constexpr Duration kGrace = std::chrono::seconds(2);

std::uint32_t milliseconds(Duration time) {
  const auto count = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  return static_cast<std::uint32_t>(std::clamp<long long>(count, 0, UINT32_MAX));
}

std::vector<std::byte> refusal(const Error& error) {
  return Writer()
      .value(std::uint8_t{0})
      .value(error.code())
      .value(error.peer())
      .text(std::string_view(error.message()).substr(0, kMaxReason))
      .take();
}

Result<std::vector<SocketAddress>> parse_answer(ConstBytes frame, Rank size, std::uint32_t scope) {
  Reader in(frame);
  const Error malformed(Code::protocol, "the rendezvous sent an answer that does not parse");
  if (in.value<std::uint8_t>() == 0) {
    const auto code = in.value<Code>();
    const Rank peer = in.value<Rank>();
    const std::string reason = in.text();
    if (!in.finished() || code > Code::internal) return malformed.clone();
    return Error(code, reason, peer);
  }
  std::vector<SocketAddress> addresses;
  for (int link = 0; link < link_count(size); ++link) {
    auto address = decode_address(in, scope);
    if (!address) return std::move(address.error());
    addresses.push_back(*address);
  }
  if (!in.finished()) return malformed.clone();
  return addresses;
}

}  // namespace

class Rendezvous::Server {
 public:
  Server(Reception reception, std::uint64_t job, Limits limits, int stop)
      : reception_(std::move(reception)), job_(job), limits_(limits), stop_(stop), deadline_(Clock::now() + limits.lifetime) {}

  // Until all ranks have registered and been answered, or why that could not be.
  std::optional<Error> serve() {
    while (!complete() && Clock::now() < deadline_) {
      if (wait()) return std::nullopt;
      auto admitted = reception_.admit();
      if (!admitted) {  // nobody else can be told
        log(LogLevel::warn, "the rendezvous is closed: " + admitted.error().to_string());
        fail(std::move(admitted.error()));
        break;
      }
      for (auto& channel : *admitted) take(std::move(channel));
      watch_waiting();
    }
    if (complete()) {
      answer_all();
    } else if (size_ > 0 && !failure_) {
      fail(late());
    }
    deliver();
    return std::move(failure_);
  }

 private:
  struct Guest {
    std::unique_ptr<Channel> channel;
    Member member;
    std::vector<std::byte> address;
  };

  bool complete() const { return size_ > 0 && !failure_ && registered_ == static_cast<std::size_t>(size_); }

  // true: told to stop.
  bool wait() {
    std::vector<pollfd> fds{{stop_, POLLIN, 0}};
    reception_.append_fds(fds);
    for (const Guest& guest : guests_)
      if (guest.channel) fds.push_back(guest.channel->wanted());
    for (const auto& channel : refused_) fds.push_back(channel->wanted());
    (void)::poll(fds.data(), fds.size(), milliseconds_until(deadline_));
    return (fds[0].revents & POLLIN) != 0;
  }

  void take(std::unique_ptr<Channel> channel) {
    auto hello = Hello::decode(channel->peer_hello(), Purpose::registration);
    if (!hello || hello->job != job_ || hello->address.size() != kEncodedAddressSize) {
      const Error error(Code::protocol, hello ? "this rendezvous belongs to another job" : hello.error().message());
      log(LogLevel::warn, "refused a registration: " + error.message());
      refuse(std::move(channel), error);
      return;
    }
    if (size_ == 0) {
      size_ = hello->size;
      guests_.resize(static_cast<std::size_t>(size_));
      first_came_ = Clock::now();
      deadline_ = first_came_ + limits_.timeout;
    }
    // A rank that gave up by itself could not say who is missing, and would look as if it had died.
    deadline_ = std::min<TimePoint>(deadline_, Clock::now() + std::chrono::milliseconds(hello->timeout_ms));
    if (!failure_ && hello->size != size_)
      fail(Error(Code::mismatch,
                 fmt::format("{} says that there are {} ranks, the first to register said {}: start all ranks with the same size",
                             describe(hello->rank, hello->member), hello->size, size_),
                 hello->rank));
    if (!failure_ && guests_[static_cast<std::size_t>(hello->rank)].channel)
      fail(Error(Code::mismatch,
                 fmt::format("two processes say that they are rank {}: {} and {}", hello->rank,
                             describe(hello->rank, guests_[static_cast<std::size_t>(hello->rank)].member),
                             describe(hello->rank, hello->member)),
                 hello->rank));
    if (failure_) {
      refuse(std::move(channel), *failure_);
      return;
    }
    guests_[static_cast<std::size_t>(hello->rank)] = {std::move(channel), hello->member, std::move(hello->address)};
    ++registered_;
  }

  // Nobody who waits says anything; whoever hangs up has died, or waited until its time was over.
  void watch_waiting() {
    for (auto& channel : refused_) (void)channel->progress();
    std::erase_if(refused_, [](const auto& channel) { return channel->ended(); });
    for (std::size_t i = 0; i < guests_.size(); ++i) {
      if (!guests_[i].channel) continue;
      const auto moved = guests_[i].channel->progress();
      if ((moved && !guests_[i].channel->ended()) || failure_) continue;
      if (Clock::now() >= deadline_) return fail(late());
      const Rank rank = static_cast<Rank>(i);
      fail(Error(Code::peer_lost, fmt::format("{} died while ranks were still registering", describe(rank, guests_[i].member)),
                 rank));
    }
  }

  Error late() const {
    std::string missing;
    int named = 0;
    Rank first = kNoRank;
    for (std::size_t i = 0; i < guests_.size(); ++i) {
      if (guests_[i].channel) continue;
      if (first == kNoRank) first = static_cast<Rank>(i);
      if (++named <= 8) missing += fmt::format("{}{}", named == 1 ? "" : ", ", i);
    }
    if (named > 8) missing += ", ...";
    const std::string hint =
        reception_.refused() == 0
            ? ""
            : fmt::format("; {} connection(s) were dropped because they did not know the secret", reception_.refused());
    return {Code::timeout,
            fmt::format(
                "{} of {} ranks did not register within {:.3g} s (rank {}){}: are they running, and started with the same size?",
                named, size_, std::chrono::duration<double>(deadline_ - first_came_).count(), missing, hint),
            first};
  }

  void refuse(std::unique_ptr<Channel> channel, const Error& error) {
    channel->send(refusal(error));
    (void)channel->progress();
    refused_.push_back(std::move(channel));
  }

  void fail(Error error) {
    failure_ = std::move(error);
    for (Guest& guest : guests_)
      if (guest.channel) refuse(std::move(guest.channel), *failure_);
    for (Guest& guest : guests_) guest.channel.reset();
  }

  void answer_all() {
    for (Rank rank = 0; rank < size_; ++rank) {
      Writer answer;
      answer.value(std::uint8_t{1});
      for (int link = 0; link < link_count(size_); ++link)
        answer.raw(guests_[static_cast<std::size_t>(next_rank(rank, size_, link))].address);
      guests_[static_cast<std::size_t>(rank)].channel->send(answer.take());
    }
  }

  // Until every answer has left, or its reader is gone.
  void deliver() {
    deadline_ = Clock::now() + kAnswerTime;
    for (Guest& guest : guests_)
      if (guest.channel) refused_.push_back(std::move(guest.channel));
    guests_.clear();
    do {
      std::erase_if(refused_, [](const auto& channel) { return !channel->progress() || channel->ended() || channel->flushed(); });
    } while (!refused_.empty() && Clock::now() < deadline_ && !wait());
  }

  Reception reception_;
  std::uint64_t job_;
  Limits limits_;
  int stop_;
  TimePoint deadline_, first_came_{};
  Rank size_ = 0;
  std::size_t registered_ = 0;
  std::vector<Guest> guests_;
  std::vector<std::unique_ptr<Channel>> refused_;
  std::optional<Error> failure_;
};

Result<std::unique_ptr<Rendezvous>> Rendezvous::start(std::vector<Fd> listeners, const Secret& secret, std::uint64_t job,
                                                      Limits limits) {
  std::unique_ptr<Rendezvous> rendezvous(new Rendezvous());
  rendezvous->stop_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!rendezvous->stop_) return system_error(errno, "eventfd()");
  Hello hello;
  hello.purpose = Purpose::rendezvous;
  hello.job = job;
  Reception reception(std::move(listeners), secret, hello.encode(), kMaxAnswer);
  auto server = std::make_unique<Server>(std::move(reception), job, limits, rendezvous->stop_.get());
  auto thread = start_thread([serving = std::move(server), &r = *rendezvous]() mutable {
    r.failure_ = serving->serve();
    serving.reset();
    r.finished_.store(true, std::memory_order_release);
  });
  if (!thread) return std::move(thread.error());
  rendezvous->thread_ = std::move(*thread);
  return rendezvous;
}

Rendezvous::~Rendezvous() {
  (void)eventfd_write(stop_.get(), 1);
  if (thread_.joinable()) thread_.join();
}

namespace {

// One rank's way to its answer.
class Registrant {
 public:
  explicit Registrant(const Registration& registration)
      : registration_(registration), stop_(registration.stop), start_(Clock::now()), deadline_(start_ + registration.timeout) {}

  Result<std::vector<SocketAddress>> run() {
    constexpr Duration kFirstPause = std::chrono::milliseconds(2);
    constexpr Duration kLongestPause = std::chrono::milliseconds(500);
    Error last(Code::timeout, "no attempt was made");
    for (Duration pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
      if (stop_.requested()) return stopped();
      auto addresses = attempt();
      if (addresses || final_) return addresses;
      last = std::move(addresses.error());
      if (registration_.own != nullptr)
        if (auto s = registration_.own->status(); !s) return s.because(where());
      if (Clock::now() + pause >= deadline_) return unreachable(last);
      wait({-1, 0, 0}, Clock::now() + pause);
    }
  }

 private:
  Result<std::vector<SocketAddress>> attempt() {
    auto candidates = resolve(registration_.at);
    if (!candidates) return std::move(candidates.error());
    Error last(Code::timeout, "no address");
    for (const SocketAddress& address : *candidates) {
      auto answer = register_at(address);
      if (answer || final_) return answer;
      last = std::move(answer.error());
    }
    return last;
  }

  Result<std::vector<SocketAddress>> register_at(const SocketAddress& address) {
    auto fd = connected(address);
    if (!fd) return std::move(fd.error());
    auto local = SocketAddress::of_socket(fd->get());
    if (!local) return std::move(local.error());
    auto mine = registration_.listen(*local);
    if (!mine) return give_up(std::move(mine.error()));
    Writer encoded;
    encode(*mine, encoded);
    Hello hello;
    hello.purpose = Purpose::registration;
    hello.job = registration_.job;
    hello.rank = registration_.rank;
    hello.size = registration_.size;
    hello.member = Member::of_this_process();
    hello.timeout_ms = milliseconds(registration_.timeout);
    hello.address = encoded.take();
    Channel channel(std::move(*fd), Handshake::Role::connects, registration_.secret, hello.encode(), kMaxAnswer);
    return answer(channel, local->scope());
  }

  Result<Fd> connected(const SocketAddress& address) {
    constexpr Duration kAttempt = std::chrono::seconds(5);
    auto fd = start_connect(address);
    if (!fd) return failed_to_connect(std::move(fd.error()));
    const TimePoint until = std::min(deadline_, Clock::now() + kAttempt);
    while (!wait({fd->get(), POLLOUT, 0}, until)) {
      if (stop_.requested()) return give_up(stopped());
      if (Clock::now() >= until) return Error(Code::timeout, fmt::format("{} does not answer", address.to_string()));
    }
    if (const int error = connect_error(fd->get()); error != 0) return failed_to_connect(connect_failure(error, address));
    return fd;
  }

  Error failed_to_connect(Error error) {
    if (!registration_.of_an_id || error.code() != Code::peer_lost) return error;
    return give_up(std::move(error).because(
        where() + ": nobody serves this unique id: it was used before (it serves one communicator), or its maker has ended"));
  }

  Result<std::vector<SocketAddress>> answer(Channel& channel, std::uint32_t scope) {
    for (;;) {
      const bool was_open = channel.is_open();
      if (auto moved = channel.progress(); !moved) {
        // Hanging up early may mean that rank 0 is just closing an older rendezvous; anything else will not get better.
        if (moved.error().code() == Code::peer_lost && !was_open) return std::move(moved.error());
        return give_up(std::move(moved.error()).because(where()));
      }
      if (!was_open && channel.is_open()) {
        // The server names who is missing when its own time is over, which began with the first rank to register.
        deadline_ = Clock::now() + registration_.timeout + kGrace;
        const auto hello = Hello::decode(channel.peer_hello(), Purpose::rendezvous);
        if (!hello || hello->job != registration_.job)
          return give_up(Error(Code::protocol, where() + ": this is no rendezvous of this job"));
      }
      if (auto frame = channel.receive()) {
        final_ = true;
        auto addresses = parse_answer(*frame, registration_.size, scope);
        if (!addresses) return addresses.because(where());
        return addresses;
      }
      if (channel.ended()) return give_up(Error(Code::peer_lost, where() + ": it was closed before all ranks had registered", 0));
      if (Clock::now() >= deadline_) return give_up(channel.is_open() ? no_answer() : stranger());
      if (stop_.requested()) return give_up(stopped());
      wait(channel.wanted(), deadline_);
    }
  }

  // Whether it is ready; until then, a request to stop, or for a second.
  bool wait(pollfd awaited, TimePoint until) {
    std::array fds{awaited, stop_.wanted()};
    (void)::poll(fds.data(), fds.size(), milliseconds_until(until));
    return fds[0].revents != 0;
  }

  Error give_up(Error error) {
    final_ = true;
    return error;
  }
  std::string where() const {
    return fmt::format("rank {} at the rendezvous {}", registration_.rank, to_string(registration_.at));
  }
  Error no_answer() const {
    return {Code::timeout, fmt::format("{}: registered, but no answer within {:.3g} s: did all {} ranks start?", where(),
                                       seconds_since(start_), registration_.size)};
  }
  Error stranger() const {
    return {
        Code::timeout,
        fmt::format("{}: something accepts connections there, but did not answer tutti's handshake within {:.3g} s: is the port "
                    "used by another program? ({})",
                    where(), seconds_since(start_), registration_.at_text)};
  }
  Error unreachable(const Error& last) const {
    return {Code::timeout,
            fmt::format("rank {} could not reach the rendezvous at {} within {:.3g} s: last error: {}; is rank 0 running? ({})",
                        registration_.rank, to_string(registration_.at), seconds_since(start_), last.to_string(),
                        registration_.at_text),
            0};
  }

  const Registration& registration_;
  StopSignal stop_;
  TimePoint start_;
  TimePoint deadline_;
  bool final_ = false;
};

}  // namespace

Result<std::vector<SocketAddress>> register_rank(const Registration& registration) { return Registrant(registration).run(); }

}  // namespace tutti
