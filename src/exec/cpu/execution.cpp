#include "exec/cpu/execution.h"

#include <algorithm>

#include "kernels/kernels.h"

namespace tutti {

namespace {

kernels::Options options(const Plan& plan, const PlanStep& step) {
  return {.past_caches = step.past_caches, .average_over = plan.average_over};
}

}  // namespace

Result<bool> Stream::poll() {
  auto progress = endpoint_->poll();
  if (!progress) return std::move(progress.error());
  for (std::uint32_t i = 0; i < progress->sends; ++i) {
    const Posted p = sends_.pop();
    p.execution->complete(p.step);
  }
  for (std::uint32_t i = 0; i < progress->recvs; ++i) {
    const Posted p = recvs_.pop();
    p.execution->complete(p.step);
  }
  return progress->moved || progress->sends > 0 || progress->recvs > 0;
}

Execution::Execution(const Plan& plan)
    : plan_(&plan), element_bytes_(element_bytes(plan.type, plan.op)), arrivals_(plan.arrivals) {
  remaining_.resize(plan.steps.size());
  ready_.reserve(plan.steps.size());
}

Status Execution::start(const CallBuffers& buffers, std::uint32_t sequence) {
  base_[static_cast<std::size_t>(Buffer::input)] =
      const_cast<std::byte*>(buffers.input);  // written only where it is the output, too
  base_[static_cast<std::size_t>(Buffer::output)] = buffers.output;
  base_[static_cast<std::size_t>(Buffer::scratch)] = buffers.scratch;
  if (!plan_->premultiply.empty()) premultiply(buffers);
  signature_ = plan_->signature;
  signature_.sequence = sequence;
  left_ = plan_->steps.size();
  for (std::size_t i = 0; i < left_; ++i) remaining_[i] = plan_->steps[i].remaining;
  ready_.assign(plan_->ready.begin(), plan_->ready.end());
  ready_at_ = 0;
  finished_ = false;
  return advance();
}

void Execution::premultiply(const CallBuffers& buffers) {
  ReduceOp op = plan_->op;
  op.scalar = buffers.scalar;
  std::byte*& from = base_[static_cast<std::size_t>(plan_->premultiply_in)];
  std::byte* to = plan_->in_place ? from : buffers.scratch + plan_->scratch_bytes;
  for (const Extent& e : plan_->premultiply) {
    const std::uint64_t at = e.offset * element_bytes_;
    kernels::prepare(op, plan_->type, from + at, to + at, e.count);
  }
  from = to;
}

Status Execution::advance() {
  while (ready_at_ < ready_.size()) {
    const std::uint32_t step = ready_[ready_at_++];
    auto done = run(step);
    if (!done) return std::move(done.error());
    if (*done) complete(step);
  }
  if (left_ > 0 || finished_) return {};
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
      auto done = plan_->streams[s.stream]->send(signature_, {at(s.from), bytes}, *this, step);
      if (s.next_in_stream != kNoStep) release(s.next_in_stream);
      return done;
    }
    case StepKind::recv: {
      auto done = plan_->streams[s.stream]->recv(signature_, {.data = at(s.to), .size = bytes}, *this, step);
      if (s.next_in_stream != kNoStep) release(s.next_in_stream);
      return done;
    }
    case StepKind::recv_reduce: {
      Arrival& arrival = arrivals_[s.arrival];
      arrival.plan = plan_;
      arrival.from = at(s.from);
      arrival.to = at(s.to);
      arrival.step = &s;
      auto done = plan_->streams[s.stream]->recv(signature_, {.size = bytes, .consumer = &arrival}, *this, step);
      if (s.next_in_stream != kNoStep) release(s.next_in_stream);
      return done;
    }
    case StepKind::reduce: {
      const void* left = s.from_is_left ? at(s.from) : at(s.to);
      const void* right = s.from_is_left ? at(s.to) : at(s.from);
      kernels::reduce2(plan_->op, plan_->type, left, right, at(s.to), s.count, options(*plan_, s));
      return true;
    }
    case StepKind::copy:
      if (bytes > 0) kernels::copy(at(s.to), at(s.from), bytes, s.past_caches);
      return true;
    case StepKind::fold:
      fold(s);
      return true;
  }
  return Error(Code::internal, "unknown kind of step");
}

void Execution::fold(const PlanStep& s) {
  operands_.clear();
  for (auto o = s.operands_begin; o < s.operands_end; ++o) operands_.push_back(at(plan_->operands[o]));
  kernels::fold(plan_->op, plan_->type, operands_, at(s.to), s.count, options(*plan_, s));
}

void Execution::Arrival::consume(std::size_t offset, ConstBytes piece) {
  const void* mine = from + offset;
  const void* left = step->from_is_left ? mine : piece.data();
  const void* right = step->from_is_left ? piece.data() : mine;
  kernels::reduce2(plan->op, plan->type, left, right, to + offset, piece.size() / element_bytes(plan->type, plan->op),
                   options(*plan, *step));
}

}  // namespace tutti
