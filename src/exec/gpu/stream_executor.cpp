#include "gpu/stream_executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>

#include "core/thread.h"
#include "gpu/one_pass.h"

namespace tutti::gpu {
namespace {

constexpr std::uint32_t kMostSignature = (std::uint32_t{1} << 30) - 1;
constexpr unsigned kThreads = 256;           // of a block
constexpr std::uint64_t kThreadBytes = 64;   // that a thread has to do at least
constexpr unsigned kBlocksPerProcessor = 4;  // at most

const std::byte* pointer(Address at) { return reinterpret_cast<const std::byte*>(at); }
std::byte* pointer_to(Address at) { return reinterpret_cast<std::byte*>(at); }

// Of all stretches together: the same inbox serves them all.
std::vector<LaneNeed> needs_of(const std::vector<Program*>& programs) {
  std::map<std::tuple<Rank, std::uint16_t, bool>, std::uint64_t> most;
  for (const Program* p : programs)
    for (const bool outgoing : {false, true})
      for (const LaneUse& use : outgoing ? p->outgoing : p->incoming) {
        std::uint64_t& bytes = most[{use.peer, use.channel, outgoing}];
        bytes = std::max(bytes, inbox_bytes(use.bytes));
      }
  std::vector<LaneNeed> needs;
  for (const auto& [key, bytes] : most) needs.push_back({std::get<0>(key), std::get<1>(key), std::get<2>(key), bytes});
  return needs;
}

}  // namespace

std::size_t Prepared::operations() const noexcept {
  return std::accumulate(stretches_.begin(), stretches_.end(), std::size_t{0},
                         [](std::size_t sum, const Stretch& s) { return sum + s.pieces * s.program.ops.size(); });
}

std::uint64_t Prepared::scratch_bytes() const noexcept {
  std::uint64_t most = 0;
  for (const Stretch& s : stretches_) most = std::max(most, s.program.scratch_bytes);
  return most;
}

// Puts one call into a stream.
class Enqueuing {
 public:
  Enqueuing(StreamExecutor& executor, std::span<const DeviceBuffers> buffers, const DeviceBuffers& seen, const Factor& factor,
            StreamHandle stream)
      : executor_(executor),
        driver_(executor.driver()),
        buffers_(buffers),
        seen_(seen),
        factor_(factor),
        stream_(stream),
        scratch_(executor.station_->scratch()) {}

  Status run(const Prepared& call) {
    constexpr unsigned kAround = 6;  // what its caller puts into the stream before and behind a call: marks and events
    if (auto s = executor_.backlog_.add(driver_, stream_, executor_.aborted_, kAround); !s) return s;
    for (const Prepared::Stretch& s : call.stretches_) {
      stretch_ = &s;
      checked_.assign(s.incoming.size(), false);
      for (std::uint64_t j = 0; j < s.pieces; ++j) {
        shift_ = (s.first + j) * s.piece_bytes;
        for (const Op& op : s.program.ops)
          if (auto status = run(op); !status) return status;
      }
    }
    return use_flags();
  }

 private:
  [[nodiscard]] Address at(const Spot& spot) const {
    switch (spot.space) {
      case Space::input:
        return buffers_[spot.index].input + shift_ + spot.offset;
      case Space::output:
        return buffers_[spot.index].output + shift_ + spot.offset;
      case Space::scratch:
        return scratch_ + spot.offset;
      case Space::inbox:
        return inbox(stretch_->incoming[spot.index]) + spot.offset;
      case Space::peers_inbox:
        return inbox(stretch_->outgoing[spot.index]) + spot.offset;
    }
    return 0;
  }
  static Address inbox(const Prepared::Lane& lane) { return lane.inbox[lane.end->half]; }

  // For what the same device has written: there is nothing to flush.
  Status wait_here(Address word, std::uint32_t value) {
    return add({.kind = MemoryOperation::Kind::wait, .word = word, .value = value, .flags = kWaitGreaterOrEqual});
  }
  Status wait(Address word, std::uint32_t value) {
    return add(
        {.kind = MemoryOperation::Kind::wait, .word = word, .value = value, .flags = executor_.station_->lanes().wait_flags()});
  }
  // What came before on the stream is seen by whoever sees this.
  Status write(Address word, std::uint32_t value) {
    return add({.kind = MemoryOperation::Kind::write, .word = word, .value = value});
  }
  // Waits and writes that follow each other are one call of the driver.
  Status add(const MemoryOperation& operation) {
    flags_[waiting_++] = operation;
    return waiting_ == kMostMemoryOperations ? use_flags() : Status{};
  }
  Status go_ahead() { return executor_.backlog_.add(driver_, stream_, executor_.aborted_); }
  Status use_flags() {
    if (waiting_ == 0) return {};
    const unsigned count = std::exchange(waiting_, 0);
    if (auto s = go_ahead(); !s) return s;
    return submit(driver_, stream_, {flags_.data(), count});
  }

  // Two words behind `ready`, the second one growing smaller as the first one grows: both are as large as mine, or larger, where
  // they are mine, or where all waits are being ended.
  static constexpr Address kFirst = 4, kSecond = 8;
  [[nodiscard]] static std::uint32_t first(std::uint32_t signature) { return signature % (kMostSignature + 1); }
  [[nodiscard]] static std::uint32_t second(std::uint32_t signature) { return kMostSignature - first(signature); }

  Status sign(Address ready, std::uint32_t signature) {
    if (auto s = write(ready + kFirst, first(signature)); !s) return s;
    return write(ready + kSecond, second(signature));
  }
  Status check_signature(Address ready, std::uint32_t signature) {
    if (auto s = wait(ready + kFirst, first(signature)); !s) return s;
    return wait(ready + kSecond, second(signature));
  }

  Status run(const Op& op) {
    switch (op.kind) {
      case OpKind::acquire: {
        LaneEnd& lane = *stretch_->outgoing[op.lane].end;
        lane.half ^= 1;
        const Address credit = lane.credit[lane.half];
        if (auto s = wait(credit, 1); !s) return s;
        if (auto s = write(credit, 0); !s) return s;
        return sign(lane.ready[lane.half], op.signature);
      }
      case OpKind::post: {
        const LaneEnd& lane = *stretch_->outgoing[op.lane].end;
        return write(lane.ready[lane.half], op.value);
      }
      case OpKind::await: {
        const LaneEnd& lane = *stretch_->incoming[op.lane].end;
        const Address ready = lane.ready[lane.half];
        if (auto s = wait(ready, op.value); !s || checked_[op.lane]) return s;
        checked_[op.lane] = true;
        return check_signature(ready, op.signature);
      }
      case OpKind::release: {
        LaneEnd& lane = *stretch_->incoming[op.lane].end;
        const std::uint32_t half = std::exchange(lane.half, lane.half ^ 1);
        checked_[op.lane] = false;
        if (auto s = write(lane.ready[half], 0); !s) return s;
        return write(lane.credit[half], 1);
      }
      case OpKind::copy:
        if (auto s = use_flags(); !s) return s;
        if (auto s = go_ahead(); !s) return s;
        return check(driver_, driver_.copy(at(op.to), at(op.from), op.count, stream_), "cuMemcpyAsync");
      case OpKind::fold:
        return fold(op);
      case OpKind::prepare:
        return prepare(op);
      case OpKind::finish:
        return finish(op);
      case OpKind::tell:
        return tell(op);
      case OpKind::one_pass:
        return one_pass(op);
      case OpKind::told:
        return told(op);
    }
    return Error(Code::internal, "unknown kind of operation");
  }

  // Of a lane that is used without halves: what its end waits for, and by which both sides know that they are in the same call.
  // As in check_signature, but the first word is also `ready`, and never 0.
  [[nodiscard]] static Address ready(const Prepared::Lane& lane) { return lane.end->ready[0]; }
  [[nodiscard]] static std::uint32_t number(std::uint32_t signature) { return std::max(first(signature), 1U); }

  Status tell(const Op& op) {
    const Prepared::Lane& lane = stretch_->outgoing[op.lane];
    Address into = lane.inbox[0];  // a device::RankBuffers
    for (const Address buffer : {seen_.input, seen_.output})
      for (int half = 0; half < 2; ++half, into += sizeof(std::uint32_t))
        if (auto s = write(into, static_cast<std::uint32_t>(buffer >> 32 * half)); !s) return s;
    if (auto s = write(ready(lane) + kSecond, kMostSignature - number(op.signature)); !s) return s;
    return write(ready(lane), number(op.signature));
  }
  Status told(const Op& op) {
    const Address done = ready(stretch_->incoming[op.lane]);
    if (auto s = wait_here(done, 1); !s) return s;
    return write(done, 0);
  }

  Status one_pass(const Op& op) {
    const Program& p = stretch_->program;
    device::OnePassArguments a{};
    for (std::size_t l = 0; l < p.incoming.size(); ++l) {
      const Prepared::Lane& lane = stretch_->incoming[l];
      if (auto s = wait_here(ready(lane), number(op.signature)); !s) return s;
      if (auto s = wait_here(ready(lane) + kSecond, kMostSignature - number(op.signature)); !s) return s;
      a.others[p.incoming[l].peer] = {reinterpret_cast<const device::RankBuffers*>(lane.inbox[0]),
                                      reinterpret_cast<std::uint32_t*>(ready(lane)),
                                      reinterpret_cast<std::uint32_t*>(ready(stretch_->outgoing[l]))};
    }
    a.own = {pointer(buffers_.front().input), pointer_to(buffers_.front().output)};
    a.count = op.count;
    a.blocks = reinterpret_cast<std::uint32_t*>(executor_.station_->counter());
    a.call = number(op.signature);
    a.average_over = p.average_over;
    a.type = p.type;
    a.kind = p.op.kind;
    std::copy(p.items.begin(), p.items.end(), a.items);
    a.item_count = static_cast<std::uint32_t>(p.items.size());
    return launch(executor_.station_->kernels().one_pass, a, "tutti_one_pass");
  }

  template <class Arguments>
  Status launch(KernelHandle kernel, Arguments& arguments, std::string_view name) {
    const std::uint64_t bytes = arguments.count * size_of(arguments.type);
    const std::uint64_t blocks = (bytes + kThreads * kThreadBytes - 1) / (kThreads * kThreadBytes);
    const auto grid =
        static_cast<unsigned>(std::clamp<std::uint64_t>(blocks, 1, kBlocksPerProcessor * executor_.station_->processors()));
    void* list[] = {&arguments};
    if (auto s = use_flags(); !s) return s;
    if (auto s = go_ahead(); !s) return s;
    return check(driver_, driver_.launch(kernel, grid, 1, 1, kThreads, 1, 1, 0, stream_, list, nullptr), name);
  }

  // In turns where one kernel does not take them all: the result so far is the first operand of the next turn. Where it lies is
  // written in the first turn, so an operand that lies there must be in it. The order of operands may change: every operator that
  // has a kernel commutes.
  Status fold(const Op& op) {
    const Program& p = stretch_->program;
    std::vector<Address> operands;
    for (auto o = op.operands_begin; o < op.operands_end; ++o) operands.push_back(at(p.operands[o]));
    const Address to = at(op.to);
    if (operands.size() > device::kMostOperands)
      if (const auto own = std::ranges::find(operands, to); own != operands.end()) std::iter_swap(own, operands.begin());
    for (std::size_t done = 0; done < operands.size();) {
      device::FoldArguments a{};
      a.out = pointer_to(to);
      a.count = op.count;
      a.type = p.type;
      a.kind = p.op.kind;
      if (done > 0) a.inputs[a.operands++] = pointer(to);
      while (a.operands < device::kMostOperands && done < operands.size()) a.inputs[a.operands++] = pointer(operands[done++]);
      a.average_over = done == operands.size() ? p.average_over : 0;
      if (auto s = launch(executor_.station_->kernels().fold, a, "tutti_fold"); !s) return s;
    }
    return {};
  }

  Status prepare(const Op& op) {
    device::PrepareArguments a{.in = pointer(at(op.from)),
                               .out = pointer_to(at(op.to)),
                               .count = op.count,
                               .scalar = pointer(factor_.on_device),
                               .factor = factor_.value,
                               .type = stretch_->program.type};
    return launch(executor_.station_->kernels().prepare, a, "tutti_prepare");
  }

  Status finish(const Op& op) {
    const Program& p = stretch_->program;
    device::FinishArguments a{.data = pointer_to(at(op.to)), .count = op.count, .ranks = p.ranks, .type = p.type};
    return launch(executor_.station_->kernels().finish, a, "tutti_finish");
  }

  StreamExecutor& executor_;
  const Driver& driver_;
  std::span<const DeviceBuffers> buffers_;
  const DeviceBuffers seen_;
  const Factor& factor_;
  StreamHandle stream_;
  Address scratch_;
  const Prepared::Stretch* stretch_ = nullptr;
  std::uint64_t shift_ = 0;
  std::array<MemoryOperation, kMostMemoryOperations> flags_;
  unsigned waiting_ = 0;       // of them
  std::vector<bool> checked_;  // of the incoming lanes' messages in this piece one, whether they belong to this call
};

Result<std::unique_ptr<StreamExecutor>> StreamExecutor::make(const Setup& setup) {
  auto station = Station::make(setup);
  if (!station) return std::move(station.error());
  return std::unique_ptr<StreamExecutor>(new StreamExecutor(std::move(*station)));
}

StreamExecutor::~StreamExecutor() {
  gone_ = true;
  if (freeing_.joinable()) freeing_.join();
}

Result<std::shared_ptr<const Prepared>> StreamExecutor::prepare(const CollectiveCall& call, const Schedule& mine) {
  auto pieces = cut(call);
  if (!pieces) return std::move(pieces.error());
  std::vector<Prepared::Stretch> stretches;
  const auto add = [&](std::uint64_t elements, std::uint64_t first, std::uint64_t count) -> Status {
    auto plan = plan_of_piece(call, mine, *pieces, elements);
    if (!plan) return std::move(plan.error());
    auto program = program_of(*plan, call, *pieces, elements);
    if (!program) return std::move(program.error());
    stretches.push_back({.program = std::move(*program),
                         .pieces = count,
                         .first = first,
                         .piece_bytes = pieces->per_piece * call.element_bytes()});
    return {};
  };
  const bool even = pieces->rest() == pieces->per_piece;
  const std::uint64_t full = even || pieces->pieces == 0 ? pieces->pieces : pieces->pieces - 1;
  if (full > 0)
    if (auto s = add(pieces->per_piece, 0, full); !s) return std::move(s.error());
  if (full < pieces->pieces)
    if (auto s = add(pieces->rest(), full, 1); !s) return std::move(s.error());
  return open(std::move(stretches));
}

Result<std::shared_ptr<const Prepared>> StreamExecutor::prepare_one_pass(const CollectiveCall& call) {
  std::vector<Prepared::Stretch> stretches;
  stretches.push_back({.program = one_pass_program(station_->rank(), call)});
  return open(std::move(stretches));
}

Result<std::shared_ptr<const Prepared>> StreamExecutor::prepare(std::span<const Message> group) {
  auto program = program_of(station_->rank(), group);
  if (!program) return std::move(program.error());
  std::vector<Prepared::Stretch> stretches;
  stretches.push_back({.program = std::move(*program)});
  return open(std::move(stretches));
}

Result<std::shared_ptr<const Prepared>> StreamExecutor::open(std::vector<Prepared::Stretch> stretches) {
  if (aborted_) return Error(Code::aborted, "this communicator was aborted");
  auto prepared = std::make_shared<Prepared>();
  prepared->stretches_ = std::move(stretches);
  if (auto s = station_->reserve(prepared->scratch_bytes()); !s) return std::move(s.error());  // before others can be in the call
  std::vector<Program*> programs;
  for (auto& s : prepared->stretches_) programs.push_back(&s.program);
  const std::vector<LaneNeed> needs = needs_of(programs);
  if (auto s = station_->lanes().open(needs); !s) return std::move(s.error());
  const auto lane = [&](const LaneUse& use, bool outgoing) {
    const auto need = std::ranges::find_if(
        needs, [&](const LaneNeed& n) { return n.peer == use.peer && n.channel == use.channel && n.outgoing == outgoing; });
    LaneEnd& end = station_->lanes().end(*need);
    return Prepared::Lane{&end, end.inboxes[need->inbox_bytes]};
  };
  for (auto& s : prepared->stretches_) {
    for (const LaneUse& use : s.program.outgoing) s.outgoing.push_back(lane(use, true));
    for (const LaneUse& use : s.program.incoming) s.incoming.push_back(lane(use, false));
  }
  return std::shared_ptr<const Prepared>(std::move(prepared));
}

Status StreamExecutor::enqueue(const Prepared& call, std::span<const DeviceBuffers> buffers, const Factor& factor,
                               StreamHandle stream, const DeviceBuffers& seen) {
  if (aborted_) return Error(Code::aborted, "this communicator was aborted");
  const Entered entered(driver(), station_->context());
  return Enqueuing(*this, buffers, seen, factor, stream).run(call);
}

Status StreamExecutor::abort() {
  if (aborted_.exchange(true)) return {};
  auto thread = start_thread([this] { free_waiters_until_gone(); });
  if (!thread) return std::move(thread.error());
  freeing_ = std::move(*thread);
  return {};
}

// Again and again: what was enqueued goes on using the flags. First ranks that live are given time to take what has been sent to
// them for calls that do end: what goes on here without their credit overwrites it.
void StreamExecutor::free_waiters_until_gone() {
  constexpr int kGraceMs = 50;
  for (int ms = 0; ms < kGraceMs && !gone_; ++ms) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  while (!gone_ && station_->lanes().free_waiters()) std::this_thread::sleep_for(std::chrono::microseconds(100));
}

}  // namespace tutti::gpu
