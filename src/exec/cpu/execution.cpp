#include "exec/cpu/execution.h"

#include <algorithm>

#include "core/clock.h"
#include "kernels/kernels.h"

namespace tutti {
namespace {

constexpr int kEager = 64;  // looks without a pause, which some processors draw out

}  // namespace

void Stream::complete(Fifo<Posted>& posted, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const Posted p = posted.front();
    posted.pop();
    p.execution->complete(p.step);
  }
}

Result<bool> Stream::poll() {
  auto progress = endpoint_->poll();
  if (!progress) return std::move(progress.error());
  complete(sends_, progress->sends);
  complete(recvs_, progress->recvs);
  return progress->moved || progress->sends > 0 || progress->recvs > 0;
}

Execution::Execution(const Plan& plan)
    : plan_(&plan), element_bytes_(element_bytes(plan.type, plan.op)), arrivals_(plan.arrivals) {
  remaining_.resize(plan.steps.size());
  ready_.reserve(plan.steps.size());
  if (plan.publishes) exchanger_.emplace(*this, plan);
}

Status Execution::start(const CallBuffers& buffers, std::uint32_t sequence, int looks) {
  base_[static_cast<std::size_t>(Buffer::input)] =
      const_cast<std::byte*>(buffers.input);  // written only where it is the output, too
  base_[static_cast<std::size_t>(Buffer::output)] = buffers.output;
  base_[static_cast<std::size_t>(Buffer::scratch)] = buffers.scratch;
  if (!plan_->premultiply.empty()) premultiply(buffers);
  signature_ = plan_->signature;
  signature_.sequence = sequence;
  finished_ = false;
  if (!exchanger_) return run_steps(looks);
  exchanger_->start(signature_);
  return exchange(looks);
}

Status Execution::run_steps(int looks) {
  for (std::uint32_t i = 0; i < plan_->steps.size(); ++i) {
    if (looks > 0) look_for(plan_->steps[i], looks);
    auto done = run(i);
    if (!done) return std::move(done.error());
    if (!*done) return go_on_from(i);
  }
  return finish();
}

// Small messages are often under way already: seeing them here spares all that waiting costs.
void Execution::look_for(const PlanStep& s, int looks) const {
  if (s.kind != StepKind::recv && s.kind != StepKind::recv_reduce) return;
  Endpoint& endpoint = plan_->streams[s.stream]->endpoint();
  for (int look = 0; look < looks && endpoint.next_arrival() == Endpoint::Arrival::not_yet; ++look)
    if (look >= kEager) cpu_relax();
}

Status Execution::exchange(int looks) {
  for (int look = 0; look <= looks; ++look) {
    const std::uint64_t before = exchanger_->progress();
    auto done = exchanger_->advance();
    if (!done) return std::move(done.error());
    if (*done) return finish();
    if (exchanger_->progress() != before) look = 0;
    if (look >= kEager) cpu_relax();
  }
  return {};
}

Result<bool> Execution::poll() {
  if (!exchanger_) return poll_streams([](const Stream& stream) { return stream.pending(); });
  if (!plan_->exchanges.board->ready()) return poll_streams([](const Stream&) { return true; });
  const std::uint64_t before = exchanger_->progress();
  if (auto s = exchange(0); !s) return std::move(s.error());
  return finished_ || exchanger_->progress() != before;
}

template <class Wanted>
Result<bool> Execution::poll_streams(Wanted&& wanted) {
  bool moved = false;
  for (Stream* stream : plan_->streams) {
    if (!wanted(*stream)) continue;
    auto m = stream->poll();
    if (!m) return m;
    moved |= *m;
  }
  return moved;
}

// All steps before this one are done, it has been posted, and those behind it have not been looked at.
Status Execution::go_on_from(std::uint32_t step) {
  constexpr std::uint32_t kNever = UINT32_MAX;
  left_ = plan_->steps.size();
  for (std::uint32_t i = 0; i < left_; ++i) remaining_[i] = i <= step ? kNever : plan_->steps[i].remaining;
  ready_.clear();
  ready_at_ = 0;
  for (const std::uint32_t i : plan_->ready)
    if (i > step) ready_.push_back(i);
  for (std::uint32_t i = 0; i <= step; ++i) {
    if (plan_->steps[i].next_in_stream != kNoStep) release(plan_->steps[i].next_in_stream);
    if (i < step) complete(i);
  }
  return advance();
}

void Execution::premultiply(const CallBuffers& buffers) {
  ReduceOp op = plan_->op;
  op.scalar = buffers.scalar;
  op.scalar_at = buffers.scalar_at;
  std::byte*& from = base_[static_cast<std::size_t>(plan_->premultiply_in)];
  std::byte* to = plan_->in_place ? from : buffers.scratch + plan_->scratch_bytes;
  for (const Extent& e : plan_->premultiply) {
    const std::uint64_t at = e.offset * element_bytes_;
    kernels::prepare(op, plan_->type, from + at, to + at, e.count);
  }
  from = to;
}

Status Execution::advance() {
  if (exchanger_) return {};
  while (ready_at_ < ready_.size()) {
    const std::uint32_t step = ready_[ready_at_++];
    auto done = run(step);
    if (!done) return std::move(done.error());
    if (plan_->steps[step].next_in_stream != kNoStep) release(plan_->steps[step].next_in_stream);
    if (*done) complete(step);
  }
  return left_ > 0 || finished_ ? Status{} : finish();
}

Status Execution::finish() {
  finished_ = true;
  // avg: the schedule has only summed up
  for (const Extent& e : plan_->average)
    kernels::finish(plan_->op, plan_->type, base_[static_cast<std::size_t>(plan_->average_in)] + e.offset * element_bytes_,
                    e.count, plan_->ranks);
  return {};
}

Result<bool> Execution::run(std::uint32_t step) {
  const PlanStep& s = plan_->steps[step];
  const std::size_t bytes = s.count * element_bytes_;
  switch (s.kind) {
    case StepKind::send: {
      Source source{ConstBytes{at(s.from), bytes}};
      source.just_written = s.just_written;
      source.awaited = s.awaited;
      return plan_->streams[s.stream]->send(signature_, source, *this, step);
    }
    case StepKind::recv:
      return plan_->streams[s.stream]->recv(signature_, {.data = at(s.to), .size = bytes, .past_caches = s.past_caches}, *this,
                                            step);
    case StepKind::recv_reduce: {
      Arrival& arrival = arrivals_[s.arrival];
      arrival.plan = plan_;
      arrival.from = at(s.from);
      arrival.to = at(s.to);
      arrival.step = &s;
      return plan_->streams[s.stream]->recv(signature_, {.size = bytes, .consumer = &arrival}, *this, step);
    }
    case StepKind::reduce:
    case StepKind::copy:
    case StepKind::fold:
      compute(s);
      return true;
  }
  return Error(Code::internal, "unknown kind of step");
}

void Execution::compute(const PlanStep& s) {
  const std::size_t bytes = s.count * element_bytes_;
  if (s.kind == StepKind::reduce) {
    const void* left = s.from_is_left ? at(s.from) : at(s.to);
    const void* right = s.from_is_left ? at(s.to) : at(s.from);
    plan_->reduction.reduce2(left, right, at(s.to), s.count, s.past_caches);
  } else if (s.kind == StepKind::copy && bytes > 0) {
    kernels::copy(at(s.to), at(s.from), bytes, s.past_caches);
  } else if (s.kind == StepKind::fold) {
    fold(s);
  }
}

void Execution::fold(const PlanStep& s) {
  operands_.clear();
  for (auto o = s.operands_begin; o < s.operands_end; ++o) operands_.push_back(at(plan_->operands[o]));
  plan_->reduction.fold(operands_, at(s.to), s.count, s.past_caches);
}

void Execution::Arrival::consume(std::size_t offset, ConstBytes piece) {
  const void* mine = from + offset;
  const void* left = step->from_is_left ? mine : piece.data();
  const void* right = step->from_is_left ? piece.data() : mine;
  const kernels::Reduction& reduction = plan->reduction;
  reduction.reduce2(left, right, to + offset, piece.size() / reduction.element_bytes(), step->past_caches);
}

}  // namespace tutti
