#include "runtime/together.h"

#include <algorithm>
#include <list>

namespace tutti {
namespace {

// All communicators of a group are watched at once.
class GroupWatch final : public FailureWatch {
 public:
  void add(OverlayWatch& watch) { watches_.push_back(&watch); }
  Status check(const Waiting& waiting) override {
    // Ranks and calls of different communicators are numbered apart: only a single one can be asked about them.
    const Waiting unknown;
    for (OverlayWatch* w : watches_)
      if (auto s = w->check(watches_.size() == 1 ? waiting : unknown); !s) return s;
    return {};
  }
  void restart() override {
    for (OverlayWatch* w : watches_) w->restart();
  }
  void add_fds(std::vector<pollfd>& fds) override {
    for (OverlayWatch* w : watches_) w->add_fds(fds);
  }

 private:
  std::vector<OverlayWatch*> watches_;
};

// The calls of one communicator.
struct Share {
  Runner* runner;
  Lane collectives;
  std::vector<Lane> point_to_point;
};

}  // namespace

Status run_together(std::span<const RunnerCall> calls) {
  std::list<Share> shares;
  std::vector<std::unique_ptr<Execution>> executions;
  std::vector<Runner::Prepared> prepared;  // keeps the plans
  // Which of the communicators it was cannot be told apart: their calls are under way together. What is wrong with a call itself
  // is wrong on all ranks alike, and seen before any call has begun.
  const auto give_up = [&](Error error) {
    if (error.code() != Code::invalid_argument)
      for (const RunnerCall& c : calls) (void)c.runner->fail(error.clone());
    return std::move(error).because("running a group of calls");
  };
  for (const auto& [caller, call] : calls) {
    Runner& runner = *caller;
    if (runner.job().size() == 1) {
      if (auto s = runner.run(call); !s) return give_up(std::move(s.error()));
      continue;
    }
    auto p = runner.prepare(call);
    if (!p) return give_up(std::move(p.error()));
    auto share = std::ranges::find(shares, &runner, &Share::runner);
    if (share == shares.end()) share = shares.insert(shares.end(), {.runner = &runner, .collectives = {}, .point_to_point = {}});
    executions.push_back(std::make_unique<Execution>(p->plan->plan));
    const bool p2p = call.collective == Collective::send_recv;
    Lane& lane = p2p ? share->point_to_point.emplace_back() : share->collectives;
    lane.queue.push_back(executions.back().get());
    lane.buffers.push_back(p->buffers);
    lane.sequences.push_back(0);
    prepared.push_back(std::move(*p));
  }

  GroupWatch watch;
  std::vector<Lane> lanes;
  WaitPolicy policy{.spin = Duration::max(), .timeout = Duration::max()};
  for (Share& share : shares) {
    for (auto& sequence : share.collectives.sequences) sequence = share.runner->next_sequence();
    for (auto& b : share.collectives.buffers) b.scratch = share.runner->scratch();  // later calls may have moved it
    std::ranges::move(share.point_to_point, std::back_inserter(lanes));
    lanes.push_back(std::move(share.collectives));
    watch.add(share.runner->watch());
    policy.oversubscribed |= share.runner->policy().oversubscribed;
    policy.spin = std::min(policy.spin, share.runner->policy().spin);
    policy.timeout = std::min(policy.timeout, share.runner->policy().timeout);
    if (const auto& hook = share.runner->policy().while_waiting)
      policy.while_waiting = [hook, before = std::move(policy.while_waiting)] {
        if (before) before();
        hook();
      };
  }
  Status s = drive(lanes, policy, watch);
  if (!s) return give_up(std::move(s.error()));
  return {};
}

}  // namespace tutti
