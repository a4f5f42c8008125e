// All ranks' programs, run by one thread on host memory: strictly in order on each rank, waiting only for flags.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <map>
#include <tuple>

#include "device/fold.h"
#include "device/host_machine.h"
#include "gpu/program.h"
#include "kernels/kernels.h"

namespace tutti::gpu {

// A program run on parts of the buffers, one after the other.
struct Stretch {
  const Program* program = nullptr;
  std::uint64_t shift = 0;  // of input and output, bytes
};

struct RankWork {
  std::vector<Stretch> stretches;
  struct Memory {
    std::byte* input = nullptr;
    std::byte* output = nullptr;
  };
  std::vector<Memory> buffers;
  std::vector<std::byte> scratch = {};
};

class Simulator {
 public:
  // What went wrong; empty: all finished and left no message behind.
  std::string run(std::vector<RankWork>& ranks) {
    ranks_ = &ranks;
    at_.assign(ranks.size(), {});
    for (bool moved = true; moved && wrong_.empty();) {
      moved = false;
      for (std::size_t r = 0; r < ranks.size(); ++r)
        while (wrong_.empty() && step(r)) moved = true;
    }
    for (std::size_t r = 0; r < ranks.size() && wrong_.empty(); ++r)
      if (const auto& [stretch, op] = at_[r]; stretch < ranks[r].stretches.size())
        wrong_ = fmt::format("rank {} stands still in piece {} at operation {}, kind {}", r, stretch, op,
                             static_cast<int>(ranks[r].stretches[stretch].program->ops[op].kind));
    for (const auto& [key, lane] : lanes_)
      for (const Half& half : lane.halves)
        if (wrong_.empty() && (half.ready != 0 || half.credit != 1))
          wrong_ = fmt::format("a half from rank {} to {} is left with ready {}, credit {}", std::get<0>(key), std::get<1>(key),
                               half.ready, half.credit);
    return wrong_;
  }
  [[nodiscard]] std::size_t operations() const { return operations_; }

 private:
  struct Half {
    std::uint32_t ready = 0, credit = 1;
    std::vector<std::byte> inbox;
    std::map<std::uint64_t, std::uint64_t> messages;  // offset to bytes, of this piece
  };
  struct Lane {
    Half halves[2];
    std::uint32_t out = 1, in = 0;  // the half that the sender uses, and the receiver
  };

  Lane& lane(std::size_t from, std::size_t to, std::uint16_t channel) { return lanes_[{from, to, channel}]; }
  Half& out_half(std::size_t me, const LaneUse& use) {
    Lane& l = lane(me, static_cast<std::size_t>(use.peer), use.channel);
    return l.halves[l.out];
  }
  Half& in_half(std::size_t me, const LaneUse& use) {
    Lane& l = lane(static_cast<std::size_t>(use.peer), me, use.channel);
    return l.halves[l.in];
  }

  std::byte* address(std::size_t me, const Stretch& s, const Spot& spot, std::uint64_t bytes) {
    RankWork& work = (*ranks_)[me];
    switch (spot.space) {
      case Space::input:
        return work.buffers[spot.index].input + spot.offset + s.shift;
      case Space::output:
        return work.buffers[spot.index].output + spot.offset + s.shift;
      case Space::scratch:
        if (work.scratch.size() < spot.offset + bytes) wrong_ = "scratch is too small";
        return work.scratch.data() + spot.offset;
      case Space::inbox: {
        Half& half = in_half(me, s.program->incoming[spot.index]);
        const auto found = half.messages.find(spot.offset);
        if (found == half.messages.end() || found->second != bytes)
          wrong_ = fmt::format("rank {} reads {} bytes at {} of an inbox where no such message is", me, bytes, spot.offset);
        else
          return half.inbox.data() + spot.offset;
        return nullptr;
      }
      case Space::peers_inbox: {
        const LaneUse& use = s.program->outgoing[spot.index];
        Half& half = out_half(me, use);
        if (spot.offset + bytes > inbox_bytes(use.bytes) || half.credit != 0)
          wrong_ = fmt::format("rank {} writes to an inbox that is too small or not its own", me);
        half.inbox.resize(std::max<std::size_t>(half.inbox.size(), spot.offset + bytes));
        half.messages[spot.offset] = bytes;
        return half.inbox.data() + spot.offset;
      }
    }
    return nullptr;
  }

  // Whether the rank has moved.
  bool step(std::size_t me) {
    auto& [stretch, at] = at_[me];
    const RankWork& work = (*ranks_)[me];
    if (stretch == work.stretches.size()) return false;
    const Stretch& s = work.stretches[stretch];
    if (at == s.program->ops.size()) {
      ++stretch;
      at = 0;
      return true;
    }
    if (!execute(me, s, s.program->ops[at])) return false;
    ++at;
    ++operations_;
    return true;
  }

  // By the code of the kernel. Lanes are used without halves and credits.
  bool one_pass(std::size_t me, const Program& p, const Op& op) {
    device::OnePassArguments a{};
    for (const LaneUse& use : p.incoming) {
      const auto other = static_cast<std::size_t>(use.peer);
      Half& mail = lane(other, me, use.channel).halves[0];
      a.others[use.peer] = {reinterpret_cast<const device::RankBuffers*>(mail.inbox.data()), &mail.ready,
                            &lane(me, other, use.channel).halves[0].ready};
    }
    a.own = {(*ranks_)[me].buffers.front().input, (*ranks_)[me].buffers.front().output};
    a.count = op.count;
    a.call = op.signature + 1;
    a.average_over = p.average_over;
    a.type = p.type;
    a.kind = p.op.kind;
    a.item_count = static_cast<std::uint32_t>(p.items.size());
    std::ranges::copy(p.items, a.items);
    if (!device::all_are_there<device::HostMachine>(a)) return false;
    device::one_pass<device::HostMachine>(a, {0, 1});
    device::tell_all<device::HostMachine>(a);
    return true;
  }

  bool execute(std::size_t me, const Stretch& s, const Op& op) {
    const Program& p = *s.program;
    const kernels::Reduction reduction = reduction_of(p);
    const std::uint64_t bytes = op.kind == OpKind::copy ? op.count : op.count * size_of(p.type);
    switch (op.kind) {
      case OpKind::acquire: {
        Lane& l = lane(me, static_cast<std::size_t>(p.outgoing[op.lane].peer), p.outgoing[op.lane].channel);
        Half& next = l.halves[l.out ^ 1];
        if (next.credit != 1) return false;
        l.out ^= 1;
        next.credit = 0;
        next.messages.clear();
        return true;
      }
      case OpKind::post:
        out_half(me, p.outgoing[op.lane]).ready = op.value;
        return true;
      case OpKind::await:
        return in_half(me, p.incoming[op.lane]).ready >= op.value;
      case OpKind::release: {
        Half& half = in_half(me, p.incoming[op.lane]);
        half.ready = 0;
        half.credit = 1;
        lane(static_cast<std::size_t>(p.incoming[op.lane].peer), me, p.incoming[op.lane].channel).in ^= 1;
        return true;
      }
      case OpKind::copy: {
        const std::byte* from = address(me, s, op.from, bytes);
        std::byte* to = address(me, s, op.to, bytes);
        if (wrong_.empty()) std::memcpy(to, from, bytes);
        return true;
      }
      case OpKind::fold: {
        std::vector<const void*> operands;
        for (auto o = op.operands_begin; o < op.operands_end; ++o) operands.push_back(address(me, s, p.operands[o], bytes));
        std::byte* to = address(me, s, op.to, bytes);
        if (wrong_.empty()) reduction.fold(operands, to, op.count);
        return true;
      }
      case OpKind::prepare:
        kernels::prepare(p.op, p.type, address(me, s, op.from, bytes), address(me, s, op.to, bytes), op.count);
        return true;
      case OpKind::tell: {
        Half& mail = lane(me, static_cast<std::size_t>(p.outgoing[op.lane].peer), p.outgoing[op.lane].channel).halves[0];
        const device::RankBuffers mine{(*ranks_)[me].buffers.front().input, (*ranks_)[me].buffers.front().output};
        const auto* first_byte = reinterpret_cast<const std::byte*>(&mine);
        if (mail.ready != 0) wrong_ = fmt::format("rank {} tells what it has told already", me);
        mail.inbox.assign(first_byte, first_byte + sizeof mine);
        mail.ready = op.signature + 1;
        return true;
      }
      case OpKind::one_pass:
        return one_pass(me, p, op);
      case OpKind::told: {
        Half& mail = lane(static_cast<std::size_t>(p.incoming[op.lane].peer), me, p.incoming[op.lane].channel).halves[0];
        return std::exchange(mail.ready, 0) != 0;
      }
      case OpKind::finish:
        kernels::finish(p.op, p.type, address(me, s, op.to, bytes), op.count, p.ranks);
        return true;
    }
    return false;
  }

  static kernels::Reduction reduction_of(const Program& p) {
    return supports(p.op.kind, p.type) ? kernels::Reduction(p.op, p.type, p.average_over) : kernels::Reduction();
  }

  std::vector<RankWork>* ranks_ = nullptr;
  std::vector<std::pair<std::size_t, std::size_t>> at_;  // stretch, operation
  std::map<std::tuple<std::size_t, std::size_t, std::uint16_t>, Lane> lanes_;
  std::string wrong_;
  std::size_t operations_ = 0;
};

}  // namespace tutti::gpu
