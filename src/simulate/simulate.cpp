#include "simulate/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <queue>
#include <random>

namespace tutti::simulate {
namespace {

constexpr std::size_t kLoadsShown = 5;
constexpr std::size_t kHops = 4;  // of most messages
// Messages that share a link take turns by segments of so many bytes at the least, and fewer, larger ones where there are so many
// messages that their moves would be more than this.
constexpr std::uint64_t kSegmentBytes = std::uint64_t{16} << 10;
constexpr std::uint32_t kMostSegments = 8;
constexpr std::uint64_t kMostMoves = 40'000'000;

class Simulation {
 public:
  Simulation(const Program& program, const JobMachine& machine, const Conditions& conditions,
             const std::function<void(const Span&)>& watch, const std::function<void(const Progress&)>& report)
      : program_(program),
        machine_(machine),
        conditions_(conditions),
        watch_(watch),
        report_(report),
        network_(machine, program.switches()) {
    const auto ranks = static_cast<std::size_t>(program.ranks());
    cores_.resize(ranks);
    for (Rank s = machine.ranks; s < program.ranks(); ++s) core(s).factor = 0;
    state_.resize(program.steps());
    for (StepId s = 0; s < program.steps(); ++s) {
      state_[s].waits_for = program.step(s).waits_for;
      if (program.step(s).kind != StepKind::send) continue;
      ++all_messages_;
      if (program.step(s).next_in_stream != kNoStep) state_[program.step(s).next_in_stream].follows = true;
    }
    most_segments_ =
        static_cast<std::uint32_t>(std::clamp<std::uint64_t>(kMostMoves / ((all_messages_ + 1) * kHops), 1, kMostSegments));
    for (const auto& slow : conditions.slow_ranks) cores_[static_cast<std::size_t>(slow.rank)].factor *= slow.factor;
    for (const auto& slow : conditions.slow_links) network_.slow_down(slow.rank, slow.factor);
    for (const auto& lost : conditions.lost) core(lost.rank).lost_at = std::min(core(lost.rank).lost_at, lost.at);
  }

  static constexpr std::size_t bytes_per_step() noexcept { return sizeof(State) + sizeof(Event); }
  static constexpr std::size_t bytes_per_message() noexcept { return sizeof(Message) + kHops * sizeof(Network::Hop); }

  Result<Outcome> run() {
    begin_ranks();
    Outcome outcome;
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      if (event.at >= kMostTime)
        return Error(Code::resource, "the call takes longer than 53 days, which virtual time cannot count");
      if (++outcome.events % kEventsPerReport == 0 && report_) report_({outcome.events, messages_, all_messages_, event.at});
      happen(event);
    }
    outcome.messages = messages_;
    find_ends(outcome);
    outcome.busiest = network_.busiest(kLoadsShown);
    outcome.memory_bytes = program_.memory_bytes() + network_.memory_bytes() + state_.capacity() * sizeof(State) +
                           cores_.capacity() * sizeof(Core) + most_events_ * sizeof(Event) +
                           under_way_.capacity() * bytes_per_message();
    return outcome;
  }

 private:
  enum class What : std::uint8_t { ready, moves, arrived, done };
  struct Event {
    Time at = 0;
    std::uint64_t number = 0;  // those of one time happen in the order in which they were foreseen
    std::uint32_t step = 0;    // moves: which message does
    Rank rank = 0;
    What what = What::ready;
    std::uint32_t hop = 0;  // moves: to which one
    friend bool operator>(const Event& a, const Event& b) noexcept { return a.at != b.at ? a.at > b.at : a.number > b.number; }
  };
  struct State {
    std::uint32_t waits_for = 0;
    bool begun = false, arrived = false, done = false;
    bool goes = false, follows = false;  // send: nothing else keeps it; but an earlier message of its stream has not left yet
    Time at = 0;                         // send, receive: when its rank was ready for the message
  };
  struct Core {
    Time free = 0, ended = 0;
    Time lost_at = kMostTime;
    double factor = 1;
  };

  struct Message {
    StepId send = 0;
    Rank from = 0, to = 0;
    std::uint32_t segments = 1, to_leave = 1, to_arrive = 1;
    Time begun = 0, ends = 0;  // when the first byte has left, and the last one the last hop until now
    std::vector<Network::Hop> way;
  };

  void begin_ranks() {
    std::mt19937_64 random(conditions_.seed);
    for (Rank r = 0; r < program_.ranks(); ++r) {
      // Not by a distribution of the library, whose numbers another one need not give.
      const double share = static_cast<double>(random() >> 11) / static_cast<double>(std::uint64_t{1} << 53);
      const Time late = r < machine_.ranks ? from_microseconds(conditions_.delay_us * share) : 0;
      core(r).ended = late;
      for (StepId s = program_.first(r); s < program_.end(r); ++s)
        if (state_[s].waits_for == 0) foresee(late, s, What::ready, r);
    }
  }

  void foresee(Time at, std::uint32_t step, What what, Rank rank, std::size_t hop = 0) {
    events_.push({at, next_number_++, step, rank, what, static_cast<std::uint32_t>(hop)});
    most_events_ = std::max(most_events_, events_.size());
  }

  void happen(const Event& event) {
    if (event.what != What::moves && event.at >= core(event.rank).lost_at) return;
    switch (event.what) {
      case What::moves:
        return move(event.step, event.hop, event.at);
      case What::ready:
        return begin(event.step, event.rank, event.at);
      case What::arrived:
        state_[event.step].arrived = true;
        if (state_[event.step].begun) take_in(event.step, event.rank, event.at);
        return;
      case What::done:
        return finish(event.step, event.rank, event.at);
    }
  }

  Core& core(Rank r) { return cores_[static_cast<std::size_t>(r)]; }

  // The rank's core works for so long, as soon as it can; returns when it is done.
  Time work(Rank r, double us, Time at) {
    Core& c = core(r);
    c.free = later(std::max(c.free, at), from_microseconds(us * c.factor));
    return c.free;
  }

  void begin(StepId id, Rank rank, Time at) {
    const ProgramStep& step = program_.step(id);
    const Time begun = work(rank, machine_.step_us, at);
    state_[id].begun = true;
    state_[id].at = begun;
    if (step.next_in_stream != kNoStep) release(step.next_in_stream, rank, begun);
    switch (step.kind) {
      case StepKind::send:
        if (step.bytes <= conditions_.eager_bytes || state_[step.partner].begun) transmit(id, rank);
        return;
      case StepKind::recv:
      case StepKind::recv_reduce:
        if (state_[id].arrived) return take_in(id, rank, begun);
        if (step.bytes > conditions_.eager_bytes && state_[step.partner].begun)
          transmit(step.partner, program_.rank_of(step.partner));
        return;
      case StepKind::copy:
      case StepKind::reduce:
      case StepKind::fold:
        return compute(id, rank, begun);
    }
  }

  // Both have begun, or it needs no room at the receiver.
  void transmit(StepId id, Rank from) {
    const ProgramStep& step = program_.step(id);
    const Rank to = program_.rank_of(step.partner);
    Time at = state_[id].at;
    if (step.bytes > conditions_.eager_bytes) at = std::max(at, later(state_[step.partner].at, network_.latency(to, from)));
    state_[id].at = at;
    state_[id].goes = true;
    if (!state_[id].follows) launch(id, from, to);
  }

  void launch(StepId id, Rank from, Rank to) {
    const ProgramStep& step = program_.step(id);
    ++messages_;
    const std::uint32_t m = new_message();
    Message& message = under_way_[m];
    message.send = id;
    message.from = from;
    message.to = to;
    message.segments = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(step.bytes / kSegmentBytes, 1, most_segments_));
    message.to_leave = message.to_arrive = message.segments;
    message.ends = 0;
    network_.route(from, to, step.bytes, message.way);
    foresee(state_[id].at, m, What::moves, from);
  }

  // The last of a message has left its sender: the next one of the stream may.
  void follow(const ProgramStep& step, Rank from, Rank to, Time at) {
    if (step.next_in_stream == kNoStep) return;
    State& next = state_[step.next_in_stream];
    next.follows = false;
    if (!next.goes) return;
    next.at = std::max(next.at, at);
    launch(step.next_in_stream, from, to);
  }

  std::uint32_t new_message() {
    if (free_messages_.empty()) {
      under_way_.emplace_back();
      return static_cast<std::uint32_t>(under_way_.size() - 1);
    }
    const std::uint32_t m = free_messages_.back();
    free_messages_.pop_back();
    return m;
  }

  // A segment has come to a link of its way.
  void move(std::uint32_t m, std::size_t at_hop, Time at) {
    Message& message = under_way_[m];
    if (at_hop == 0 && at >= core(message.from).lost_at) return;  // what has left it by then arrives
    const ProgramStep& step = program_.step(message.send);
    const bool last = at_hop == 0 ? message.to_leave == 1 : message.to_arrive == 1;
    const Time occupied = message.way[at_hop].occupied / message.segments;
    const std::uint64_t bytes = step.bytes / message.segments + (last ? step.bytes % message.segments : 0);
    const Time begun = network_.enter({message.way[at_hop].link, occupied}, bytes, at);
    const Time left = later(begun, occupied);
    message.ends = std::max(message.ends, left);
    if (at_hop == 0) {
      if (message.to_leave == message.segments) message.begun = begun;
      if (--message.to_leave > 0) {
        foresee(left, m, What::moves, message.from);
      } else {
        foresee(left, message.send, What::done, message.from);
        const Rank from = message.from, to = message.to;
        follow(step, from, to, left);  // which may move the messages in memory
      }
    }
    pass_on(m, at_hop, begun);
  }

  // To the next link of its way, or to its receiver.
  void pass_on(std::uint32_t m, std::size_t from_hop, Time at) {
    Message& message = under_way_[m];
    if (from_hop + 1 < message.way.size()) return foresee(at, m, What::moves, message.from, from_hop + 1);
    if (--message.to_arrive > 0) return;
    const ProgramStep& step = program_.step(message.send);
    const Time arrived = later(message.ends, network_.latency(message.from, message.to));
    if (watch_) watch_({message.from, message.to, StepKind::send, step.bytes, message.begun, arrived});
    foresee(arrived, step.partner, What::arrived, message.to);
    free_messages_.push_back(m);
  }

  void take_in(StepId id, Rank rank, Time at) {
    const ProgramStep& step = program_.step(id);
    if (step.kind != StepKind::recv_reduce) return finish(id, rank, at);
    compute(id, rank, at);
  }

  void compute(StepId id, Rank rank, Time at) {
    const ProgramStep& step = program_.step(id);
    const double bytes = static_cast<double>(step.bytes) / 1e3;
    const double combined = bytes / machine_.reduce_gbps, copied = bytes / machine_.copy_gbps;
    double us = combined;
    if (step.kind == StepKind::copy) us = copied;
    if (step.kind == StepKind::recv_reduce) us = std::max(0.0, combined - copied);
    if (step.kind == StepKind::fold) us = combined * (step.operands + 1) / 3;  // of two operands, three streams pass
    const Time done = work(rank, us, at);
    if (watch_) watch_({rank, kNoRank, step.kind, step.bytes, done - from_microseconds(us * core(rank).factor), done});
    foresee(done, id, What::done, rank);
  }

  void finish(StepId id, Rank rank, Time at) {
    state_[id].done = true;
    core(rank).ended = std::max(core(rank).ended, at);
    for (const StepId next : program_.successors(id)) release(next, rank, at);
  }

  void release(StepId id, Rank rank, Time at) {
    if (--state_[id].waits_for == 0) foresee(at, id, What::ready, rank);
  }

  void find_ends(Outcome& outcome) {
    outcome.first_end = std::numeric_limits<Time>::max();
    for (Rank r = 0; r < machine_.ranks; ++r) {
      const Time ended = core(r).ended;
      if (ended > outcome.end) outcome.end = ended, outcome.last = r;
      if (ended < outcome.first_end) outcome.first_end = ended, outcome.first = r;
      for (StepId s = program_.first(r); s < program_.end(r); ++s) {
        if (state_[s].done) continue;
        outcome.stuck.push_back({r, awaited_by(r)});
        break;
      }
    }
  }

  // A rank from which, or for which, it waits.
  Rank awaited_by(Rank r) {
    if (core(r).lost_at < kMostTime) return kNoRank;
    for (StepId s = program_.first(r); s < program_.end(r); ++s)
      if (state_[s].begun && !state_[s].done && program_.step(s).partner != kNoStep)
        return program_.rank_of(program_.step(s).partner);
    return r;
  }

  const Program& program_;
  const JobMachine& machine_;
  const Conditions& conditions_;
  const std::function<void(const Span&)>& watch_;
  const std::function<void(const Progress&)>& report_;
  Network network_;
  std::vector<Core> cores_;
  std::vector<State> state_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint32_t most_segments_ = 1;
  std::vector<Message> under_way_;
  std::vector<std::uint32_t> free_messages_;
  std::uint64_t next_number_ = 0, messages_ = 0, all_messages_ = 0;
  std::size_t most_events_ = 0;
};

}  // namespace

std::uint64_t memory_forecast(const Program::Size& size) {
  return size.memory_bytes() + size.steps * Simulation::bytes_per_step() + size.messages * Simulation::bytes_per_message();
}

Result<Outcome> run(const Program& program, const JobMachine& machine, const Conditions& conditions,
                    const std::function<void(const Span&)>& watch, const std::function<void(const Progress&)>& report) {
  return Simulation(program, machine, conditions, watch, report).run();
}

}  // namespace tutti::simulate
