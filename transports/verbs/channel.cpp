#include "transports/verbs/channel.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace tutti::verbs {
namespace {

constexpr std::size_t kPage = 4096;
std::size_t round_up(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }
std::size_t fitting_ring(std::size_t bytes) { return std::clamp(round_up(bytes, kGranule), kLeastRing, kMostRing); }
std::size_t record_bytes(std::size_t payload) { return round_up(sizeof(Record) + payload, kGranule); }

// A word that the peer's device may be writing to.
std::uint64_t read_word(const std::byte* at) {
  std::uint64_t value = 0;
  __atomic_load(reinterpret_cast<const std::uint64_t*>(at), &value, __ATOMIC_ACQUIRE);
  return value;
}

}  // namespace

void Channel::Unmap::operator()(std::byte* memory) const noexcept { std::free(memory); }

std::size_t Channel::memory_of(std::size_t ring_bytes) { return round_up(2 * (kRingOffset + fitting_ring(ring_bytes)), kPage); }

Status Channel::open(std::vector<std::unique_ptr<QueuePair>> rails, const Tuning& tuning) {
  rails_ = std::move(rails);
  ring_bytes_ = fitting_ring(tuning.ring_bytes);
  signals_ = static_cast<std::uint32_t>(tuning.queue.receives);
  ask_from_ = tuning.ask_from;
  const std::size_t mailbox_bytes = kRingOffset + ring_bytes_;
  memory_size_ = memory_of(tuning.ring_bytes);
  memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kPage, memory_size_)));
  if (!memory_) return Error(Code::resource, fmt::format("there is no memory of {} bytes for a ring", memory_size_), peer_);
  std::memset(memory_.get(), 0, memory_size_);
  const Device& device = rail(0).device();
  const auto add = [&](std::byte* memory, int access) {
    return device.library().register_memory(device.domain(), memory, mailbox_bytes, access);
  };
  mailbox_key_ = add(mailbox(), IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
  if (mailbox_key_ != nullptr) image_key_ = add(image(), IBV_ACCESS_LOCAL_WRITE);
  if (image_key_ == nullptr)
    return system_error(errno, fmt::format("registering {} bytes for a ring (TUTTI_IB_RING, ulimit -l)", memory_size_), peer_);
  return {};
}

Introduction Channel::introduction() const {
  Introduction mine{.rails = static_cast<std::uint32_t>(rails_.size()),
                    .mailbox = reinterpret_cast<std::uint64_t>(mailbox()),
                    .mailbox_key = mailbox_key_->rkey,
                    .ring_bytes = static_cast<std::uint32_t>(ring_bytes_),
                    .signals = signals_,
                    .ask_from = static_cast<std::uint32_t>(ask_from_),
                    .rail = {}};
  for (std::size_t r = 0; r < rails_.size(); ++r) mine.rail[r] = rails_[r]->end();
  return mine;
}

Status Channel::connect(const Introduction& theirs, const PathOptions& options) {
  if (Status sound = check(theirs, rails_.size(), peer_); !sound) return sound;
  theirs_ = theirs;
  // The smaller of both decides, so that either end knows what the other does. The image is as large as this end's own ring.
  const std::size_t ring = std::min<std::size_t>(ring_bytes_, theirs.ring_bytes);
  theirs_.ring_bytes = static_cast<std::uint32_t>(ring);
  most_in_record_ = ring / 8 / kGranule * kGranule - sizeof(Record);
  ask_from_ = std::min<std::size_t>(ask_from_, theirs.ask_from);
  for (std::size_t r = 0; r < rails_.size(); ++r)
    if (Status connected = rails_[r]->connect(theirs.rail[r], options); !connected) return connected;
  ring_in_use_ = ring;
  return {};
}

void Channel::close() {
  rails_.resize(std::min<std::size_t>(rails_.size(), 1));  // the others; the first one's device still has the mailbox's keys
  if (rails_.empty()) return;
  const std::unique_ptr<QueuePair> first = std::move(rails_.front());
  rails_.clear();
  release_mailbox(first->device());
}

// The peer's writes must not find memory that is used for something else: the queue pair goes first.
void Channel::release_mailbox(Device& device) {
  for (ibv_mr** key : {&mailbox_key_, &image_key_})
    if (ibv_mr* registered = std::exchange(*key, nullptr); registered != nullptr)
      (void)device.library().deregister_memory(registered);
  memory_.reset();
  memory_size_ = 0;
}

// ---- What has arrived

Result<bool> Channel::poll() {
  Result<bool> any = false;
  const auto fail = [&](Error error) {
    if (any) any = std::move(error);
  };
  for (std::size_t r = 0; r < rails_.size(); ++r) {
    if (!rails_[r]->poll()) continue;
    if (any) any = true;
    arrived_.clear();
    Status taken = rails_[r]->take(arrived_);
    // What arrived before the error counts, and what arrives on other rails.
    if (Status accepted = accept_arrived(r); !accepted) fail(std::move(accepted.error()));
    if (!taken) fail(std::move(taken.error()));
  }
  if (any && *any) reclaim();
  return any;
}

Status Channel::accept_arrived(std::size_t rail) {
  for (const Signal& signal : arrived_)
    if (Status accepted = accept(rail, signal); !accepted) return accepted;
  return {};
}

Status Channel::accept(std::size_t rail, Signal signal) {
  if (rail > 0) {
    ++placed_[rail];
    return {};
  }
  if (++signals_seen_ - told_.signals > signals_) return corrupt(fmt::format("more than the {} signals it may", signals_));
  if (signal.kind != SignalKind::credits) ++owed_;
  switch (signal.kind) {
    case SignalKind::record:
      return accept_record(signal.place);
    case SignalKind::answer: {
      Answer answer;
      std::memcpy(&answer, mailbox() + kAnswersOffset + (answers_seen_++ % kAnswers) * sizeof(Answer), sizeof answer);
      if (Status sound = check(answer, peer_); !sound) return sound;
      if (answers_.size() > 2 * kAnswers) return corrupt("too many answers");
      answers_.push_back(answer);
      return {};
    }
    case SignalKind::credits:
      learn({.bytes = read_word(mailbox() + offsetof(Credits, bytes)),
             .signals = read_word(mailbox() + offsetof(Credits, signals))});
      return {};
    case SignalKind::placed:
      break;
  }
  return corrupt(fmt::format("a signal of kind {}", static_cast<int>(signal.kind)));
}

// Its credits count at once: the record itself may lie there until the caller wants to receive it, and until then the caller may
// want to send.
Status Channel::accept_record(std::uint32_t granule) {
  const std::size_t place = std::size_t{granule} * kGranule;
  if (place + sizeof(Record) > ring_in_use_) return corrupt(fmt::format("a record at {} of {} bytes", place, ring_in_use_));
  if (records_.size() >= ring_in_use_ / kGranule) return corrupt("more records than fit into the ring");
  records_.push(granule);
  const std::byte* credits = ring(place) + offsetof(Record, credits);
  learn({.bytes = read_word(credits + offsetof(Credits, bytes)), .signals = read_word(credits + offsetof(Credits, signals))});
  return {};
}

Error Channel::corrupt(std::string_view what) const {
  return {Code::protocol, fmt::format("rank {} has sent {}: its stream is corrupt", peer_, what), peer_};
}

// They only grow; nobody can have taken what was not sent.
void Channel::learn(const Credits& credits) noexcept {
  if (credits.bytes <= written_) theirs_taken_.bytes = std::max(theirs_taken_.bytes, credits.bytes);
  if (credits.signals <= signals_sent_) theirs_taken_.signals = std::max(theirs_taken_.signals, credits.signals);
}

Result<const Record*> Channel::front() {
  const std::size_t place = std::size_t{records_.front()} * kGranule;
  const std::size_t next = position_ % ring_in_use_;
  if ((place != next && place != 0) || place + sizeof(Record) > ring_in_use_)
    return corrupt(fmt::format("a record at {} where {} is next", place, next));
  // What has been checked is what is used, even if the peer writes there once more.
  std::memcpy(&front_, ring(place), sizeof front_);
  front_place_ = place;
  const std::size_t room = std::min(ring_in_use_ - place - sizeof(Record), most_in_record_);
  if (Status sound = check(front_, room, peer_); !sound) return std::move(sound.error());
  return &front_;
}

ConstBytes Channel::payload() const noexcept { return {ring(front_place_) + sizeof(Record), front_.bytes}; }

void Channel::take() noexcept {
  const std::size_t next = position_ % ring_in_use_;
  position_ += (front_place_ != next ? ring_in_use_ - next : 0) + record_bytes(front_.bytes);
  records_.pop();
}

// ---- What is written

std::size_t Channel::skip(std::size_t bytes) const noexcept {
  const std::size_t left = ring_in_use_ - written_ % ring_in_use_;
  return left < bytes ? left : 0;
}

bool Channel::room_for_record(std::size_t payload) const noexcept {
  const std::size_t bytes = record_bytes(payload);
  const std::uint64_t free_from = std::min(theirs_taken_.bytes, complete_);
  return rail(0).room() && under_way() < theirs_.signals - theirs_.signals / 4 &&
         written_ + skip(bytes) + bytes - free_from <= ring_in_use_;
}

Credits Channel::told() noexcept {
  told_ = {.bytes = position_, .signals = signals_seen_};
  owed_ = 0;
  return told_;
}

Write Channel::of_image(std::size_t offset, std::size_t bytes, Signal signal, std::string_view what) const noexcept {
  return {.from = image() + offset,
          .bytes = bytes,
          .local_key = image_key_->lkey,
          .to = theirs_.mailbox + offset,
          .remote_key = theirs_.mailbox_key,
          .signal = signal,
          .what = what};
}

Result<std::uint64_t> Channel::post(const Write& write) {
  auto posted = rail(0).post(write);
  if (posted) ++signals_sent_;
  return posted;
}

Result<std::uint64_t> Channel::post_record(RecordKind kind, const Signature& signature, std::size_t message_bytes,
                                           ConstBytes payload, std::optional<std::uint32_t> key) {
  const std::size_t bytes = record_bytes(payload.size());
  written_ += skip(bytes);
  const std::size_t place = written_ % ring_in_use_;
  Record record;
  record.kind = kind;
  record.message_bytes = message_bytes;
  record.signature = signature;
  record.credits = told();
  record.bytes = static_cast<std::uint32_t>(payload.size());
  std::byte* to = image() + kRingOffset + place;
  std::memcpy(to, &record, sizeof record);
  Write write = of_image(kRingOffset + place, sizeof record, {SignalKind::record, static_cast<std::uint32_t>(place / kGranule)},
                         "of the ring");
  if (key) {
    write.behind = payload;
    write.behind_key = *key;
  } else if (!payload.empty()) {
    std::memcpy(to + sizeof record, payload.data(), payload.size());
    write.bytes += payload.size();
  }
  written_ += bytes;
  unreported_ += bytes;
  write.report = key || unreported_ >= ring_in_use_ / 4;
  auto posted = post(write);
  if (!posted) return posted;
  reported_.push({*posted, written_});
  if (write.report) unreported_ = 0;
  return posted;
}

// What has completed needs not be kept in the image.
void Channel::reclaim() noexcept {
  while (!reported_.empty() && reported_.front().write <= rail(0).completed()) {
    complete_ = reported_.front().position;
    reported_.pop();
  }
}

Status Channel::post_answer(const Answer& answer) {
  const std::size_t offset = kAnswersOffset + (answers_sent_++ % kAnswers) * sizeof answer;
  std::memcpy(image() + offset, &answer, sizeof answer);
  auto posted = post(of_image(offset, sizeof answer, {SignalKind::answer, 0}, "an answer"));
  return posted ? Status{} : std::move(posted.error());
}

const Answer* Channel::answer_to(std::uint64_t message) noexcept {
  while (!answers_.empty() && answers_.front().message < message) answers_.pop_front();
  return !answers_.empty() && answers_.front().message == message ? &answers_.front() : nullptr;
}

Result<bool> Channel::give_credits(bool last) {
  const bool due = last || position_ - told_.bytes >= ring_in_use_ / 4 || signals_seen_ - told_.signals >= signals_ / 4;
  if (!due || !room_for_answer()) return false;
  const Credits credits = told();
  std::memcpy(image(), &credits, sizeof credits);
  auto posted = post(of_image(0, sizeof credits, {SignalKind::credits, 0}, "credits"));
  if (!posted) return std::move(posted.error());
  return true;
}

bool Channel::drained() const noexcept {
  return std::ranges::all_of(rails_, [](const auto& rail) { return rail->completed() == rail->posted(); });
}

Status Channel::flush() {
  for (const auto& rail : rails_)
    if (Status flushed = rail->flush(); !flushed) return flushed;
  return {};
}

void Channel::begin_wait(WaitSet& set) {
  for (const auto& rail : rails_) rail->begin_wait(set);
}

void Channel::end_wait() {
  for (const auto& rail : rails_) rail->end_wait();
}

std::size_t Channel::memory_bytes() const noexcept {
  std::size_t bytes = memory_size_ + reported_.memory_bytes() + records_.memory_bytes();
  for (const auto& rail : rails_) bytes += rail->memory_bytes();
  return bytes;
}

}  // namespace tutti::verbs
