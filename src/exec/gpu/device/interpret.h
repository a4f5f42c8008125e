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
        ops_(reinterpret_cast<Op*>(operands_ + a.most_operands)),
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
      if (machine_.stop(*a_.control, lane)) return;
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
  [[nodiscard]] constexpr std::byte* outgoing(const Op& op) const {
    return half_of(lanes_[op.lane].lane.peers, lanes_[op.lane].state.sent) + op.message_room;
  }
  [[nodiscard]] constexpr std::byte* incoming(const Op& op) const {
    return half_of(lanes_[op.lane].lane.own, lanes_[op.lane].state.received) + op.message_room;
  }

  [[nodiscard]] constexpr const std::byte* source(const Place& place) const {
    if (place.buffer == Buffer::input) return a_.input + shift_ + place.offset;
    return target(place);
  }
  // Input is written where it is a part of the output, or holds it.
  [[nodiscard]] constexpr std::byte* target(const Place& place) const {
    if (place.buffer == Buffer::scratch) return scratch_ + place.offset;
    if (place.buffer == Buffer::input) return const_cast<std::byte*>(a_.input) + shift_ + place.offset;
    return a_.output + shift_ + place.offset;
  }

  constexpr void execute(const Program& program, const Op& op) {
    switch (op.kind) {
      case OpKind::send:
        return send(op);
      case OpKind::recv:
      case OpKind::recv_reduce:
        return receive(op);
      case OpKind::reduce:
        if (op.from_is_left) return fold_two(op, source(op.from), target(op.to));
        return fold_two(op, target(op.to), source(op.from));
      case OpKind::copy:
        return copy(op, source(op.from), target(op.to));
      case OpKind::fold:
        return fold_all(program, op);
      case OpKind::multiply:
        return machine_.each_thread([&](Threads t) {
          prepare<Machine>({source(op.from), target(op.to), op.count, a_.scalar, a_.factor, a_.type}, t);
        });
      case OpKind::divide:
        return machine_.each_thread([&](Threads t) { finish<Machine>({target(op.to), op.count, a_.ranks, a_.type}, t); });
    }
  }

  constexpr void send(const Op& op) {
    switch (a_.protocol) {
      case Protocol::simple:
        copy(op, source(op.from), outgoing(op));
        if (!machine_.barrier()) return;
        return machine_.one([&] {
          Machine::store_release(&lanes_[op.lane].lane.peers->ready, ready_value(lanes_[op.lane].state.sent, op.message + 1));
        });
      case Protocol::ll:
        return send_ll(op);
      case Protocol::ll128:
        return send_ll128(op);
    }
  }

  constexpr void receive(const Op& op) {
    switch (a_.protocol) {
      case Protocol::simple:
        machine_.one([&] { await(op); });
        if (!machine_.barrier()) return;
        if (op.kind == OpKind::recv) return copy(op, incoming(op), target(op.to));
        if (op.from_is_left) return fold_two(op, source(op.from), incoming(op));
        return fold_two(op, incoming(op), source(op.from));
      case Protocol::ll:
        return receive_ll(op);
      case Protocol::ll128:
        return receive_ll128(op);
    }
  }

  constexpr void await(const Op& op) {
    const std::uint64_t wanted = ready_value(lanes_[op.lane].state.received, op.message + 1);
    while (Machine::load_acquire(&lanes_[op.lane].lane.own->ready) < wanted)
      if (machine_.stop(*a_.control, op.lane)) return;
  }

  // An empty message still has a flag.
  static constexpr std::uint64_t at_least_one(std::uint64_t bytes) { return bytes > 0 ? bytes : 1; }

  // ---- ll: two words in the mailbox for one of data

  constexpr void send_ll(const Op& op) {
    const std::uint64_t bytes = op.count * element_bytes_;
    const std::byte* from = source(op.from);
    std::byte* to = outgoing(op);
    const std::uint64_t flag = std::uint64_t{flag_of(lanes_[op.lane].state.sent)} << 32;
    machine_.each_thread([&](Threads t) {
      for (std::uint64_t at = t.index * kWordBytes; at < at_least_one(bytes); at += t.count * kWordBytes) {
        const Word word = load_part<Machine>(from + at, bytes - at);
        Machine::store_pair(to + 2 * at, flag | word.part[0], flag | word.part[1]);
        Machine::store_pair(to + 2 * at + kWordBytes, flag | word.part[2], flag | word.part[3]);
      }
    });
  }

  constexpr void receive_ll(const Op& op) {
    const std::uint64_t bytes = op.count * element_bytes_;
    std::byte* from = incoming(op);
    const std::uint32_t flag = flag_of(lanes_[op.lane].state.received);
    machine_.each_thread([&](Threads t) {
      for (std::uint64_t at = t.index * kWordBytes; at < at_least_one(bytes); at += t.count * kWordBytes) {
        const Pair low = await_pair(from + 2 * at, flag, op.lane);
        const Pair high = await_pair(from + 2 * at + kWordBytes, flag, op.lane);
        take(op, {data_of(low.first), data_of(low.second), data_of(high.first), data_of(high.second)}, at, bytes - at);
      }
    });
  }

  static constexpr std::uint32_t data_of(std::uint64_t flagged) { return static_cast<std::uint32_t>(flagged); }

  constexpr Pair await_pair(std::byte* from, std::uint32_t flag, std::uint32_t lane) {
    while (true) {
      const Pair pair = Machine::load_pair(from);
      if (pair.first >> 32 == flag && pair.second >> 32 == flag) return pair;
      if (machine_.stop(*a_.control, lane)) return pair;
    }
  }

  // ---- ll128: eight threads to a line, a word each, of which the last one's second half is the flag

  template <class Visit>
  constexpr void each_part_of_line(std::uint64_t bytes, Visit&& visit) {
    constexpr std::uint64_t kParts = kLineBytes / kWordBytes;
    machine_.each_thread([&](Threads t) {
      const auto part = static_cast<std::uint32_t>(t.index % kParts);
      for (std::uint64_t line = t.index / kParts; line * line_data_ < at_least_one(bytes); line += t.count / kParts) {
        const std::uint64_t at = line * line_data_ + part * kWordBytes;
        const std::uint64_t end = (line + 1) * line_data_ < bytes ? (line + 1) * line_data_ : bytes;
        const std::uint64_t has = at < end ? end - at : 0;
        visit(line * kLineBytes, part, at, has < kWordBytes ? has : kWordBytes);
      }
    });
  }

  constexpr void send_ll128(const Op& op) {
    const std::byte* from = source(op.from);
    std::byte* to = outgoing(op);
    const std::uint64_t flag = lanes_[op.lane].state.sent;
    each_part_of_line(op.count * element_bytes_,
                      [&](std::uint64_t line, std::uint32_t part, std::uint64_t at, std::uint64_t bytes) {
                        Machine::store_line(to + line, part, load_part<Machine>(from + at, bytes), flag);
                      });
  }

  constexpr void receive_ll128(const Op& op) {
    std::byte* from = incoming(op);
    const std::uint64_t flag = lanes_[op.lane].state.received;
    each_part_of_line(op.count * element_bytes_,
                      [&](std::uint64_t line, std::uint32_t part, std::uint64_t at, std::uint64_t bytes) {
                        Word word = {};
                        while (!Machine::load_line(from + line, part, flag, word))
                          if (machine_.stop_line(*a_.control, op.lane)) break;
                        take(op, word, at, bytes);
                      });
  }

  // What a word of a message is for.
  constexpr void take(const Op& op, Word word, std::uint64_t at, std::uint64_t bytes) {
    if (op.kind == OpKind::recv_reduce) {
      const Word other = load_part<Machine>(source(op.from) + at, bytes);
      word = op.from_is_left ? combine<Machine>(reduction_, other, word) : combine<Machine>(reduction_, word, other);
    }
    store_part<Machine>(target(op.to) + at, word, bytes);
  }

  // ---- this rank's memory

  constexpr void copy(const Op& op, const std::byte* from, std::byte* to) {
    const Reduction plain{a_.type, ReduceKind::sum, 0};
    machine_.each_thread([&](Threads t) { fold<Machine>(plain, &from, 1, to, op.count, t); });
  }

  constexpr void fold_two(const Op& op, const std::byte* left, const std::byte* right) {
    const std::byte* both[] = {left, right};
    machine_.each_thread([&](Threads t) { fold<Machine>(reduction_, both, 2, target(op.to), op.count, t); });
  }

  constexpr void fold_all(const Program& program, const Op& op) {
    const std::uint32_t n = op.operands_end - op.operands_begin;
    machine_.each_thread([&](Threads t) {
      for (std::uint64_t k = t.index; k < n; k += t.count) operands_[k] = source(program.operands[op.operands_begin + k]);
    });
    if (!machine_.barrier()) return;
    machine_.each_thread([&](Threads t) { fold<Machine>(reduction_, operands_, n, target(op.to), op.count, t); });
  }

  const InterpretArguments& a_;
  Machine& machine_;
  Reduction reduction_;
  std::uint64_t element_bytes_;
  std::uint64_t line_data_;
  OpenLane* lanes_;             // in shared memory, as the next two
  const std::byte** operands_;  // of a fold
  Op* ops_;                     // those that were fetched last
  std::byte* scratch_;
  std::uint64_t shift_ = 0;
};

}  // namespace tutti::device
