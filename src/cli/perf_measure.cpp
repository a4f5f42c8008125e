#include "cli/perf_measure.h"

#include <cstring>
#include <optional>

#include "cli/sizes.h"
#include "core/clock.h"

namespace tutti {
namespace {

constexpr std::byte kUntouched{0x5a};  // what an output holds before a call

// The memory of a measurement. Data is made and checked on the host.
class Buffers {
 public:
  Buffers(const PerfCase& c, bool in_place, PerfDevice* device) : case_(c), in_place_(in_place), device_(device) {}

  // Fresh data, and where it lies.
  Status prepare(Call& call) {
    prepare_on_host(call);
    on_host_ = static_cast<std::byte*>(call.output);
    if (device_ == nullptr) return {};
    std::byte* input = device_->memory();
    std::byte* output = input + (input_.size() + kDeviceAlignment - 1) / kDeviceAlignment * kDeviceAlignment;
    const auto there = [&](const void* memory) -> std::byte* {
      const auto* m = static_cast<const std::byte*>(memory);
      if (m == nullptr) return nullptr;
      return m >= input_.data() && m <= input_.data() + input_.size() ? input + (m - input_.data())
                                                                      : output + (m - output_.data());
    };
    call.input = there(call.input);
    call.output = there(call.output);
    if (auto s = device_->copy(input, input_.data(), input_.size()); !s) return s;
    return device_->copy(output, output_.data(), output_.size());
  }

  // Of what the call has made.
  Result<std::uint64_t> wrong(const Call& call) {
    if (device_ != nullptr)
      if (auto s =
              device_->copy(on_host_, static_cast<const std::byte*>(call.output), case_.output_count() * size_of(case_.type));
          !s)
        return std::move(s.error());
    return count_wrong(case_, on_host_);
  }

 private:
  // In place the two buffers are one; where the smaller lies in the larger is the collective's rule.
  void prepare_on_host(Call& call) {
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

  const PerfCase& case_;
  bool in_place_;
  PerfDevice* device_;
  std::vector<std::byte> input_, output_;
  std::byte* on_host_ = nullptr;  // what is to be checked
};

Call call_of(const PerfPlan& plan, const PerfCase& c) {
  Call call{.collective = c.collective, .count = c.count, .type = c.type, .op = c.op, .root = c.root};
  if (c.collective != Collective::send_recv) {
    call.algorithm = plan.algorithm;
    call.algorithm_filter = plan.filter;
    call.order = order_of(plan.contract);
    call.accumulate = accumulate_of(plan.contract);
    return call;
  }
  call.destination = (c.me + 1) % c.ranks;
  call.source = (c.me + c.ranks - 1) % c.ranks;
  call.receive_count = c.count;
  return call;
}

// Makes a call again and again: one after the other, or in the order of a device's stream, perhaps as a graph.
class Repeated {
 public:
  Repeated(Communicator& comm, const Call& call, PerfDevice* device) : comm_(comm), call_(call), device_(device) {}

  Status capture() {
    auto graph = device_->capture([&] { return comm_.enqueue(call_, device_->stream()); });
    if (!graph) return std::move(graph.error());
    graph_.emplace(std::move(*graph));
    return {};
  }
  // All are done when it returns.
  Status run(int times) {
    for (int i = 0; i < times; ++i)
      if (auto s = one(); !s) return s;
    if (device_ == nullptr) return {};
    if (auto s = device_->wait(); !s) return s;
    return comm_.failure();
  }

 private:
  Status one() {
    if (graph_) return graph_->launch();
    return device_ != nullptr ? comm_.enqueue(call_, device_->stream()) : comm_.run(call_);
  }

  Communicator& comm_;
  const Call& call_;
  PerfDevice* device_;
  std::optional<PerfGraph> graph_;
};

}  // namespace

Result<Timing> measure(Communicator& comm, const PerfPlan& plan, const PerfCase& c, bool in_place, PerfDevice* device) {
  Buffers buffers(c, in_place, device);
  Call call = call_of(plan, c);
  if (auto s = buffers.prepare(call); !s) return std::move(s.error());
  Repeated calls(comm, call, device);
  if (plan.graph)
    if (auto s = calls.capture(); !s) return s.because("--graph: capturing the call");
  if (auto s = calls.run(plan.warmup); !s) return std::move(s.error());
  if (auto s = comm.barrier(); !s) return std::move(s.error());
  const TimePoint start = Clock::now();
  if (auto s = calls.run(plan.iterations); !s) return std::move(s.error());
  double seconds = seconds_since(start) / plan.iterations;
  Timing t{.algorithm = comm.last_algorithm(), .way = comm.last_way()};
  if (plan.check) {  // once more, on fresh data: in place the loop has reduced its own results
    if (auto s = buffers.prepare(call); !s) return std::move(s.error());
    if (auto s = calls.run(1); !s) return std::move(s.error());
    auto wrong = buffers.wrong(call);
    if (!wrong) return std::move(wrong.error());
    t.wrong = *wrong;
  }
  if (auto s = comm.all_reduce(std::span(&seconds, 1), {.kind = ReduceKind::max, .user = {}}); !s) return std::move(s.error());
  if (auto s = comm.all_reduce(std::span(&t.wrong, 1)); !s) return std::move(s.error());
  t.time_us = seconds * 1e6;
  t.algbw = static_cast<double>(c.bytes()) / seconds / 1e9;
  t.busbw = t.algbw * bus_factor(c.collective, c.ranks);
  return t;
}

}  // namespace tutti
