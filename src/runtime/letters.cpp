#include "runtime/letters.h"

#include <array>
#include <cstring>

namespace tutti {
namespace {

constexpr std::uint64_t kSalt = 0x6c65747465727321;  // no other connections of the communicator have it, or the next one
constexpr std::size_t kSheetBytes = 512;
constexpr Signature kSignature{.count = kSheetBytes, .collective = static_cast<std::uint8_t>(Collective::send_recv)};

}  // namespace

struct Letters::Sheet {
  std::array<std::byte, kSheetBytes> bytes{};
  Plan plan;
  std::unique_ptr<Execution> execution;

  Status start() {
    execution = std::make_unique<Execution>(plan);
    return execution->start({.input = bytes.data(), .output = bytes.data()}, 0);
  }
};

Letters::Letters(Job& job, WaitPolicy policy, FailureWatch& watch, Kind kind)
    : job_(job), policy_(std::move(policy)), watch_(watch), streams_(job, kSalt + static_cast<std::uint64_t>(kind)) {}

Letters::~Letters() { streams_.close(); }

// All connections are polled while one of them is waited for: what this rank has told moves on meanwhile.
Result<std::unique_ptr<Letters::Sheet>> Letters::sheet(Rank peer, bool sends) {
  auto& stream = open_[peer];
  if (stream == nullptr) {
    auto opened = streams_.stream(peer, 0);
    if (!opened) return std::move(opened.error());
    stream = *opened;
  }
  auto made = std::make_unique<Sheet>();
  Plan& plan = made->plan;
  plan.signature = kSignature;
  plan.rank = job_.rank();
  plan.ranks = job_.size();
  for (const auto& [r, s] : open_) {
    if (r == peer) plan.steps.push_back({.kind = sends ? StepKind::send : StepKind::recv});
    if (r == peer) plan.steps.back().stream = static_cast<std::uint32_t>(plan.streams.size());
    plan.links.push_back({.peer = r});
    plan.streams.push_back(s);
  }
  PlanStep& step = plan.steps.front();
  step.count = kSheetBytes;
  step.to.buffer = Buffer::output;
  plan.ready = {0};
  return made;
}

// The first sheet begins with the length of all.
Status Letters::tell(Rank peer, ConstBytes letter) {
  for (; !told_.empty(); told_.pop_front()) {
    if (auto s = told_.front()->execution->advance(); !s) return s;
    if (!told_.front()->execution->done()) break;
  }
  const auto length = static_cast<std::uint32_t>(letter.size());
  std::vector<std::byte> all(sizeof length);
  std::memcpy(all.data(), &length, sizeof length);
  all.insert(all.end(), letter.begin(), letter.end());
  for (std::size_t at = 0; at < all.size(); at += kSheetBytes) {
    auto made = sheet(peer, true);
    if (!made) return std::move(made.error());
    std::memcpy((*made)->bytes.data(), all.data() + at, std::min(kSheetBytes, all.size() - at));
    told_.push_back(std::move(*made));
    if (auto s = told_.back()->start(); !s) return s;
  }
  return {};
}

Result<Letters::Sheet*> Letters::next_sheet(Rank peer) {
  auto& next = next_[peer];
  if (next == nullptr) {
    auto made = sheet(peer, false);
    if (!made) return std::move(made.error());
    next = std::move(*made);
    if (auto s = next->start(); !s) return std::move(s.error());
  }
  return next.get();
}

Status Letters::hear_sheet(Rank peer, std::vector<std::byte>& into) {
  auto next = next_sheet(peer);
  if (!next) return std::move(next.error());
  if (Execution& execution = *(*next)->execution; !execution.done())
    if (auto s = drive(execution, policy_, watch_); !s) return s;
  into.insert(into.end(), (*next)->bytes.begin(), (*next)->bytes.end());
  next_.erase(peer);
  return {};
}

Result<bool> Letters::arrived(Rank peer) {
  auto next = next_sheet(peer);
  if (!next) return std::move(next.error());
  Execution& execution = *(*next)->execution;
  if (execution.done()) return true;
  if (auto polled = execution.poll(); !polled) return polled;
  if (auto s = execution.advance(); !s) return std::move(s.error());
  return execution.done();
}

Result<std::vector<std::byte>> Letters::hear(Rank peer) {
  std::uint32_t length = 0;
  std::vector<std::byte> all;
  do {
    if (auto s = hear_sheet(peer, all); !s) return std::move(s.error());
    std::memcpy(&length, all.data(), sizeof length);
  } while (all.size() < sizeof length + length);
  return std::vector<std::byte>(all.begin() + sizeof length, all.begin() + sizeof length + length);
}

Status Letters::flush() {
  for (; !told_.empty(); told_.pop_front()) {
    Execution& execution = *told_.front()->execution;
    if (!execution.done())
      if (auto s = drive(execution, policy_, watch_); !s) return s;
  }
  return {};
}

}  // namespace tutti
