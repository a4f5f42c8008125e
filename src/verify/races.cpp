#include "verify/races.h"

#include <fmt/format.h>

#include "schedule/text.h"

namespace tutti::verifier {
namespace {

constexpr std::uint32_t kNobody = UINT32_MAX;

// Which steps are sure to be complete when a given step starts.
class Past {
 public:
  explicit Past(const Schedule& schedule) : schedule_(schedule), seen_(schedule.steps.size(), kNobody) {}

  // Looks at the steps one after the other: of(i) before any has(...) about i.
  void of(std::uint32_t step) {
    step_ = step;
    complete_ = false;
    for (const auto d : schedule_.dependencies(step)) seen_[d] = step;
  }
  // Mostly a direct dependency; the chain is only followed where it is not.
  [[nodiscard]] bool has(std::uint32_t earlier) {
    if (seen_[earlier] == step_) return true;
    if (!complete_) follow();
    return seen_[earlier] == step_;
  }
  [[nodiscard]] std::uint64_t work() const noexcept { return work_; }

 private:
  void follow() {
    complete_ = true;
    const auto direct = schedule_.dependencies(step_);
    stack_.assign(direct.begin(), direct.end());
    while (!stack_.empty()) {
      const auto at = stack_.back();
      stack_.pop_back();
      ++work_;
      for (const auto d : schedule_.dependencies(at))
        if (seen_[d] != step_) {
          seen_[d] = step_;
          stack_.push_back(d);
        }
    }
  }

  const Schedule& schedule_;
  std::vector<std::uint32_t> seen_;
  std::vector<std::uint32_t> stack_;
  std::uint32_t step_ = 0;
  bool complete_ = false;
  std::uint64_t work_ = 0;
};

// Per cell: who wrote last, and who has read since.
class Holders {
 public:
  explicit Holders(std::uint32_t cells) : writer_(cells, kNobody), readers_(cells, kNobody) {}

  // The earlier step that `step` would have to wait for and does not, or kNobody.
  std::uint32_t clash(std::uint32_t cell, std::uint32_t step, bool writes, Past& past) {
    const std::uint32_t writer = writer_[cell];
    if (writer != kNobody && writer != step && !past.has(writer)) return writer;
    if (!writes) return kNobody;
    for (auto r = readers_[cell]; r != kNobody; r = pool_[r].next)
      if (pool_[r].step != step && !past.has(pool_[r].step)) return pool_[r].step;
    return kNobody;
  }
  void enter(std::uint32_t cell, std::uint32_t step, bool writes) {
    if (writes) {
      writer_[cell] = step;
      readers_[cell] = kNobody;
    } else if (writer_[cell] != step) {
      pool_.push_back({step, readers_[cell]});
      readers_[cell] = static_cast<std::uint32_t>(pool_.size() - 1);
    }
  }

 private:
  struct Reader {
    std::uint32_t step, next;
  };
  std::vector<std::uint32_t> writer_, readers_;
  std::vector<Reader> pool_;
};

Error race(const Schedule& s, std::uint32_t earlier, std::uint32_t later, const Slice& slice) {
  return {Code::invalid_argument,
          fmt::format("race: {} and step {} ({}) both touch {} and neither waits for the other", describe(s, earlier), later,
                      step_text(s, s.steps[later]), slice_text(slice)),
          s.rank};
}

}  // namespace

Status check_races(const Schedule& schedule, const Layout& layout) {
  constexpr std::uint64_t kMaxWork = std::uint64_t{1} << 32;  // steps looked at again: minutes, not hours
  Past past(schedule);
  Holders holders(layout.cells());
  for (std::uint32_t i = 0; i < schedule.steps.size(); ++i) {
    past.of(i);
    std::uint32_t other = kNobody, at = 0;
    for_each_touch(schedule, schedule.steps[i], [&](const Slice& slice, bool, bool writes) {
      const Range range = layout.cells(slice);
      for (std::uint32_t c = range.begin; c < range.end && other == kNobody; ++c) {
        other = holders.clash(c, i, writes, past);
        at = c;
        holders.enter(c, i, writes);
      }
    });
    if (other != kNobody) return race(schedule, other, i, layout.slice(at));
    if (past.work() > kMaxWork)
      return Error(Code::unsupported, fmt::format("rank {}'s dependencies are too long-winded to verify", schedule.rank),
                   schedule.rank);
  }
  return {};
}

}  // namespace tutti::verifier
