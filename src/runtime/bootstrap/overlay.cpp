#include "bootstrap/overlay.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "bootstrap/neighbours.h"
#include "bootstrap/wiring.h"
#include "core/printable.h"
#include "core/stop.h"

namespace tutti {
namespace {

// gather: sequence, step, number of blocks, blocks. abort: origin, culprit, code, text. left: ranks. note: to, from, text.
enum class Message : std::uint8_t { gather = 1, abort = 2, left = 3, note = 4 };

// How long a rank that leaves lets its last words be delivered.
constexpr Duration kFarewell = std::chrono::milliseconds(500);
constexpr Duration kLongestSleep = std::chrono::milliseconds(50);

Rank blocks_in_step(Rank size, int step) { return std::min<Rank>(Rank{1} << step, size - (Rank{1} << step)); }

std::vector<std::byte> abort_frame(Rank origin, const Error& error) {
  const std::string text = error.to_string();
  return Writer()
      .value(Message::abort)
      .value(origin)
      .value(error.peer())
      .value(error.code())
      .text(std::string_view(text).substr(0, Overlay::kMaxReason))
      .take();
}

std::vector<std::byte> left_frame(const std::vector<Rank>& ranks) {
  Writer out;
  out.value(Message::left).value(static_cast<std::uint32_t>(ranks.size()));
  for (const Rank rank : ranks) out.value(rank);
  return out.take();
}

Error malformed() { return {Code::protocol, "a control message does not parse"}; }

}  // namespace

Overlay::Overlay(const Setup& setup)
    : rank_(setup.rank),
      size_(setup.size),
      timeout_(setup.timeout),
      members_(static_cast<std::size_t>(setup.size)),
      left_(static_cast<std::size_t>(setup.size), false) {
  const auto links = static_cast<std::size_t>(link_count(size_));
  links_.resize(2 * links);
  for (std::size_t link = 0; link < links; ++link) {
    links_[link].peer = next_rank(rank_, size_, static_cast<int>(link));
    links_[links + link].peer = previous_rank(rank_, size_, static_cast<int>(link));
  }
}

Result<std::unique_ptr<Overlay>> Overlay::connect(Setup setup) {
  if (setup.size < 1 || setup.rank < 0 || setup.rank >= setup.size)
    return Error(Code::invalid_argument, fmt::format("there is no rank {} of {}", setup.rank, setup.size));
  if (setup.next.size() != static_cast<std::size_t>(link_count(setup.size)))
    return Error(Code::internal, fmt::format("{} neighbours given, {} needed", setup.next.size(), link_count(setup.size)));
  std::unique_ptr<Overlay> overlay(new Overlay(setup));
  overlay->members_[static_cast<std::size_t>(setup.rank)] = Member::of_this_process();
  if (setup.size == 1) return overlay;
  const std::stop_token stop = setup.stop;
  if (auto s = Wiring(*overlay, std::move(setup)).run(); !s) {
    overlay->abort(s.error());  // whoever is connected already learns why
    return std::move(s.error());
  }
  const Stopping stopping = overlay->aborted_by(stop);
  if (auto s = overlay->learn_members(); !s) {
    overlay->abort(s.error());
    return std::move(s.error());
  }
  return overlay;
}

Overlay::~Overlay() {
  const std::lock_guard lock(mutex_);
  if (!failure_ && !leaving_) return;
  // Unread data would turn the orderly end into a reset, and last words could be lost with it.
  flush_until(Clock::now() + kFarewell);
  for (Link& link : links_)
    if (link.channel) link.channel->finish_sending();
}

std::string Overlay::describe(Rank rank) const { return tutti::describe(rank, member(rank)); }

Status Overlay::learn_members() {
  Writer mine;
  members_[static_cast<std::size_t>(rank_)].encode(mine);
  auto all = all_gather(mine.take());
  if (!all) return all.because("learning who the other ranks are");
  const Lock lock(mutex_);
  for (std::size_t i = 0; i < all->size(); ++i) {
    Reader in((*all)[i]);
    members_[i] = Member::decode(in);
    if (!in.finished())
      return Error(Code::protocol, fmt::format("rank {}'s host and process do not parse", i), static_cast<Rank>(i));
  }
  return {};
}

Result<std::vector<std::vector<std::byte>>> Overlay::all_gather(ConstBytes mine, Duration timeout) {
  auto blocks = gather(mine, timeout);
  if (!blocks) abort(blocks.error());  // the others must not wait for a rank that no longer takes part
  return blocks;
}

// Step k: send the newest min(2^k, p - 2^k) of the blocks held (own rank's, the one's before, ...) 2^k ranks onwards, and take as
// many from 2^k ranks back. After the last step every rank holds all blocks, its own first and then downwards.
Result<Overlay::Blocks> Overlay::gather(ConstBytes mine, Duration timeout) {
  if (mine.size() > kMaxBlob)
    return Error(
        Code::invalid_argument,
        fmt::format("rank {} wants to exchange {} bytes over the control network, allowed are {}", rank_, mine.size(), kMaxBlob),
        rank_);
  Lock lock(mutex_);
  const TimePoint start = Clock::now();
  const std::uint32_t sequence = ++sequence_;
  const int steps = link_count(size_);
  Blocks held;
  held.reserve(static_cast<std::size_t>(size_));
  held.emplace_back(mine.begin(), mine.end());
  for (int step = 0; step < steps; ++step) {
    const auto count = static_cast<std::uint32_t>(blocks_in_step(size_, step));
    Writer out;
    out.value(Message::gather).value(sequence).value(static_cast<std::uint8_t>(step)).value(count);
    for (std::uint32_t i = 0; i < count; ++i) out.bytes(held[i]);
    const auto frame = out.take();
    if (frame.size() > kMaxFrame)
      return Error(Code::invalid_argument,
                   fmt::format("an exchange over the control network needs messages of {} bytes, allowed are {}", frame.size(),
                               kMaxFrame));
    links_[static_cast<std::size_t>(step)].channel->send(frame);
    links_[static_cast<std::size_t>(step)].channel->flush();
    auto arrived = await_block(links_[static_cast<std::size_t>(steps) + static_cast<std::size_t>(step)], sequence, step, start,
                               timeout, lock);
    if (!arrived) return std::move(arrived.error());
    Reader in(*arrived);
    for (std::uint32_t i = 0; i < count; ++i) {
      const ConstBytes block = in.bytes();
      held.emplace_back(block.begin(), block.end());
    }
    if (!in.finished()) return malformed();
  }
  if (auto s = await_flushed(start + timeout, lock); !s) return std::move(s.error());
  Blocks by_rank(held.size());
  for (std::size_t i = 0; i < held.size(); ++i)
    by_rank[(static_cast<std::size_t>(rank_) + held.size() - i) % held.size()] = std::move(held[i]);
  return by_rank;
}

Result<std::vector<std::byte>> Overlay::await_block(Link& link, std::uint32_t sequence, int step, TimePoint start,
                                                    Duration timeout, Lock& lock) {
  const TimePoint deadline = start + timeout;
  for (;;) {
    progress();
    if (!link.gathers.empty()) break;
    if (failure_) return failure_->clone();
    if (link.over) return Error(Code::peer_lost, fmt::format("{} has finished and left", describe(link.peer)), link.peer);
    if (Clock::now() >= deadline)
      return Error(
          Code::timeout,
          fmt::format("rank {}: an exchange over the control network got nothing from {} for {:.3g} s: it, or a rank before "
                      "it, did not take part",
                      rank_, describe(link.peer), std::chrono::duration<double>(timeout).count()),
          link.peer);
    sleep(deadline, lock);
  }
  const std::vector<std::byte> frame = std::move(link.gathers.front());
  link.gathers.pop_front();
  Reader in(frame);
  const auto their_sequence = in.value<std::uint32_t>();
  const auto their_step = in.value<std::uint8_t>();
  const auto count = in.value<std::uint32_t>();
  if (!in.ok() || their_sequence != sequence || their_step != step ||
      count != static_cast<std::uint32_t>(blocks_in_step(size_, step)))
    return Error(Code::mismatch,
                 fmt::format("exchange {} step {} here, but {} is at exchange {} step {}: ranks disagree about the order "
                             "of their calls",
                             sequence, step, describe(link.peer), their_sequence, their_step),
                 link.peer);
  return std::vector<std::byte>(frame.begin() + 9, frame.end());
}

// What is left to send would wait for ever if this rank went off to compute.
Status Overlay::await_flushed(TimePoint deadline, Lock& lock) {
  while (!all_flushed()) {
    progress();
    if (failure_) return failure_->clone();
    if (Clock::now() >= deadline) return Error(Code::timeout, "an exchange over the control network could not be sent in time");
    if (!all_flushed()) sleep(deadline, lock);
  }
  return {};
}

void Overlay::sleep(TimePoint deadline, Lock& lock) {
  std::vector<pollfd> fds;
  for (const Link& link : links_)
    if (is_up(link)) fds.push_back(link.channel->wanted());
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(std::min(deadline - Clock::now(), kLongestSleep)).count();
  lock.unlock();
  (void)::poll(fds.data(), fds.size(), static_cast<int>(std::max<long long>(left, 0)));
  lock.lock();
}

Status Overlay::poll_failures() {
  const std::lock_guard lock(mutex_);
  progress();
  return status();
}

Status Overlay::still_here(Rank peer) {
  const std::lock_guard lock(mutex_);
  if (peer < 0 || peer >= size_) return Error(Code::invalid_argument, fmt::format("there is no rank {} of {}", peer, size_));
  if (failure_) return status();
  if (left_[static_cast<std::size_t>(peer)])
    return Error(Code::peer_lost, fmt::format("{} has finished and left", describe(peer)), peer);
  return {};
}

void Overlay::abort(const Error& error) {
  const std::lock_guard lock(mutex_);
  progress();
  fail(error.clone(), rank_);
  progress();
}

Overlay::Stopping Overlay::aborted_by(std::stop_token stop) {
  return Stopping(std::move(stop), [this] { abort(stopped()); });
}

void Overlay::send_note(Rank to, ConstBytes text) {
  const std::lock_guard lock(mutex_);
  if (to == rank_ || to < 0 || to >= size_ || text.size() > kMaxNote) return;
  pass_on(to, Writer().value(Message::note).value(to).value(rank_).bytes(text).take());
}

std::map<Rank, std::vector<std::byte>> Overlay::notes() {
  const std::lock_guard lock(mutex_);
  return notes_;
}

void Overlay::goodbye() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(leaving_, true)) return;
  progress();
  newly_left_.push_back(rank_);
  broadcast(left_frame(std::exchange(newly_left_, {})));
  flush_until(Clock::now() + kFarewell);
}

void Overlay::append_fds(std::vector<pollfd>& fds) {
  const std::lock_guard lock(mutex_);
  for (const Link& link : links_)
    if (is_up(link)) fds.push_back(link.channel->wanted());
}

// Reads everything that is there before it judges: the reason of a death may lie in another connection than its first sign.
void Overlay::progress() {
  fds_.clear();
  for (const Link& link : links_) fds_.push_back(is_up(link) ? link.channel->wanted() : pollfd{-1, 0, 0});
  (void)::poll(fds_.data(), fds_.size(), 0);
  std::vector<Rank> lost;
  for (std::size_t i = 0; i < links_.size(); ++i)
    if (is_up(links_[i]) && (fds_[i].revents != 0 || links_[i].channel->has_news())) read_link(links_[i], lost);
  if (!failure_ && !lost.empty())
    fail(Error(Code::peer_lost, fmt::format("{} died or closed its connection", describe(lost.front())), lost.front()), rank_);
  if (!newly_left_.empty() && !leaving_) broadcast(left_frame(std::exchange(newly_left_, {})));
}

void Overlay::read_link(Link& link, std::vector<Rank>& lost) {
  Status moved = link.channel->progress();
  while (auto frame = link.channel->receive())
    if (moved) moved = handle(link, std::move(*frame));
  if (!moved) {
    link.over = true;
    fail(Error(Code::protocol,
               fmt::format("{} sent a malformed control message: {}", describe(link.peer), moved.error().message()), link.peer),
         rank_);
    return;
  }
  if (!link.channel->ended()) return;
  link.over = true;
  if (!left_[static_cast<std::size_t>(link.peer)]) lost.push_back(link.peer);
}

Status Overlay::handle(Link& link, std::vector<std::byte> frame) {
  if (frame.empty()) return malformed();
  const ConstBytes body = ConstBytes(frame).subspan(1);
  switch (static_cast<Message>(frame[0])) {
    case Message::gather:
      link.gathers.emplace_back(body.begin(), body.end());
      return {};
    case Message::abort:
      return handle_abort(body);
    case Message::left:
      return handle_left(body);
    case Message::note:
      return handle_note(frame);
  }
  return malformed();
}

Status Overlay::handle_abort(ConstBytes body) {
  Reader in(body);
  const Rank origin = in.value<Rank>();
  const Rank culprit = in.value<Rank>();
  const auto code = in.value<Code>();
  std::string text = in.text();
  if (!in.finished() || origin < 0 || origin >= size_ || culprit < kNoRank || culprit >= size_ || code > Code::internal ||
      text.size() > kMaxReason)
    return malformed();
  if (failure_) return {};
  std::ranges::replace_if(
      text, [](char c) { return !is_printable(c) && c != '\n'; }, '?');
  fail(Error(code, std::move(text), culprit), origin);
  return {};
}

Status Overlay::handle_left(ConstBytes body) {
  Reader in(body);
  const auto count = in.value<std::uint32_t>();
  if (count > static_cast<std::uint32_t>(size_)) return malformed();
  for (std::uint32_t i = 0; i < count; ++i) {
    const Rank rank = in.value<Rank>();
    if (!in.ok() || rank < 0 || rank >= size_) return malformed();
    if (left_[static_cast<std::size_t>(rank)]) continue;
    left_[static_cast<std::size_t>(rank)] = true;
    newly_left_.push_back(rank);
  }
  return in.finished() ? Status{} : malformed();
}

Status Overlay::handle_note(ConstBytes frame) {
  Reader in(frame.subspan(1));
  const Rank to = in.value<Rank>();
  const Rank from = in.value<Rank>();
  const ConstBytes text = in.bytes();
  if (!in.finished() || to < 0 || to >= size_ || from < 0 || from >= size_ || text.size() > kMaxNote) return malformed();
  if (to == rank_)
    notes_[from].assign(text.begin(), text.end());
  else
    pass_on(to, frame);
  return {};
}

// Over the longest link that does not lead past the goal: the rest of the way gets shorter with every step.
void Overlay::pass_on(Rank to, ConstBytes frame) {
  const Rank distance = (to - rank_ + size_) % size_;
  const Link& link = links_[static_cast<std::size_t>(std::bit_width(static_cast<std::uint32_t>(distance)) - 1)];
  if (!is_up(link)) return;
  link.channel->send(frame);
  link.channel->flush();
}

// The first failure is the one everybody hears of.
void Overlay::fail(Error error, Rank origin) {
  if (failure_) return;
  broadcast(abort_frame(origin, error));
  failure_ = origin == rank_ ? std::move(error) : std::move(error).because(fmt::format("told by {}", describe(origin)));
}

void Overlay::broadcast(ConstBytes frame) {
  for (Link& link : links_) {
    if (!is_up(link)) continue;
    link.channel->send(frame);
    link.channel->flush();
  }
}

void Overlay::flush_until(TimePoint deadline) {
  for (;;) {
    progress();
    if (all_flushed() || Clock::now() >= deadline) return;
    std::vector<pollfd> fds;
    for (const Link& link : links_)
      if (is_up(link)) fds.push_back(link.channel->wanted());
    (void)::poll(fds.data(), fds.size(), 10);
  }
}

bool Overlay::all_flushed() const {
  return std::ranges::all_of(links_, [](const Link& link) { return !is_up(link) || link.channel->flushed(); });
}

Status Overlay::status() const { return failure_ ? Status(failure_->clone()) : Status{}; }

}  // namespace tutti
