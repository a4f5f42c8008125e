// The interpreter: executes the ops of pieces, and speaks the three protocols.
//
// Written against a Machine, whose member functions see a block from within: each_thread(f) calls f(Threads) for every thread of
// the block, one(f) calls f() for a single one, and barrier() says whether all are to go on. On GPUs each thread runs all of this
// and each_thread calls f once; on the host one thread stands for the whole block, and calls f for each of its threads in turn.
// So nothing that belongs to a thread lives on from one each_thread to the next, and within one no thread waits for another.
#pragma once

#include "device/fold.h"
#include "device/op.h"

namespace tutti::device {

template <class Machine>
class Interpreter {
 public:
  constexpr Interpreter(const InterpretArguments& a, Machine& machine)
      : a_(a),
        machine_(machine),
        reduction_{a.type, a.kind, a.average_over},
        element_bytes_(size_of(a.type)),
        line_data_(line_data_bytes(element_bytes_)),
        lanes_(reinterpret_cast<OpenLane*>(machine.shared())),
        operands_(reinterpret_cast<const std::byte**>(lanes_ + a.lane_count)),
        sources_(reinterpret_cast<Source*>(operands_ + a.most_operands)),
        ops_(reinterpret_cast<Op*>(sources_ + a.most_operands)),
        scratch_(a.scratch + std::uint64_t{machine.block()} * a.scratch_bytes) {}

  constexpr void run() {
    const Lane* lanes = a_.lanes + std::uint64_t{machine_.block()} * a_.lane_count;
    each_lane([&](std::uint32_t lane) { lanes_[lane] = {lanes[lane], lanes[lane].own->state}; });
    const bool has_last = a_.last.count > 0;
    bool go_on = machine_.barrier();
    for (std::uint64_t j = machine_.block(); go_on && j < a_.pieces + (has_last ? 1 : 0); j += machine_.blocks())
      go_on = run_piece(j < a_.pieces ? a_.piece : a_.last, j);
    each_lane([&](std::uint32_t lane) { lanes_[lane].lane.own->state = lanes_[lane].state; });
  }

 private:
  template <class Visit>
  constexpr void each_lane(Visit&& visit) {
    machine_.each_thread([&](Threads t) {
      for (auto lane = static_cast<std::uint32_t>(t.index); lane < a_.lane_count; lane += static_cast<std::uint32_t>(t.count))
        visit(lane);
    });
  }

  constexpr bool run_piece(const Program& program, std::uint64_t index) {
    shift_ = index * a_.piece_bytes;
    fetch(program, 0);
    each_lane([&](std::uint32_t lane) { begin(lane, program.lane_use[lane]); });
    if (!machine_.barrier()) return false;
    for (std::uint32_t i = 0; i < program.count; ++i) {
      if (i > 0 && i % kOpsAtOnce == 0) {
        fetch(program, i);
        if (!machine_.barrier()) return false;
      }
      execute(program, ops_[i % kOpsAtOnce]);
      if (!machine_.barrier()) return false;
    }
    if (a_.protocol == Protocol::ll && !forget_flags(program)) return false;
    each_lane([&](std::uint32_t lane) {
      if ((program.lane_use[lane] & kReceives) != 0)
        Machine::store_release(&lanes_[lane].lane.peers->credit, lanes_[lane].state.received);
    });
    return true;
  }

  // A half is free once the peer has received the piece before the last.
  constexpr void begin(std::uint32_t lane, std::uint8_t use) {
    LaneState& state = lanes_[lane].state;
    if ((use & kReceives) != 0) ++state.received;
    if ((use & kSends) == 0) return;
    ++state.sent;
    while (Machine::load_acquire(&lanes_[lane].lane.own->credit) + 2 < state.sent)
      if (machine_.stop(*a_.control, lanes_[lane].lane.peer)) return;
    Machine::store_pair(call_of(lanes_[lane].lane.peers, state.sent), state.sent, a_.signature);
  }

  static constexpr std::byte* call_of(Mailbox* mailbox, std::uint64_t piece) {
    return reinterpret_cast<std::byte*>(mailbox->calls[piece % 2]);
  }

  // Before the first message of a piece is taken for good: whether it belongs to this call.
  constexpr void check_call(const Place& arrival) {
    if (arrival.offset > 0) return;
    machine_.one([&] {
      const OpenLane& lane = lanes_[arrival.lane];
      while (true) {
        const Pair call = Machine::load_pair(call_of(lane.lane.own, lane.state.received));
        if (call.first == lane.state.received && call.second == a_.signature) return;
        if (machine_.stop(*a_.control, lane.lane.peer)) return;
      }
    });
  }

  constexpr void fetch(const Program& program, std::uint32_t first) {
    machine_.each_thread([&](Threads t) {
      for (std::uint64_t i = t.index; i < kOpsAtOnce && first + i < program.count; i += t.count) ops_[i] = program.ops[first + i];
    });
  }

  // 32-bit flags come again after so many pieces that only memory which has not been written since could hold one. At the end of
  // each round there is none.
  constexpr bool forget_flags(const Program& program) {
    for (std::uint32_t lane = 0; lane < a_.lane_count; ++lane) {
      if ((program.lane_use[lane] & kReceives) == 0 || flag_of(lanes_[lane].state.received) < kFlags - 1) continue;
      std::byte* half = half_of(lanes_[lane].lane.own, lanes_[lane].state.received);
      machine_.each_thread([&](Threads t) {
        for (std::uint64_t at = t.index * kWordBytes; at < a_.half_bytes; at += t.count * kWordBytes)
          Machine::store_pair(half + at, 0, 0);
      });
    }
    return machine_.barrier();
  }

  [[nodiscard]] constexpr std::byte* half_of(Mailbox* mailbox, std::uint64_t piece) const {
    return reinterpret_cast<std::byte*>(mailbox + 1) + piece % 2 * a_.half_bytes;
  }
  [[nodiscard]] constexpr std::byte* outgoing(const Place& place) const {
    const OpenLane& lane = lanes_[place.lane];
    return half_of(lane.lane.peers, lane.state.sent) + place.offset;
  }

  // Input is written where it is a part of the output, or holds it.
  [[nodiscard]] constexpr std::byte* at(const Place& place) const {
    switch (place.space) {
      case Space::input:
        return const_cast<std::byte*>(a_.input) + shift_ + place.offset;
      case Space::output:
        return a_.output + shift_ + place.offset;
      case Space::scratch:
        return scratch_ + place.offset;
      case Space::mailbox:
        break;
    }
    const OpenLane& lane = lanes_[place.lane];
    return half_of(lane.lane.own, lane.state.received) + place.offset;
  }

  constexpr void execute(const Program& program, const Op& op) {
    switch (op.kind) {
      case OpKind::send:
        return send(op);
      case OpKind::recv:
        if (a_.protocol != Protocol::simple) return receive_words(op);
        await(op);
        if (!machine_.barrier()) return;
        return copy(op, at(op.from), at(op.to));
      case OpKind::await:
        return await(op);
      case OpKind::copy:
        return copy(op, at(op.from), at(op.to));
      case OpKind::fold:
        return fold_all(program, op);
      case OpKind::multiply:
        return machine_.each_thread([&](Threads t) {
          prepare<Machine>({at(op.from), at(op.to), op.count, a_.scalar, a_.factor, a_.type}, t);
        });
      case OpKind::divide:
        return machine_.each_thread([&](Threads t) { finish<Machine>({at(op.to), op.count, a_.ranks, a_.type}, t); });
    }
  }

  constexpr void send(const Op& op) {
    if (a_.protocol != Protocol::simple) return send_words(op);
    copy(op, at(op.from), outgoing(op.to));
    if (!machine_.barrier()) return;
    machine_.one([&] {
      const OpenLane& lane = lanes_[op.to.lane];
      Machine::store_release(&lane.lane.peers->ready, ready_value(lane.state.sent, op.message + 1));
    });
  }

  constexpr void await(const Op& op) {
    machine_.one([&] {
      const OpenLane& lane = lanes_[op.from.lane];
      while (Machine::load_acquire(&lane.lane.own->ready) < ready_value(lane.state.received, op.message + 1))
        if (machine_.stop(*a_.control, lane.lane.peer)) return;
    });
    check_call(op.from);
  }

  // ---- this rank's memory

  constexpr void copy(const Op& op, const std::byte* from, std::byte* to) {
    machine_.each_thread([&](Threads t) { device::copy<Machine>(from, to, op.count * element_bytes_, t); });
  }

  constexpr void fold_all(const Program& program, const Op& op) {
    const std::uint32_t n = op.operands_end - op.operands_begin;
    const Place* places = program.operands + op.operands_begin;
    bool arrives = false;
    for (std::uint32_t k = 0; k < n && a_.protocol != Protocol::simple; ++k) arrives |= places[k].space == Space::mailbox;
    machine_.each_thread([&](Threads t) {
      for (std::uint64_t k = t.index; k < n; k += t.count) {
        operands_[k] = at(places[k]);
        sources_[k] = {places[k].space == Space::mailbox, places[k].lane};
      }
    });
    if (!machine_.barrier()) return;
    if (arrives) {
      for (std::uint32_t k = 0; k < n; ++k)
        if (places[k].space == Space::mailbox) check_call(places[k]);
      return fold_words(op, n);
    }
    machine_.each_thread([&](Threads t) { fold<Machine>(reduction_, operands_, n, at(op.to), op.count, t); });
  }

  // ---- ll and ll128: word by word. In ll a word of data is two in the mailbox. In ll128 eight threads have a line, a word each,
  // of which the last one's second half is the flag.

  struct Part {
    std::uint64_t at, bytes;  // of the data
    std::uint64_t room;       // where its words, or its line, begin in the message's room
    std::uint32_t index;      // in the line
  };

  template <class Visit>
  constexpr void each_part(const Op& op, Visit&& visit) {
    const std::uint64_t bytes = op.count * element_bytes_;
    const bool lines = a_.protocol == Protocol::ll128;
    const std::uint32_t log_parts = lines ? 3 : 0;
    const std::uint64_t data = lines ? line_data_ : kWordBytes;  // of all parts together
    const std::uint64_t room = lines ? kLineBytes : 2 * kWordBytes;
    machine_.each_thread([&](Threads t) {
      const auto part = static_cast<std::uint32_t>(t.index & ((1U << log_parts) - 1));
      // An empty message still has a flag.
      for (std::uint64_t group = t.index >> log_parts; group == 0 || group * data < bytes; group += t.count >> log_parts) {
        const std::uint64_t first = group * data + part * kWordBytes;
        const std::uint64_t end = least((group + 1) * data, least(first + kWordBytes, bytes));
        visit(Part{first, first < end ? end - first : 0, group * room, part});
      }
    });
  }
  static constexpr std::uint64_t least(std::uint64_t a, std::uint64_t b) { return a < b ? a : b; }

  constexpr void send_words(const Op& op) {
    const std::byte* from = at(op.from);
    std::byte* to = outgoing(op.to);
    const std::uint64_t piece = lanes_[op.to.lane].state.sent;
    each_part(op, [&](const Part& part) {
      const Word word = load_part<Machine>(from + part.at, part.bytes);
      if (a_.protocol == Protocol::ll128) return Machine::store_line(to + part.room, part.index, word, piece);
      const std::uint64_t flag = std::uint64_t{flag_of(piece)} << 32;
      Machine::store_pair(to + part.room, flag | word.part[0], flag | word.part[1]);
      Machine::store_pair(to + part.room + kWordBytes, flag | word.part[2], flag | word.part[3]);
    });
  }

  constexpr void receive_words(const Op& op) {
    check_call(op.from);
    std::byte* from = at(op.from);
    each_part(op,
              [&](const Part& part) { store_part<Machine>(at(op.to) + part.at, arrived(from, part, op.from.lane), part.bytes); });
  }

  constexpr void fold_words(const Op& op, std::uint32_t operands) {
    each_part(op, [&](const Part& part) {
      const Fetch fetch{*this, part};
      store_part<Machine>(at(op.to) + part.at, fold_word<Machine>(reduction_, operands, fetch), part.bytes);
    });
  }

  struct Fetch {
    Interpreter& interpreter;
    const Part& part;
    [[gnu::noinline]] constexpr Word operator()(std::uint32_t k) const {
      const Source& source = interpreter.sources_[k];
      std::byte* from = const_cast<std::byte*>(interpreter.operands_[k]);
      return source.arrives ? interpreter.arrived(from, part, source.lane) : load_part<Machine>(from + part.at, part.bytes);
    }
  };

  [[gnu::noinline]] constexpr Word arrived(std::byte* message, const Part& part, std::uint32_t lane) {
    const std::uint64_t piece = lanes_[lane].state.received;
    Word word = {};
    if (a_.protocol == Protocol::ll128) {
      while (!Machine::load_line(message + part.room, part.index, piece, word))
        if (machine_.stop_line(*a_.control, lanes_[lane].lane.peer)) break;
      return word;
    }
    const Pair low = await_pair(message + part.room, flag_of(piece), lane);
    const Pair high = await_pair(message + part.room + kWordBytes, flag_of(piece), lane);
    return {data_of(low.first), data_of(low.second), data_of(high.first), data_of(high.second)};
  }

  static constexpr std::uint32_t data_of(std::uint64_t flagged) { return static_cast<std::uint32_t>(flagged); }

  constexpr Pair await_pair(std::byte* from, std::uint32_t flag, std::uint32_t lane) {
    while (true) {
      const Pair pair = Machine::load_pair(from);
      if (pair.first >> 32 == flag && pair.second >> 32 == flag) return pair;
      if (machine_.stop(*a_.control, lanes_[lane].lane.peer)) return pair;
    }
  }

  const InterpretArguments& a_;
  Machine& machine_;
  Reduction reduction_;
  std::uint64_t element_bytes_;
  std::uint64_t line_data_;
  OpenLane* lanes_;             // in shared memory, as the next three
  const std::byte** operands_;  // of a fold
  Source* sources_;             // of the same
  Op* ops_;                     // those that were fetched last
  std::byte* scratch_;
  std::uint64_t shift_ = 0;
};

}  // namespace tutti::device
