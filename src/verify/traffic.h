// Measures messages: the longest chains and the busiest ranks, of all messages or of those that cross one level.
#pragma once

#include <algorithm>
#include <vector>

#include "schedule/carried.h"
#include "verify/verify.h"

namespace tutti::verifier {

class TrafficMeter {
 public:
  TrafficMeter(std::size_t ranks, std::size_t steps) : sent_(ranks), rounds_(steps), path_(steps) {}

  // Step `to` waits for step `from`.
  void chain(std::uint32_t from, std::uint32_t to) {
    rounds_[to] = std::max(rounds_[to], rounds_[from]);
    path_[to] = std::max(path_[to], path_[from]);
  }
  // The message between two steps is complete; `counts` where it is one of those measured.
  void message(std::uint32_t send, std::uint32_t recv, Rank sender, std::uint64_t chunks, bool counts) {
    chain(send, recv);
    if (counts) {
      rounds_[recv] += 1;
      path_[recv] += chunks;
      sent_[static_cast<std::size_t>(sender)] += chunks;
      most_.rounds = std::max(most_.rounds, rounds_[recv]);
      most_.path = std::max(most_.path, path_[recv]);
      most_.sent = std::max(most_.sent, sent_[static_cast<std::size_t>(sender)]);
    }
    rounds_[send] = rounds_[recv];
    path_[send] = path_[recv];
  }
  [[nodiscard]] const Traffic& most() const noexcept { return most_; }
  [[nodiscard]] std::uint32_t rounds(std::uint32_t step) const noexcept { return rounds_[step]; }

 private:
  Traffic most_;
  std::vector<std::uint64_t> sent_;    // by rank
  std::vector<std::uint32_t> rounds_;  // by step: of the longest chain up to it
  std::vector<std::uint64_t> path_;    // by step: of the heaviest one
};

// All messages, and each level on its own.
class TrafficMeters {
 public:
  TrafficMeters(const VerifyOptions& options, std::size_t ranks, std::size_t steps)
      : levels_(options.levels),
        carried_(static_cast<Rank>(ranks), options.torus, options.pod),
        meters_(levels_ == nullptr ? 1 : levels_->size() + 2, TrafficMeter(ranks, steps)) {}

  void chain(std::uint32_t from, std::uint32_t to) {
    for (auto& meter : meters_) meter.chain(from, to);
  }
  void message(std::uint32_t send, std::uint32_t recv, Rank sender, Rank receiver, std::uint64_t chunks) {
    meters_[0].message(send, recv, sender, chunks, true);
    carried_.message(sender, receiver, chunks);
    if (meters_.size() == 1) return;
    const std::size_t crossed = level(sender, receiver);
    for (std::size_t m = 1; m < meters_.size(); ++m) meters_[m].message(send, recv, sender, chunks, m == crossed + 1);
  }
  [[nodiscard]] const Traffic& all() const noexcept { return meters_[0].most(); }
  [[nodiscard]] std::uint64_t carried() const noexcept { return carried_.most(); }
  [[nodiscard]] std::uint32_t rounds(std::uint32_t step) const noexcept { return meters_[0].rounds(step); }
  [[nodiscard]] std::vector<Traffic> by_level() const {
    std::vector<Traffic> result;
    for (std::size_t m = 1; m < meters_.size(); ++m) result.push_back(meters_[m].most());
    return result;
  }

 private:
  [[nodiscard]] std::size_t level(Rank a, Rank b) const {
    std::size_t l = 0;
    while (l < levels_->size() && (*levels_)[l].group_of(a) != (*levels_)[l].group_of(b)) ++l;
    return l;
  }

  const std::vector<Grouping>* levels_;
  Carried carried_;
  std::vector<TrafficMeter> meters_;
};

}  // namespace tutti::verifier
