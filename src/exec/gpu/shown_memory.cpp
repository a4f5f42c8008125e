#include "gpu/shown_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace tutti::gpu {
namespace {

// Between ranks of one library on one host.
struct Question {
  std::uint64_t id = 0;
  bool gone = false;  // else:
  IpcMemory handle = {};
};
struct Answer {
  Address there = 0;  // 0: not seen
  char why[256] = {};
};

static_assert(sizeof(Question) <= 500 && sizeof(Answer) <= 500, "letters of one sheet, so that who hears of one has all of it");

template <class Letter>
ConstBytes bytes_of(const Letter& letter) {
  return std::as_bytes(std::span(&letter, 1));
}

template <class Letter>
Result<Letter> heard(Courier& courier, Rank peer) {
  auto bytes = courier.hear(peer);
  if (!bytes) return bytes.because(fmt::format("hearing about memory of rank {}", peer));
  Letter letter;
  if (bytes->size() != sizeof letter)
    return Error(Code::protocol, fmt::format("rank {} sent {} bytes about memory, not {}", peer, bytes->size(), sizeof letter),
                 peer);
  std::memcpy(&letter, bytes->data(), sizeof letter);
  return letter;
}

// 0 where there is none.
std::uint64_t id_of(const Driver& driver, Address memory) {
  std::uint64_t id = 0;
  return driver.pointer_attribute(&id, PointerAttribute::buffer_id, memory) == 0 ? id : 0;
}

}  // namespace

Result<Address> ShownMemory::seen_at(Address memory) {
  Address base = 0;
  std::size_t size = 0;
  const std::uint64_t id = id_of(driver_, memory);
  if (id == 0 || driver_.address_range(&base, &size, memory) != 0)
    return Error(Code::unsupported, "this is no memory of a device");
  auto known = shown_.find(base);
  if (known == shown_.end() || known->second.id != id) {
    if (auto s = forget_what_is_gone(); !s) return std::move(s.error());
    auto shown = show(base, id);
    if (!shown) return std::move(shown.error());
    known = shown_.insert_or_assign(base, std::move(*shown)).first;
  }
  if (known->second.there == 0) return Error(Code::unsupported, known->second.why);
  return known->second.there + (memory - base);
}

Result<ShownMemory::Shown> ShownMemory::show(Address base, std::uint64_t id) {
  const Uncaptured uncaptured(driver_);
  Question question{.id = id};
  if (auto s = check(driver_, driver_.ipc_handle(&question.handle, base), "cuIpcGetMemHandle"); !s)
    return Shown{.id = id, .why = s.error().to_string()};
  if (auto s = courier_.tell(seer_, bytes_of(question)); !s) return s.because(fmt::format("showing memory to rank {}", seer_));
  auto answer = heard<Answer>(courier_, seer_);
  if (!answer) return std::move(answer.error());
  answer->why[sizeof answer->why - 1] = 0;
  return Shown{.id = id, .there = answer->there, .why = answer->why};
}

Status ShownMemory::forget_what_is_gone() {
  const Uncaptured uncaptured(driver_);
  for (auto shown = shown_.begin(); shown != shown_.end();) {
    const auto& [base, what] = *shown;
    if (id_of(driver_, base) == what.id) {
      ++shown;
      continue;
    }
    if (what.there != 0)
      if (auto s = courier_.tell(seer_, bytes_of(Question{.id = what.id, .gone = true})); !s) return s;
    shown = shown_.erase(shown);
  }
  return {};
}

SeenMemory::~SeenMemory() {
  const Entered entered(driver_, context_);
  const Uncaptured uncaptured(driver_);
  for (const auto& [whose, at] : seen_) (void)driver_.ipc_close(at);
  for (const Address at : given_up_) (void)driver_.ipc_close(at);
}

Status SeenMemory::answer() {
  for (auto rank = others_.begin(); rank != others_.end();) {
    auto asks = courier_.arrived(*rank);
    if (!asks && asks.error().code() != Code::peer_lost) return std::move(asks.error());
    if (!asks) {
      rank = others_.erase(rank);
    } else if (!*asks) {
      ++rank;
    } else if (auto s = answer(*rank); !s) {
      return s;
    }
  }
  return {};
}

void SeenMemory::give_back() {
  if (given_up_.empty()) return;
  const Entered entered(driver_, context_);
  const Uncaptured uncaptured(driver_);
  for (const Address at : given_up_) (void)driver_.ipc_close(at);
  given_up_.clear();
}

Status SeenMemory::answer(Rank rank) {
  const Entered entered(driver_, context_);
  const Uncaptured uncaptured(driver_);
  auto question = heard<Question>(courier_, rank);
  if (!question) return std::move(question.error());
  const std::pair key{rank, question->id};
  if (question->gone) {
    if (const auto known = seen_.extract(key)) given_up_.push_back(known.mapped());
    return {};
  }
  Answer answer;
  if (auto s = check(driver_, driver_.ipc_open(&answer.there, question->handle, kLazyPeerAccess), "cuIpcOpenMemHandle"); s) {
    seen_[key] = answer.there;
  } else {
    const std::string why = s.error().to_string();
    answer.there = 0;
    std::memcpy(answer.why, why.data(), std::min(why.size(), sizeof answer.why - 1));
  }
  return courier_.tell(rank, bytes_of(answer));
}

}  // namespace tutti::gpu
