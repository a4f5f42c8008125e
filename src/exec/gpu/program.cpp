#include "gpu/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>

#include "gpu/piece_layout.h"

namespace tutti::gpu {
namespace {

enum class Phase : std::uint8_t { other, sending, receiving };

Phase phase_of(const Op& op) {
  switch (op.kind) {
    case OpKind::acquire:
    case OpKind::post:
      return Phase::sending;
    case OpKind::await:
    case OpKind::release:
      return Phase::receiving;
    case OpKind::copy:
      if (op.to.space == Space::peers_inbox) return Phase::sending;
      return op.from.space == Space::inbox ? Phase::receiving : Phase::other;
    default:
      return Phase::other;
  }
}

// Where messages are sent or received without anything between, first all waits, then all copies, then all writes: waits and
// writes that follow each other cost as much as one. A piece's waits for credit need earlier pieces only, and its waits for
// messages stay in their order, so nobody waits for what could not come.
std::vector<Op> flags_together(const std::vector<Op>& ops) {
  std::vector<Op> sorted;
  for (auto begin = ops.begin(); begin != ops.end();) {
    const Phase phase = phase_of(*begin);
    const auto end = std::find_if(begin, ops.end(), [&](const Op& op) { return phase_of(op) != phase; });
    const auto at = static_cast<std::ptrdiff_t>(sorted.size());
    const auto waits = [](const Op& op) { return op.kind == OpKind::acquire || op.kind == OpKind::await; };
    const auto copies = [](const Op& op) { return op.kind == OpKind::copy; };
    for (auto op = begin; op != end; ++op) {
      // Of several messages on a lane the last one counts, and of those that are awaited the first one, with its signature.
      const bool counts_last = op->kind == OpKind::post || (op->kind == OpKind::await && op->value > 1);
      const bool again =
          counts_last && std::any_of(op + 1, end, [&](const Op& o) { return o.kind == op->kind && o.lane == op->lane; });
      if (!again) sorted.push_back(*op);
    }
    if (phase != Phase::other) {
      const auto rest = std::stable_partition(sorted.begin() + at, sorted.end(), waits);
      std::stable_partition(rest, sorted.end(), copies);
    }
    begin = end;
  }
  return sorted;
}

class Compiler {
 public:
  Compiler(const Plan& plan, const CollectiveCall& call, const Cut& cut, std::uint64_t elements)
      : plan_(plan),
        layout_(plan, call, cut, elements),
        size_(call.element_bytes()),
        keeps_empty_(call.collective == Collective::barrier),
        signature_(call.signature),
        outgoing_(plan.links.size(), kNone),
        incoming_(plan.links.size(), kNone) {
    program_.type = call.type;
    program_.op = call.op;
    program_.ranks = plan.ranks;
    if (reduces(call.collective)) program_.average_over = plan.reduction.average_over();
  }

  Program run() {
    for (const PieceLayout::Product& p : layout_.products())
      add({.kind = OpKind::prepare, .count = p.count, .to = as_spot(p.to), .from = as_spot(p.from)});
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) compile(i);
    for (const Extent& e : plan_.average)
      if (e.count > 0) add({.kind = OpKind::finish, .count = e.count, .to = spot({plan_.average_in, e.offset * size_})});
    release_inboxes();
    program_.ops = flags_together(program_.ops);
    measure_scratch();
    return std::move(program_);
  }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  Op& add(const Op& op) {
    program_.ops.push_back(op);
    return program_.ops.back();
  }

  static Spot as_spot(const PlanRange& r) { return {.space = static_cast<Space>(r.buffer), .offset = r.offset}; }
  [[nodiscard]] Spot spot(const PlanRange& r) const { return as_spot(layout_.place(r)); }
  // For reading: what was received and is read but once has stayed in its inbox.
  Spot source(const PlanRange& r) {
    if (r.buffer == Buffer::scratch)
      if (const auto found = in_inbox_.find(r.offset); found != in_inbox_.end()) return found->second;
    return spot(r);
  }

  std::uint32_t lane(std::vector<std::uint32_t>& known, std::vector<LaneUse>& lanes, std::uint32_t link) {
    if (known[link] == kNone) {
      known[link] = static_cast<std::uint32_t>(lanes.size());
      lanes.push_back({.peer = plan_.links[link].peer, .channel = plan_.links[link].channel});
    }
    return known[link];
  }

  void compile(std::size_t i) {
    const PlanStep& s = plan_.steps[i];
    const bool sends = s.kind == StepKind::send;
    const bool receives = s.kind == StepKind::recv || s.kind == StepKind::recv_reduce;
    if (s.count == 0 && !(keeps_empty_ && (sends || receives))) return;
    switch (s.kind) {
      case StepKind::send:
        return send(s);
      case StepKind::recv:
        return recv(i);
      case StepKind::recv_reduce: {
        const Spot arrival = arrive(s);
        const Spot mine = source(s.from);
        return s.from_is_left ? fold(s, {mine, arrival}) : fold(s, {arrival, mine});
      }
      case StepKind::reduce: {
        const Spot from = source(s.from), to = spot(s.to);
        return s.from_is_left ? fold(s, {from, to}) : fold(s, {to, from});
      }
      case StepKind::copy:
        return copy(spot(s.to), source(s.from), s.count * size_);
      case StepKind::fold: {
        std::vector<Spot> operands;
        for (auto o = s.operands_begin; o < s.operands_end; ++o) operands.push_back(source(plan_.operands[o]));
        return fold(s, operands);
      }
    }
  }

  void send(const PlanStep& s) {
    const std::uint32_t at = lane(outgoing_, program_.outgoing, s.stream);
    LaneUse& use = program_.outgoing[at];
    if (use.messages == 0) add({.kind = OpKind::acquire, .lane = at, .signature = signature_});
    copy({.space = Space::peers_inbox, .index = at, .offset = use.bytes}, source(s.from), s.count * size_);
    add({.kind = OpKind::post, .lane = at, .value = ++use.messages});
    use.bytes += room_of(s.count * size_);
  }

  Spot arrive(const PlanStep& s) {
    const std::uint32_t at = lane(incoming_, program_.incoming, s.stream);
    LaneUse& use = program_.incoming[at];
    add({.kind = OpKind::await, .lane = at, .value = ++use.messages, .signature = signature_});
    const Spot arrival{.space = Space::inbox, .index = at, .offset = use.bytes};
    use.bytes += room_of(s.count * size_);
    return arrival;
  }

  void recv(std::size_t i) {
    const PlanStep& s = plan_.steps[i];
    const Spot arrival = arrive(s);
    if (only_reader(plan_, size_, i))
      in_inbox_[s.to.offset] = arrival;
    else
      copy(spot(s.to), arrival, s.count * size_);
  }

  void copy(const Spot& to, const Spot& from, std::uint64_t bytes) {
    if (bytes > 0 && to != from) add({.kind = OpKind::copy, .count = bytes, .to = to, .from = from});
  }

  void fold(const PlanStep& s, const std::vector<Spot>& operands) {
    if (s.count == 0) return;
    if (operands.size() == 1) return copy(spot(s.to), operands.front(), s.count * size_);
    const auto begin = static_cast<std::uint32_t>(program_.operands.size());
    program_.operands.insert(program_.operands.end(), operands.begin(), operands.end());
    add({.kind = OpKind::fold,
         .count = s.count,
         .to = spot(s.to),
         .operands_begin = begin,
         .operands_end = static_cast<std::uint32_t>(program_.operands.size())});
  }

  // Behind the last operation that awaits a message or reads from the inbox.
  void release_inboxes() {
    std::vector<std::size_t> last(program_.incoming.size());
    for (std::size_t i = 0; i < program_.ops.size(); ++i) {
      const Op& op = program_.ops[i];
      if (op.kind == OpKind::await) last[op.lane] = i;
      if (op.kind == OpKind::copy && op.from.space == Space::inbox) last[op.from.index] = i;
      for (auto o = op.operands_begin; o < op.operands_end; ++o)
        if (program_.operands[o].space == Space::inbox) last[program_.operands[o].index] = i;
    }
    std::vector<Op> ops;
    for (std::size_t i = 0; i < program_.ops.size(); ++i) {
      ops.push_back(program_.ops[i]);
      for (std::uint32_t l = 0; l < last.size(); ++l)
        if (last[l] == i) ops.push_back({.kind = OpKind::release, .lane = l});
    }
    program_.ops = std::move(ops);
  }

  void measure_scratch() {
    const auto reach = [&](const Spot& spot, std::uint64_t bytes) {
      if (spot.space == Space::scratch) program_.scratch_bytes = std::max(program_.scratch_bytes, spot.offset + bytes);
    };
    for (const Op& op : program_.ops) {
      const std::uint64_t bytes = op.kind == OpKind::copy ? op.count : op.count * size_;
      reach(op.to, bytes);
      reach(op.from, bytes);
      for (auto o = op.operands_begin; o < op.operands_end; ++o) reach(program_.operands[o], bytes);
    }
  }

  const Plan& plan_;
  PieceLayout layout_;
  std::uint64_t size_;
  bool keeps_empty_;
  std::uint32_t signature_;
  std::vector<std::uint32_t> outgoing_, incoming_;  // lanes of the plan's links
  std::map<std::uint64_t, Spot> in_inbox_;          // by offset in scratch
  Program program_;
};

// A message as far as it has been sent or received.
struct Pending {
  std::uint32_t message = 0;
  std::uint64_t done = 0;
};

class Group {
 public:
  Group(Rank me, std::span<const Message> messages) : me_(me), messages_(messages) {}

  Result<Program> run() {
    for (std::uint32_t m = 0; m < messages_.size(); ++m)
      if (messages_[m].bytes > 0) (messages_[m].sent ? sent_ : received_)[messages_[m].peer].push_back({m, 0});
    if (auto s = copy_own(); !s) return std::move(s.error());
    add_lanes(sent_, program_.outgoing);
    add_lanes(received_, program_.incoming);
    while (!sent_.empty() || !received_.empty()) {
      for (std::uint32_t l = 0; l < program_.outgoing.size(); ++l) send(l);
      for (std::uint32_t l = 0; l < program_.incoming.size(); ++l) receive(l);
    }
    return std::move(program_);
  }

 private:
  using Queues = std::map<Rank, std::deque<Pending>>;

  Status copy_own() {
    auto &from = sent_[me_], &to = received_[me_];
    for (std::size_t i = 0; i < std::max(from.size(), to.size()); ++i) {
      const std::uint64_t out = i < from.size() ? messages_[from[i].message].bytes : 0;
      const std::uint64_t in = i < to.size() ? messages_[to[i].message].bytes : 0;
      if (out != in)
        return Error(
            Code::invalid_argument,
            fmt::format("rank {} sends itself {} bytes where it receives {}: a group must hold both, and alike", me_, out, in));
      program_.ops.push_back({.kind = OpKind::copy,
                              .count = out,
                              .to = {.space = Space::output, .index = to[i].message},
                              .from = {.space = Space::input, .index = from[i].message}});
    }
    sent_.erase(me_);
    received_.erase(me_);
    return {};
  }

  static void add_lanes(const Queues& queues, std::vector<LaneUse>& lanes) {
    for (const auto& [peer, queue] : queues)
      lanes.push_back({.peer = peer, .channel = kPointToPointChannel, .messages = 1, .bytes = kMessagePieceBytes});
  }

  // The next piece of a lane's messages; an empty one where there is none left.
  struct Piece {
    Spot spot = {};
    std::uint64_t bytes = 0;
  };
  Piece next(Queues& queues, Rank peer) const {
    const auto found = queues.find(peer);
    if (found == queues.end()) return {};
    Pending& p = found->second.front();
    const Message& m = messages_[p.message];
    const Piece piece{{.space = m.sent ? Space::input : Space::output, .index = p.message, .offset = p.done},
                      std::min(kMessagePieceBytes, m.bytes - p.done)};
    p.done += piece.bytes;
    if (p.done == m.bytes) found->second.pop_front();
    if (found->second.empty()) queues.erase(found);
    return piece;
  }

  void send(std::uint32_t lane) {
    const Piece piece = next(sent_, program_.outgoing[lane].peer);
    if (piece.bytes == 0) return;
    program_.ops.push_back({.kind = OpKind::acquire, .lane = lane, .signature = static_cast<std::uint32_t>(piece.bytes)});
    program_.ops.push_back(
        {.kind = OpKind::copy, .count = piece.bytes, .to = {.space = Space::peers_inbox, .index = lane}, .from = piece.spot});
    program_.ops.push_back({.kind = OpKind::post, .lane = lane, .value = 1});
  }
  void receive(std::uint32_t lane) {
    const Piece piece = next(received_, program_.incoming[lane].peer);
    if (piece.bytes == 0) return;
    program_.ops.push_back(
        {.kind = OpKind::await, .lane = lane, .value = 1, .signature = static_cast<std::uint32_t>(piece.bytes)});
    program_.ops.push_back(
        {.kind = OpKind::copy, .count = piece.bytes, .to = piece.spot, .from = {.space = Space::inbox, .index = lane}});
    program_.ops.push_back({.kind = OpKind::release, .lane = lane});
  }

  Rank me_;
  std::span<const Message> messages_;
  Queues sent_, received_;
  Program program_;
};

}  // namespace

Result<Program> program_of(const Plan& plan, const CollectiveCall& call, const Cut& cut, std::uint64_t elements) {
  if (reduces(call.collective) && call.op.kind == ReduceKind::user)
    return Error(Code::unsupported, "a reduction by a user's function cannot run on a GPU: use host buffers");
  return Compiler(plan, call, cut, elements).run();
}

Result<Program> program_of(Rank me, std::span<const Message> group) { return Group(me, group).run(); }

}  // namespace tutti::gpu
