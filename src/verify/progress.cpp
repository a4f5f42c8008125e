#include "verify/progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "verify/traffic.h"
#include "verify/values.h"

namespace tutti::verifier {
namespace {

class Run {
 public:
  Run(std::span<const Schedule> ranks, const std::vector<Layout>& layouts, const Numbering& numbering, const Matching& matching,
      const VerifyOptions& options)
      : ranks_(ranks),
        numbering_(numbering),
        matching_(matching),
        values_(ranks, layouts, options),
        meters_(options, ranks.size(), numbering.steps()),
        waits_for_(numbering.steps()),
        state_(numbering.steps(), State::waiting) {
    turn_dependencies_round();
  }

  Status to_the_end() {
    for (std::uint32_t n = 0; n < numbering_.steps(); ++n)
      if (waits_for_[n] == 0) ready_.push_back(n);
    while (!ready_.empty() || !met_.empty()) {
      Status status;
      if (!met_.empty()) {
        const auto send = met_.back();
        met_.pop_back();
        status = message(send);
      } else {
        const auto n = ready_.back();
        ready_.pop_back();
        status = start(n);
      }
      if (!status) return status;
    }
    const auto stuck = std::find_if(state_.begin(), state_.end(), [](State s) { return s != State::complete; });
    if (stuck != state_.end()) return deadlock(static_cast<std::uint32_t>(stuck - state_.begin()));
    return values_.check_results();
  }

  [[nodiscard]] const TrafficMeters& traffic() const noexcept { return meters_; }
  [[nodiscard]] const ReductionOrder& order() const noexcept { return values_.order(); }

 private:
  enum class State : std::uint8_t { waiting, started, complete };

  // A step in its schedule.
  struct Place {
    Rank rank;
    std::uint32_t index;
  };
  [[nodiscard]] Place place(std::uint32_t n) const {
    const Rank rank = numbering_.rank(n);
    return {rank, n - numbering_.first(rank)};
  }
  [[nodiscard]] const Schedule& schedule(Rank rank) const { return ranks_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] const Step& step(Place p) const { return schedule(p.rank).steps[p.index]; }

  void turn_dependencies_round() {
    successor_begin_.assign(numbering_.steps() + 1, 0);
    for_each_dependency([&](std::uint32_t on, std::uint32_t n) {
      ++successor_begin_[on + 1];
      ++waits_for_[n];
    });
    for (std::uint32_t n = 0; n < numbering_.steps(); ++n) {
      successor_begin_[n + 1] += successor_begin_[n];
      if (matching_.previous[n] != kNoStep) ++waits_for_[n];
    }
    successors_.resize(successor_begin_.back());
    auto at = successor_begin_;
    for_each_dependency([&](std::uint32_t on, std::uint32_t n) { successors_[at[on]++] = n; });
  }
  template <class Visit>
  void for_each_dependency(Visit&& visit) const {
    for (const Schedule& s : ranks_)
      for (std::uint32_t i = 0; i < s.steps.size(); ++i)
        for (const auto d : s.dependencies(i)) visit(numbering_.of(s.rank, d), numbering_.of(s.rank, i));
  }

  void release(std::uint32_t n) {
    if (--waits_for_[n] == 0) ready_.push_back(n);
  }

  Status start(std::uint32_t n) {
    state_[n] = State::started;
    if (matching_.next[n] != kNoStep) release(matching_.next[n]);
    const Place at = place(n);
    if (matching_.partner[n] == kNoStep) {
      auto status = values_.local(at.rank, at.index);
      complete(n);
      return status;
    }
    meet(sends(step(at)) ? n : matching_.partner[n]);
    return {};
  }

  // The message of this send moves when both sides have started and the one before it in the stream is through.
  void meet(std::uint32_t send) {
    const auto before = matching_.previous[send];
    if (state_[send] == State::started && state_[matching_.partner[send]] == State::started &&
        (before == kNoStep || state_[before] == State::complete))
      met_.push_back(send);
  }

  Status message(std::uint32_t send) {
    const auto recv = matching_.partner[send];
    const Place from = place(send), to = place(recv);
    auto status = values_.message(from.rank, from.index, to.rank, to.index);
    meters_.message(send, recv, from.rank, to.rank, step(from).from.count);
    complete(send);
    complete(recv);
    if (const auto next = matching_.next[send]; next != kNoStep) {
      meters_.chain(send, next);
      meet(next);
    }
    return status;
  }

  void complete(std::uint32_t n) {
    state_[n] = State::complete;
    for (std::uint32_t s = successor_begin_[n]; s < successor_begin_[n + 1]; ++s) {
      meters_.chain(n, successors_[s]);
      release(successors_[s]);
    }
  }

  // One thing that an unfinished step waits for.
  struct Wait {
    std::uint32_t on;
    std::string_view how;
  };
  [[nodiscard]] Wait blocker(std::uint32_t n) const {
    const Place at = place(n);
    if (state_[n] == State::waiting) {
      for (const auto d : schedule(at.rank).dependencies(at.index))
        if (const auto on = numbering_.of(at.rank, d); state_[on] != State::complete) return {on, "starts only after"};
      return {matching_.previous[n], "is posted only after"};
    }
    const auto partner = matching_.partner[n];
    if (state_[partner] == State::waiting) return {partner, "needs"};
    return {matching_.previous[n], "moves only behind"};
  }

  [[nodiscard]] Error deadlock(std::uint32_t stuck) const {
    std::vector<std::uint32_t> way;
    std::vector<bool> seen(numbering_.steps());
    for (; !seen[stuck]; stuck = blocker(stuck).on) {
      seen[stuck] = true;
      way.push_back(stuck);
    }
    way.erase(way.begin(), std::find(way.begin(), way.end(), stuck));
    constexpr std::size_t kShown = 16;
    std::string text = "deadlock without buffering: ";
    for (std::size_t i = 0; i < std::min(way.size(), kShown); ++i) {
      const Wait wait = blocker(way[i]);
      const Place on = place(wait.on);
      if (i == 0) text += describe(schedule(place(way[0]).rank), place(way[0]).index);
      text += fmt::format("{}{} {}", i == 0 ? " " : ", which ", wait.how, describe(schedule(on.rank), on.index));
    }
    if (way.size() > kShown) text += fmt::format(", and so on round a circle of {} steps", way.size());
    return {Code::invalid_argument, std::move(text), place(way[0]).rank};
  }

  std::span<const Schedule> ranks_;
  const Numbering& numbering_;
  const Matching& matching_;
  Values values_;
  TrafficMeters meters_;
  std::vector<std::uint32_t> successor_begin_, successors_;
  std::vector<std::uint32_t> waits_for_;  // dependencies not complete, and the step before in the stream not posted
  std::vector<State> state_;
  std::vector<std::uint32_t> ready_;  // may start
  std::vector<std::uint32_t> met_;    // sends whose message may move
};

std::uint64_t most_reduced(std::span<const Schedule> ranks) {
  std::uint64_t most = 0;
  for (const Schedule& s : ranks) {
    std::uint64_t reduced = 0;
    for (const Step& step : s.steps) {
      if (step.kind == StepKind::reduce || step.kind == StepKind::recv_reduce) reduced += step.to.count;
      if (step.kind == StepKind::fold) reduced += std::uint64_t{step.operand_end - step.operand_begin - 1} * step.to.count;
    }
    most = std::max(most, reduced);
  }
  return most;
}

Timeline timeline_of(std::span<const Schedule> ranks, const Numbering& numbering, const Matching& matching,
                     const TrafficMeters& traffic) {
  Timeline timeline;
  for (const Schedule& s : ranks) {
    auto& rounds = timeline.round.emplace_back();
    for (std::uint32_t i = 0; i < s.steps.size(); ++i) {
      const std::uint32_t n = numbering.of(s.rank, i), partner = matching.partner[n];
      rounds.push_back(traffic.rounds(n));
      if (!sends(s.steps[i])) continue;
      const Rank receiver = numbering.rank(partner);
      timeline.messages.push_back({s.rank, i, receiver, partner - numbering.first(receiver), rounds.back()});
    }
  }
  return timeline;
}

}  // namespace

Result<Proof> run(std::span<const Schedule> ranks, const std::vector<Layout>& layouts, const Numbering& numbering,
                  const Matching& matching, const VerifyOptions& options) {
  Run run(ranks, layouts, numbering, matching, options);
  if (auto status = run.to_the_end(); !status) return std::move(status.error());
  const Traffic all = run.traffic().all();
  return Proof{.rounds = all.rounds,
               .path = all.path,
               .sent = all.sent,
               .posted = all.posted,
               .at_a_time = all.at_a_time,
               .reduced = most_reduced(ranks),
               .carried = run.traffic().carried(),
               .steps = numbering.steps(),
               .messages = matching.messages,
               .order = run.order(),
               .levels = run.traffic().by_level(),
               .timeline = options.timeline ? timeline_of(ranks, numbering, matching, run.traffic()) : Timeline{}};
}

}  // namespace tutti::verifier
