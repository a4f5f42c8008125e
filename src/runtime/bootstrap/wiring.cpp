#include "bootstrap/wiring.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "bootstrap/neighbours.h"
#include "core/log.h"

namespace tutti {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(2);
constexpr Duration kLongestPause = std::chrono::milliseconds(500);

std::vector<Fd> only(Fd fd) {
  std::vector<Fd> list;
  list.push_back(std::move(fd));
  return list;
}

}  // namespace

Overlay::Wiring::Wiring(Overlay& overlay, Setup setup)
    : overlay_(overlay),
      setup_(std::move(setup)),
      stop_(setup_.stop),
      links_(link_count(setup_.size)),
      reception_(only(std::move(setup_.listener)), setup_.secret, hello(std::numeric_limits<std::uint8_t>::max()), kMaxFrame),
      deadline_(Clock::now() + setup_.timeout) {
  for (const SocketAddress& address : setup_.next) attempts_.push_back({address, Clock::now(), kFirstPause});
}

Status Overlay::Wiring::run() {
  while (!finished()) {
    for (int link = 0; link < links_; ++link)
      if (auto s = advance_outgoing(link); !s) return s;
    if (auto s = accept_incoming(); !s) return s;
    overlay_.progress();
    if (overlay_.failure_) return overlay_.failure_->clone();
    if (finished()) break;
    if (stop_.requested()) return stopped();
    if (Clock::now() >= deadline_) return late();
    sleep();
  }
  return {};
}

bool Overlay::Wiring::finished() const {
  return std::ranges::all_of(overlay_.links_, [](const Link& link) { return link.channel && link.channel->is_open(); });
}

std::vector<std::byte> Overlay::Wiring::hello(int link) const {
  Hello hello;
  hello.purpose = Purpose::overlay;
  hello.job = setup_.job;
  hello.rank = setup_.rank;
  hello.size = setup_.size;
  hello.link = static_cast<std::uint8_t>(link);
  hello.member = Member::of_this_process();
  return hello.encode();
}

Status Overlay::Wiring::advance_outgoing(int link) {
  Link& mine = outgoing(link);
  Attempt& attempt = attempts_[static_cast<std::size_t>(link)];
  if (mine.channel && mine.channel->is_open()) return {};
  if (!mine.channel) {
    if (Clock::now() < attempt.next_try) return {};
    auto fd = start_connect(attempt.address);
    if (!fd) return retry(link, fd.error());
    mine.channel = std::make_unique<Channel>(std::move(*fd), Handshake::Role::connects, setup_.secret, hello(link), kMaxFrame);
  }
  if (auto moved = mine.channel->progress(); !moved) {
    if (moved.error().code() != Code::peer_lost)
      return moved.because(fmt::format("connecting to rank {} at {}", mine.peer, attempt.address.to_string()));
    return retry(link, moved.error());
  }
  return mine.channel->is_open() ? check_peer(link) : Status{};
}

Status Overlay::Wiring::retry(int link, const Error& error) {
  Attempt& attempt = attempts_[static_cast<std::size_t>(link)];
  outgoing(link).channel.reset();
  attempt.last_error = error.to_string();
  attempt.next_try = Clock::now() + attempt.pause;
  attempt.pause = std::min(attempt.pause * 2, kLongestPause);
  return {};
}

Status Overlay::Wiring::check_peer(int link) {
  Link& mine = outgoing(link);
  auto hello = Hello::decode(mine.channel->peer_hello(), Purpose::overlay);
  if (!hello) return hello.because(fmt::format("greeting rank {}", mine.peer));
  if (hello->job != setup_.job || hello->size != setup_.size || hello->rank != mine.peer)
    return Error(Code::protocol,
                 fmt::format("at {} rank {} of {} was expected, but rank {} of {} answered (job {})",
                             attempts_[static_cast<std::size_t>(link)].address.to_string(), mine.peer, setup_.size, hello->rank,
                             hello->size, hello->job == setup_.job ? "the same" : "another"));
  overlay_.members_[static_cast<std::size_t>(mine.peer)] = hello->member;
  return {};
}

Status Overlay::Wiring::accept_incoming() {
  auto admitted = reception_.admit();
  if (!admitted) return std::move(admitted.error());
  for (auto& channel : *admitted) place(std::move(channel));
  return {};
}

void Overlay::Wiring::place(std::unique_ptr<Channel> channel) {
  const auto hello = Hello::decode(channel->peer_hello(), Purpose::overlay);
  const bool expected = hello && hello->job == setup_.job && hello->size == setup_.size && hello->link < links_ &&
                        hello->rank == previous_rank(setup_.rank, setup_.size, hello->link);
  if (!expected) {
    log(LogLevel::warn, fmt::format("dropped a control connection: {}",
                                    hello ? fmt::format("rank {} of {} has no business here", hello->rank, hello->size)
                                          : hello.error().to_string()));
    return;
  }
  Link& mine = incoming(hello->link);
  if (mine.channel) {
    log(LogLevel::warn, fmt::format("dropped a second control connection of {}", tutti::describe(hello->rank, hello->member)));
    return;
  }
  mine.channel = std::move(channel);
  overlay_.members_[static_cast<std::size_t>(mine.peer)] = hello->member;
}

Error Overlay::Wiring::late() const {
  const double seconds = std::chrono::duration<double>(setup_.timeout).count();
  for (int link = 0; link < links_; ++link) {
    const Attempt& attempt = attempts_[static_cast<std::size_t>(link)];
    if (outgoing(link).channel && outgoing(link).channel->is_open()) continue;
    return {Code::timeout,
            fmt::format(
                "rank {} could not connect to rank {} at {} within {:.3g} s: {}; is it running, and is this the network that all "
                "hosts share? (TUTTI_INTERFACE)",
                setup_.rank, outgoing(link).peer, attempt.address.to_string(), seconds, attempt.last_error),
            outgoing(link).peer};
  }
  const auto missing = std::ranges::find_if(overlay_.links_, [](const Link& link) { return !link.channel; });
  const std::string hint =
      reception_.refused() == 0 ? "" : fmt::format("; {} connection(s) did not know the secret", reception_.refused());
  return {Code::timeout,
          fmt::format("rank {} did not connect to rank {} within {:.3g} s{}; is it running, and can it reach this host?",
                      missing->peer, setup_.rank, seconds, hint),
          missing->peer};
}

void Overlay::Wiring::sleep() {
  std::vector<pollfd> fds{stop_.wanted()};
  reception_.append_fds(fds);
  auto until = std::min(deadline_, Clock::now() + kLongestPause);
  for (int link = 0; link < links_; ++link)
    if (!outgoing(link).channel) until = std::min(until, attempts_[static_cast<std::size_t>(link)].next_try);
  for (const Link& link : overlay_.links_)
    if (link.channel) fds.push_back(link.channel->wanted());
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  (void)::poll(fds.data(), fds.size(), static_cast<int>(std::max<long long>(left, 0)));
}

}  // namespace tutti
