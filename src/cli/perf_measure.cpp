#include "cli/perf_measure.h"

#include <cstring>

#include "cli/sizes.h"
#include "core/clock.h"

namespace tutti {
namespace {

constexpr std::byte kUntouched{0x5a};  // what an output holds before a call

// The memory of a measurement.
class Buffers {
 public:
  Buffers(const PerfCase& c, bool in_place) : case_(c), in_place_(in_place) {}

  // Fresh data, and where it lies. In place the two buffers are one; where the smaller lies in the larger is the collective's
  // rule.
  void prepare(Call& call) {
    const std::size_t size = size_of(case_.type);
    const std::size_t in_bytes = case_.input_count() * size, out_bytes = case_.output_count() * size;
    const std::size_t own = static_cast<std::size_t>(case_.me) * case_.count * size;
    input_.resize(in_bytes);
    fill_input(case_, input_.data());
    const bool one = in_place_ && in_bytes > 0 && out_bytes > 0;
    if (one && in_bytes > out_bytes) {  // the output is a part of the input
      call.input = input_.data();
      call.output = input_.data() + own;
      return;
    }
    output_.assign(out_bytes, kUntouched);
    call.input = input_.data();
    call.output = output_.data();
    if (case_.collective == Collective::broadcast && case_.me != case_.root) call.input = nullptr;
    if (!one) return;
    std::byte* inside = output_.data() + (out_bytes > in_bytes ? own : 0);
    std::memcpy(inside, input_.data(), in_bytes);
    call.input = inside;
  }

 private:
  const PerfCase& case_;
  bool in_place_;
  std::vector<std::byte> input_, output_;
};

Call call_of(const PerfPlan& plan, const PerfCase& c) {
  Call call{.collective = c.collective, .count = c.count, .type = c.type, .op = c.op, .root = c.root};
  if (c.collective != Collective::send_recv) {
    call.algorithm = plan.algorithm;
    call.algorithm_filter = plan.filter;
    return call;
  }
  call.destination = (c.me + 1) % c.ranks;
  call.source = (c.me + c.ranks - 1) % c.ranks;
  call.receive_count = c.count;
  return call;
}

Status repeat(Communicator& comm, const Call& call, int times) {
  for (int i = 0; i < times; ++i)
    if (auto s = comm.run(call); !s) return s;
  return {};
}

}  // namespace

Result<Timing> measure(Communicator& comm, const PerfPlan& plan, const PerfCase& c, bool in_place) {
  Buffers buffers(c, in_place);
  Call call = call_of(plan, c);
  buffers.prepare(call);
  if (auto s = repeat(comm, call, plan.warmup); !s) return std::move(s.error());
  if (auto s = comm.barrier(); !s) return std::move(s.error());
  const TimePoint start = Clock::now();
  if (auto s = repeat(comm, call, plan.iterations); !s) return std::move(s.error());
  double seconds = seconds_since(start) / plan.iterations;
  Timing t{.algorithm = comm.last_algorithm()};
  if (plan.check) {  // once more, on fresh data: in place the loop has reduced its own results
    buffers.prepare(call);
    if (auto s = comm.run(call); !s) return std::move(s.error());
    t.wrong = count_wrong(c, static_cast<const std::byte*>(call.output));
  }
  if (auto s = comm.all_reduce(std::span(&seconds, 1), {.kind = ReduceKind::max, .user = {}}); !s) return std::move(s.error());
  if (auto s = comm.all_reduce(std::span(&t.wrong, 1)); !s) return std::move(s.error());
  t.time_us = seconds * 1e6;
  t.algbw = static_cast<double>(c.bytes()) / seconds / 1e9;
  t.busbw = t.algbw * bus_factor(c.collective, c.ranks);
  return t;
}

}  // namespace tutti
