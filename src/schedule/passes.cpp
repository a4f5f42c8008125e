#include "schedule/passes.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "schedule/access.h"

namespace tutti {
namespace {

// Steps in program order with their dependencies turned round as well; steps can be dropped or replaced in place.
class Graph {
 public:
  explicit Graph(Schedule schedule)
      : schedule_(std::move(schedule)), successor_begin_(schedule_.steps.size() + 1), dropped_(schedule_.steps.size()) {
    for (const auto d : schedule_.dependency_list) ++successor_begin_[d + 1];
    std::partial_sum(successor_begin_.begin(), successor_begin_.end(), successor_begin_.begin());
    successors_.resize(schedule_.dependency_list.size());
    auto at = successor_begin_;
    for (std::uint32_t i = 0; i < size(); ++i)
      for (const auto d : schedule_.dependencies(i)) successors_[at[d]++] = i;
  }
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(schedule_.steps.size()); }
  [[nodiscard]] Step& step(std::uint32_t i) { return schedule_.steps[i]; }
  [[nodiscard]] Schedule& schedule() { return schedule_; }
  [[nodiscard]] std::span<const std::uint32_t> before(std::uint32_t i) const { return schedule_.dependencies(i); }
  [[nodiscard]] std::span<const std::uint32_t> after(std::uint32_t i) const {
    return {successors_.data() + successor_begin_[i], successors_.data() + successor_begin_[i + 1]};
  }
  [[nodiscard]] bool dropped(std::uint32_t i) const { return dropped_[i]; }
  [[nodiscard]] bool drops() const { return drops_; }
  void drop(std::uint32_t i) { dropped_[i] = drops_ = true; }

  // Nothing but `then` waits for `first`.
  [[nodiscard]] bool only_for(std::uint32_t first, std::uint32_t then) const {
    return std::ranges::all_of(after(first), [&](std::uint32_t s) { return s == then; });
  }

  [[nodiscard]] Schedule finish() && {
    std::vector<Step> kept;
    std::vector<Slice> operands;  // in the order of the steps that use them
    for (std::uint32_t i = 0; i < size(); ++i) {
      if (dropped_[i]) continue;
      Step& step = kept.emplace_back(schedule_.steps[i]);
      if (step.kind != StepKind::fold) continue;
      const auto used = schedule_.operands.begin();
      const auto begin = static_cast<std::uint32_t>(operands.size());
      operands.insert(operands.end(), used + step.operand_begin, used + step.operand_end);
      step.operand_begin = begin;
      step.operand_end = static_cast<std::uint32_t>(operands.size());
    }
    schedule_.steps = std::move(kept);
    schedule_.operands = std::move(operands);
    derive_dependencies(schedule_);
    return std::move(schedule_);
  }

 private:
  Schedule schedule_;
  std::vector<std::uint32_t> successor_begin_, successors_;
  std::vector<bool> dropped_;
  bool drops_ = false;
};

// Scratch chunks that no step names any more are given back; the others keep their order, so slices stay contiguous.
void compact_scratch(Schedule& schedule) {
  std::vector<bool> used(schedule.scratch.size());
  const auto for_each_slice = [&](auto&& visit) {
    for (Step& step : schedule.steps) {
      visit(step.from);
      visit(step.to);
    }
    for (Slice& operand : schedule.operands) visit(operand);
  };
  for_each_slice([&](const Slice& s) {
    if (s.buffer == Buffer::scratch) std::fill_n(used.begin() + s.chunk, s.count, true);
  });
  if (std::ranges::find(used, false) == used.end()) return;
  ChunkList kept;
  std::vector<std::uint32_t> renamed(used.size());
  for (std::size_t i = 0; i < used.size(); ++i) {
    renamed[i] = kept.size();
    if (used[i]) kept.push_back(schedule.scratch[i]);
  }
  for_each_slice([&](Slice& s) {
    if (s.buffer == Buffer::scratch) s.chunk = renamed[s.chunk];
  });
  schedule.scratch = std::move(kept);
}

bool same_stream(const Step& a, const Step& b) { return a.peer == b.peer && a.channel == b.channel; }

// The next link of a chain of reductions into `to` that starts at step i.
std::optional<std::uint32_t> next_in_chain(Graph& g, std::uint32_t i, const Slice& to) {
  for (const auto s : g.after(i))
    if (g.step(s).kind == StepKind::reduce && g.step(s).to == to) return s;
  return std::nullopt;
}

void fold_chain_at(Graph& g, std::uint32_t start) {
  if (g.dropped(start)) return;
  const Step first = g.step(start);
  if (first.kind != StepKind::copy && first.kind != StepKind::reduce) return;
  auto next = next_in_chain(g, start, first.to);
  if (!next) return;
  std::vector<std::uint32_t> chain{start};
  for (; next; next = next_in_chain(g, *next, first.to)) chain.push_back(*next);
  const std::size_t reductions = chain.size() - (first.kind == StepKind::copy ? 1 : 0);
  if (reductions < 2) return;
  const std::uint32_t last = chain.back();
  for (std::size_t c = 0; c + 1 < chain.size(); ++c)
    if (!g.only_for(chain[c], chain[c + 1])) return;

  std::vector<Slice> operands{first.kind == StepKind::copy ? first.from : first.to};
  for (const auto c : chain) {
    const Step& s = g.step(c);
    if (s.kind == StepKind::reduce) operands.insert(s.from_is_left ? operands.begin() : operands.end(), s.from);
  }
  auto& pool = g.schedule().operands;
  const auto begin = static_cast<std::uint32_t>(pool.size());
  pool.insert(pool.end(), operands.begin(), operands.end());
  for (std::size_t c = 0; c + 1 < chain.size(); ++c) g.drop(chain[c]);
  g.step(last) = {.kind = StepKind::fold,
                  .to = first.to,
                  .operand_begin = begin,
                  .operand_end = begin + static_cast<std::uint32_t>(operands.size())};
}

Schedule fold_chains(Schedule schedule) {
  Graph g(std::move(schedule));
  for (std::uint32_t i = 0; i < g.size(); ++i) fold_chain_at(g, i);
  return g.drops() ? std::move(g).finish() : std::move(g.schedule());
}

// Reducing on arrival posts the receive only once the other operand is there. That is safe when the operand waits for no
// message that the receive itself did not wait for: otherwise two ranks that do the same could wait for each other.
bool waits_for_messages(Graph& g, std::uint32_t reduction, std::uint32_t recv) {
  constexpr std::size_t kMostSteps = 64;  // of local work behind one operand; more are not looked at
  std::vector<std::uint32_t> open(g.before(reduction).begin(), g.before(reduction).end());
  for (std::size_t i = 0; i < open.size(); ++i) {
    const std::uint32_t d = open[i];
    if (d == recv || std::ranges::find(g.before(recv), d) != g.before(recv).end()) continue;
    if (open.size() > kMostSteps || communicates(g.step(d))) return true;
    open.insert(open.end(), g.before(d).begin(), g.before(d).end());
  }
  return false;
}

class ArrivalFuser {
 public:
  explicit ArrivalFuser(Schedule schedule) : g_(std::move(schedule)), touches_(g_.schedule().scratch.size()) {
    for (std::uint32_t i = 0; i < g_.size(); ++i) {
      const auto count = [&](const Slice& s) {
        if (s.buffer == Buffer::scratch)
          for (std::uint32_t c = 0; c < s.count; ++c) ++touches_[s.chunk + c];
      };
      for_each_read(g_.schedule(), g_.step(i), count);
      for_each_write(g_.step(i), count);
    }
  }

  [[nodiscard]] Schedule run() && {
    for (std::uint32_t i = 0; i < g_.size(); ++i)
      if (g_.step(i).kind == StepKind::recv) fuse_recv(i);
    return g_.drops() ? std::move(g_).finish() : std::move(g_.schedule());
  }

 private:
  void fuse_recv(std::uint32_t r) {
    const Step recv = g_.step(r);
    if (recv.to.buffer != Buffer::scratch || g_.after(r).size() != 1) return;
    const std::uint32_t q = g_.after(r).front();
    const Step reduction = g_.step(q);
    if (reduction.kind != StepKind::reduce || reduction.from != recv.to || waits_for_messages(g_, q, r)) return;
    for (std::uint32_t c = 0; c < recv.to.count; ++c)
      if (touches_[recv.to.chunk + c] != 2) return;  // the receive and the reduction alone
    for (std::uint32_t i = r + 1; i < q; ++i)        // receives of one stream keep their order
      if (g_.step(i).kind == StepKind::recv && same_stream(g_.step(i), recv) && !g_.dropped(i)) return;

    Step fused{.kind = StepKind::recv_reduce,
               .from_is_left = !reduction.from_is_left,
               .channel = recv.channel,
               .peer = recv.peer,
               .from = reduction.to,
               .to = reduction.to};
    if (const auto copy = initial_copy(q, r)) {
      fused.from = g_.step(*copy).from;
      g_.drop(*copy);
    }
    g_.step(q) = fused;
    g_.drop(r);
  }

  // The copy that only brings the other operand of reduction q into place.
  std::optional<std::uint32_t> initial_copy(std::uint32_t q, std::uint32_t r) {
    std::optional<std::uint32_t> copy;
    for (const auto d : g_.before(q)) {
      if (d == r) continue;
      const Step& s = g_.step(d);
      if (copy || s.kind != StepKind::copy || s.to != g_.step(q).to || !g_.only_for(d, q)) return std::nullopt;
      copy = d;
    }
    return copy;
  }

  Graph g_;
  std::vector<std::uint32_t> touches_;
};

}  // namespace

Schedule fuse(const Schedule& schedule, const FuseOptions& options) {
  Schedule fused = fold_chains(schedule);
  if (options.arrivals) fused = ArrivalFuser(std::move(fused)).run();
  compact_scratch(fused);
  return fused;
}

}  // namespace tutti
