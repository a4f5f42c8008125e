// Measures messages: the longest chains and the busiest ranks, of all messages or of those that cross one level.
#pragma once

#include <algorithm>
#include <vector>

#include "schedule/carried.h"
#include "verify/verify.h"

namespace tutti::verifier {

// All messages, and each level on its own.
class TrafficMeters {
 public:
  TrafficMeters(const VerifyOptions& options, std::size_t ranks, std::size_t steps)
      : levels_(options.levels),
        carried_(static_cast<Rank>(ranks), options.torus, options.pod),
        most_(levels_ == nullptr ? 1 : levels_->size() + 2),
        of_rank_(ranks * most_.size()),
        chains_(steps * most_.size()),
        in_round_(options.at_a_time ? ranks * most_.size() : 0) {}

  // Step `to` waits for step `from`.
  void chain(std::uint32_t from, std::uint32_t to) {
    const Chain* earlier = chains(from);
    Chain* later = chains(to);
    for (std::size_t m = 0; m < most_.size(); ++m) {
      later[m].rounds = std::max(later[m].rounds, earlier[m].rounds);
      later[m].path = std::max(later[m].path, earlier[m].path);
    }
  }
  // The message between two steps is complete.
  void message(std::uint32_t send, std::uint32_t recv, Rank sender, Rank receiver, std::uint64_t chunks) {
    chain(send, recv);
    count(0, recv, sender, receiver, chunks);
    carried_.message(sender, receiver, chunks);
    if (most_.size() > 1) count(1 + level(sender, receiver), recv, sender, receiver, chunks);
    std::copy_n(chains(recv), most_.size(), chains(send));
  }
  [[nodiscard]] const Traffic& all() const noexcept { return most_[0]; }
  [[nodiscard]] std::vector<Traffic> by_level() const { return {most_.begin() + 1, most_.end()}; }
  [[nodiscard]] std::uint64_t carried() const noexcept { return carried_.most(); }
  [[nodiscard]] std::uint32_t rounds(std::uint32_t step) const noexcept { return chains_[step * most_.size()].rounds; }

 private:
  // Up to a step: the longest one, and the heaviest.
  struct Chain {
    std::uint64_t path = 0;
    std::uint32_t rounds = 0;
  };
  // What one rank has sent and received.
  struct OfRank {
    std::uint64_t chunks_sent = 0, sent = 0, received = 0;  // the latter in messages
  };
  // Messages of one rank in each round.
  struct InRound {
    std::vector<std::uint32_t> sent, received;
  };

  Chain* chains(std::uint32_t step) { return &chains_[step * most_.size()]; }

  void count(std::size_t meter, std::uint32_t recv, Rank sender, Rank receiver, std::uint64_t chunks) {
    Traffic& most = most_[meter];
    Chain& chain = chains(recv)[meter];
    OfRank &by_sender = of_rank_[index(sender, meter)], &by_receiver = of_rank_[index(receiver, meter)];
    chain.rounds += 1;
    chain.path += chunks;
    by_sender.chunks_sent += chunks;
    most.rounds = std::max(most.rounds, chain.rounds);
    most.path = std::max(most.path, chain.path);
    most.sent = std::max(most.sent, by_sender.chunks_sent);
    most.posted = std::max({most.posted, ++by_sender.sent, ++by_receiver.received});
    if (in_round_.empty()) return;
    const auto one_more = [&](std::vector<std::uint32_t>& by_round) {
      if (by_round.size() <= chain.rounds) by_round.resize(chain.rounds + 1);
      most.at_a_time = std::max(most.at_a_time, ++by_round[chain.rounds]);
    };
    one_more(in_round_[index(sender, meter)].sent);
    one_more(in_round_[index(receiver, meter)].received);
  }
  [[nodiscard]] std::size_t index(Rank rank, std::size_t meter) const noexcept {
    return static_cast<std::size_t>(rank) * most_.size() + meter;
  }
  [[nodiscard]] std::size_t level(Rank a, Rank b) const {
    std::size_t l = 0;
    while (l < levels_->size() && (*levels_)[l].group_of(a) != (*levels_)[l].group_of(b)) ++l;
    return l;
  }

  const std::vector<Grouping>* levels_;
  Carried carried_;
  std::vector<Traffic> most_;      // of all messages, then by level: one meter each
  std::vector<OfRank> of_rank_;    // by rank, then by meter
  std::vector<Chain> chains_;      // by step, then by meter
  std::vector<InRound> in_round_;  // by rank, then by meter
};

}  // namespace tutti::verifier
