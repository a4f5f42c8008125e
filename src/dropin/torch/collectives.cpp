// The collective operations: what PyTorch says of tensors as calls.
#include <c10/util/StringUtil.h>

#include "backend.h"
#include "tensors.h"
#include "types.h"

namespace tutti_torch {
namespace {

using tutti::Call;
using tutti::Collective;

// A call that moves tensors' elements as they are. `count` counts elements of tensors.
Call moving(Collective collective, const at::Tensor& input, const at::Tensor& output, std::int64_t count, int root = 0) {
  const Elements elements = elements_of((input.defined() ? input : output).scalar_type());
  return {.collective = collective,
          .input = input.defined() ? input.const_data_ptr() : nullptr,
          .output = output.defined() ? output.mutable_data_ptr() : nullptr,
          .count = static_cast<std::uint64_t>(count) * elements.each,
          .type = elements.type,
          .root = root};
}

Call reducing(Collective collective, const at::Tensor& input, const at::Tensor& output, std::int64_t count, const char* operation,
              const c10d::ReduceOp& op, at::Tensor& factor, int root = 0) {
  const auto type = reduced_type(operation, input.scalar_type());
  return {.collective = collective,
          .input = input.const_data_ptr(),
          .output = output.mutable_data_ptr(),
          .count = static_cast<std::uint64_t>(count),
          .type = type,
          .op = reduce_op(operation, op, input.scalar_type(), factor),
          .root = root};
}

// After a call that worked on other memory than its tensors'.
tutti::Status putting_back(tutti::Status called, TensorsRef worked_on, TensorsRef tensors) {
  if (called)
    for (std::size_t i = 0; i < tensors.size(); ++i) put_back(worked_on[i], tensors[i]);
  return called;
}

// Counts of blocks as the library counts them.
std::vector<std::uint64_t> scaled(std::vector<std::uint64_t> counts, at::ScalarType type) {
  for (auto& count : counts) count *= elements_of(type).each;
  return counts;
}

// Elements of each rank's part of a tensor that is split along its first dimension, evenly where nothing is said.
std::vector<std::uint64_t> parts(const char* operation, const char* what, const at::Tensor& tensor,
                                 const std::vector<int64_t>& splits, int ranks) {
  const std::int64_t rows = tensor.dim() == 0 ? tensor.numel() : tensor.size(0), row = rows == 0 ? 0 : tensor.numel() / rows;
  std::vector<std::uint64_t> counts(static_cast<std::size_t>(ranks));
  if (splits.empty()) {
    TORCH_CHECK_VALUE(rows % ranks == 0, "tutti: ", operation, ": ", rows, " rows of the ", what,
                      " cannot be split evenly among ", ranks, " ranks; give split sizes");
    std::fill(counts.begin(), counts.end(), static_cast<std::uint64_t>(rows / ranks * row));
    return counts;
  }
  check_count(operation, c10::str("split sizes of the ", what).c_str(), static_cast<std::int64_t>(splits.size()), ranks);
  std::int64_t sum = 0;
  for (std::size_t rank = 0; rank < counts.size(); ++rank) {
    TORCH_CHECK_VALUE(splits[rank] >= 0, "tutti: ", operation, ": a split size of the ", what, " is ", splits[rank]);
    counts[rank] = static_cast<std::uint64_t>(splits[rank] * row);
    sum += splits[rank];
  }
  TORCH_CHECK_VALUE(sum == rows, "tutti: ", operation, ": the split sizes of the ", what, " add up to ", sum, ", but it has ",
                    rows, " rows");
  return counts;
}

}  // namespace

// The only list, which has a tensor for each rank.
const Tensors& Backend::one_list(const char* name, const char* what, const Lists& lists) const {
  check_count(name, c10::str("lists of ", what).c_str(), static_cast<std::int64_t>(lists.size()), 1);
  check_count(name, what, static_cast<std::int64_t>(lists.front().size()), getSize());
  return lists.front();
}

Backend::WorkPtr Backend::broadcast(Tensors& tensors, const c10d::BroadcastOptions& o) {
  const Operation operation{c10d::OpType::BROADCAST, "tutti:broadcast", o.timeout, o.asyncOp};
  const at::Tensor& tensor = only(operation.name(), tensors);
  const at::Tensor dense = to_change(operation.name(), tensor);
  const Call call = moving(Collective::broadcast, dense, dense, dense.numel(), static_cast<int>(o.rootRank));
  return issue(operation, tensor, tensor,
               [this, call, dense, tensor](const Way& way) { return putting_back(run(call, way), dense, tensor); });
}

Backend::WorkPtr Backend::allreduce(Tensors& tensors, const c10d::AllreduceOptions& o) {
  const Operation operation{c10d::OpType::ALLREDUCE, "tutti:all_reduce", o.timeout, o.asyncOp};
  const at::Tensor& tensor = only(operation.name(), tensors);
  const at::Tensor dense = to_change(operation.name(), tensor);
  at::Tensor factor;
  const Call call = reducing(Collective::all_reduce, dense, dense, dense.numel(), operation.name(), o.reduceOp, factor);
  return issue(operation, tensor, tensor,
               [this, call, factor, dense, tensor](const Way& way) { return putting_back(run(call, way), dense, tensor); });
}

Backend::WorkPtr Backend::allreduce_coalesced(Tensors& tensors, const c10d::AllreduceCoalescedOptions& o) {
  const Operation operation{c10d::OpType::ALLREDUCE_COALESCED, "tutti:all_reduce", o.timeout, o.asyncOp};
  std::vector<Call> calls;
  Tensors all, factors;
  for (const at::Tensor& tensor : tensors) {
    const at::Tensor& dense = all.emplace_back(to_change(operation.name(), tensor));
    check_same_type(operation.name(), tensors.front(), tensor);
    calls.push_back(
        reducing(Collective::all_reduce, dense, dense, dense.numel(), operation.name(), o.reduceOp, factors.emplace_back()));
  }
  return issue(operation, tensors, tensors,
               [this, calls, factors, all, tensors](const Way& way) { return putting_back(run_all(calls, way), all, tensors); });
}

Backend::WorkPtr Backend::reduce(Tensors& tensors, const c10d::ReduceOptions& o) {
  const Operation operation{c10d::OpType::REDUCE, "tutti:reduce", o.timeout, o.asyncOp};
  const at::Tensor& tensor = only(operation.name(), tensors);
  const at::Tensor dense = to_change(operation.name(), tensor);
  at::Tensor factor;
  const Call call = reducing(Collective::reduce, dense, dense, dense.numel(), operation.name(), o.reduceOp, factor,
                             static_cast<int>(o.rootRank));
  return issue(operation, tensor, tensor,
               [this, call, factor, dense, tensor](const Way& way) { return putting_back(run(call, way), dense, tensor); });
}

Backend::WorkPtr Backend::allgather(Lists& outputs, Tensors& inputs, const c10d::AllgatherOptions& o) {
  const Operation operation{c10d::OpType::ALLGATHER, "tutti:all_gather", o.timeout, o.asyncOp};
  const at::Tensor input = to_read(operation.name(), only(operation.name(), inputs));
  const Tensors& each = one_list(operation.name(), "outputs", outputs);
  check_same_type(operation.name(), input, each.front());
  check_count(operation.name(), "elements of this rank's output", each[static_cast<std::size_t>(getRank())].numel(),
              input.numel());
  const Flat whole = flat(operation.name(), each, true);
  const Call call = moving(Collective::all_gather, input, whole.whole, input.numel());
  return issue(operation, input, each,
               [this, call, input, whole, each, counts = scaled(whole.counts, input.scalar_type())](const Way& way) {
                 Call of_counts = call;
                 if (!whole.equal) of_counts.output_counts = counts;
                 auto s = run(of_counts, way);
                 if (s) spread(whole, each);
                 return s;
               });
}

Backend::WorkPtr Backend::allgather_coalesced(Lists& outputs, Tensors& inputs, const c10d::AllgatherOptions& o) {
  const char* name = "all_gather";
  // Lists of ranks, each of which holds what that rank has given.
  check_count(name, "lists of outputs", static_cast<std::int64_t>(outputs.size()), getSize());
  std::vector<WorkPtr> works;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Lists of_one(1);
    for (const Tensors& of_rank : outputs) of_one.front().push_back(of_rank.at(i));
    Tensors input{inputs[i]};
    c10d::AllgatherOptions async = o;
    async.asyncOp = true;
    works.push_back(allgather(of_one, input, async));
  }
  return c10::make_intrusive<AllOf>(getRank(), std::move(works));
}

Call Backend::gathering(const char* name, const at::Tensor& output, const at::Tensor& input) const {
  check_same_type(name, input, output);
  check_count(name, "elements of output", output.numel(), input.numel() * getSize());
  return moving(Collective::all_gather, input, output, input.numel());
}

Call Backend::scattering(const char* name, const at::Tensor& output, const at::Tensor& input, const c10d::ReduceOp& op,
                         at::Tensor& factor) const {
  check_same_type(name, input, output);
  check_count(name, "elements of input", input.numel(), output.numel() * getSize());
  return reducing(Collective::reduce_scatter, input, output, output.numel(), name, op, factor);
}

Backend::WorkPtr Backend::_allgather_base(at::Tensor& output, at::Tensor& input, const c10d::AllgatherOptions& o) {
  const Operation operation{c10d::OpType::_ALLGATHER_BASE, "tutti:all_gather_into_tensor", o.timeout, o.asyncOp};
  const at::Tensor in = to_read(operation.name(), input), out = to_write(operation.name(), output);
  const Call call = gathering(operation.name(), out, in);
  return issue(operation, input, output,
               [this, call, in, out, output](const Way& way) { return putting_back(run(call, way), out, output); });
}

Backend::WorkPtr Backend::allgather_into_tensor_coalesced(Tensors& outputs, Tensors& inputs, const c10d::AllgatherOptions& o) {
  const Operation operation{c10d::OpType::COALESCED, "tutti:all_gather_into_tensor", o.timeout, o.asyncOp};
  check_count(operation.name(), "outputs", static_cast<std::int64_t>(outputs.size()), static_cast<std::int64_t>(inputs.size()));
  std::vector<Call> calls;
  Tensors in, out;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    in.push_back(to_read(operation.name(), inputs[i]));
    out.push_back(to_write(operation.name(), outputs[i]));
    calls.push_back(gathering(operation.name(), out.back(), in.back()));
  }
  return issue(operation, inputs, outputs,
               [this, calls, in, out, outputs](const Way& way) { return putting_back(run_all(calls, way), out, outputs); });
}

Backend::WorkPtr Backend::gather(Lists& outputs, Tensors& inputs, const c10d::GatherOptions& o) {
  const Operation operation{c10d::OpType::GATHER, "tutti:gather", o.timeout, o.asyncOp};
  const at::Tensor input = to_read(operation.name(), only(operation.name(), inputs));
  const int root = static_cast<int>(o.rootRank);
  if (getRank() != root) {
    check_count(operation.name(), "lists of outputs (only the root has some)", static_cast<std::int64_t>(outputs.size()), 0);
    const Call call = moving(Collective::gather, input, {}, input.numel(), root);
    return issue(operation, input, {}, [this, call, input](const Way& way) { return run(call, way); });
  }
  const Tensors& each = one_list(operation.name(), "outputs", outputs);
  for (const at::Tensor& output : each) check_count(operation.name(), "elements of an output", output.numel(), input.numel());
  check_same_type(operation.name(), input, each.front());
  const Flat whole = flat(operation.name(), each, true);
  const Call call = moving(Collective::gather, input, whole.whole, input.numel(), root);
  return issue(operation, input, each, [this, call, input, whole, each](const Way& way) {
    auto s = run(call, way);
    if (s) spread(whole, each);
    return s;
  });
}

#if TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR >= 215
Backend::WorkPtr Backend::gather_single(at::Tensor& output, at::Tensor& input, const c10d::GatherOptions& o) {
  const Operation operation{c10d::OpType::GATHER, "tutti:gather_single", o.timeout, o.asyncOp};
  const at::Tensor in = to_read(operation.name(), input);
  const int root = static_cast<int>(o.rootRank);
  if (getRank() != root) {
    const Call call = moving(Collective::gather, in, {}, in.numel(), root);
    return issue(operation, input, {}, [this, call, in](const Way& way) { return run(call, way); });
  }
  const at::Tensor out = to_write(operation.name(), output);
  check_same_type(operation.name(), input, output);
  check_count(operation.name(), "elements of output", output.numel(), input.numel() * getSize());
  const Call call = moving(Collective::gather, in, out, in.numel(), root);
  return issue(operation, input, output,
               [this, call, in, out, output](const Way& way) { return putting_back(run(call, way), out, output); });
}
#endif

Backend::WorkPtr Backend::scatter(Tensors& outputs, Lists& inputs, const c10d::ScatterOptions& o) {
  const Operation operation{c10d::OpType::SCATTER, "tutti:scatter", o.timeout, o.asyncOp};
  const at::Tensor& output = only(operation.name(), outputs);
  const at::Tensor out = to_write(operation.name(), output);
  const int root = static_cast<int>(o.rootRank);
  if (getRank() != root) {
    check_count(operation.name(), "lists of inputs (only the root has some)", static_cast<std::int64_t>(inputs.size()), 0);
    const Call call = moving(Collective::scatter, {}, out, out.numel(), root);
    return issue(operation, {}, output,
                 [this, call, out, output](const Way& way) { return putting_back(run(call, way), out, output); });
  }
  const Tensors& each = one_list(operation.name(), "inputs", inputs);
  for (const at::Tensor& input : each) check_count(operation.name(), "elements of an input", input.numel(), output.numel());
  check_same_type(operation.name(), output, each.front());
  const Flat whole = flat(operation.name(), each, false);
  const Call call = moving(Collective::scatter, whole.whole, out, out.numel(), root);
  return issue(operation, each, output, [this, call, whole, each, out, output](const Way& way) {
    fill(whole, each);
    return putting_back(run(call, way), out, output);
  });
}

Backend::WorkPtr Backend::reduce_scatter(Tensors& outputs, Lists& inputs, const c10d::ReduceScatterOptions& o) {
  const Operation operation{c10d::OpType::REDUCE_SCATTER, "tutti:reduce_scatter", o.timeout, o.asyncOp};
  const at::Tensor& output = only(operation.name(), outputs);
  const at::Tensor out = to_write(operation.name(), output);
  const Tensors& each = one_list(operation.name(), "inputs", inputs);
  check_same_type(operation.name(), output, each.front());
  check_count(operation.name(), "elements of output", output.numel(), each[static_cast<std::size_t>(getRank())].numel());
  const Flat whole = flat(operation.name(), each, false);
  at::Tensor factor;
  const Call call = reducing(Collective::reduce_scatter, whole.whole, out, out.numel(), operation.name(), o.reduceOp, factor);
  return issue(operation, each, output, [this, call, whole, each, factor, out, output](const Way& way) {
    fill(whole, each);
    Call of_counts = call;
    if (!whole.equal) of_counts.input_counts = whole.counts;
    return putting_back(run(of_counts, way), out, output);
  });
}

Backend::WorkPtr Backend::_reduce_scatter_base(at::Tensor& output, at::Tensor& input, const c10d::ReduceScatterOptions& o) {
  const Operation operation{c10d::OpType::_REDUCE_SCATTER_BASE, "tutti:reduce_scatter_tensor", o.timeout, o.asyncOp};
  const at::Tensor in = to_read(operation.name(), input), out = to_write(operation.name(), output);
  at::Tensor factor;
  const Call call = scattering(operation.name(), out, in, o.reduceOp, factor);
  return issue(operation, input, output,
               [this, call, factor, in, out, output](const Way& way) { return putting_back(run(call, way), out, output); });
}

Backend::WorkPtr Backend::reduce_scatter_tensor_coalesced(Tensors& outputs, Tensors& inputs,
                                                          const c10d::ReduceScatterOptions& o) {
  const Operation operation{c10d::OpType::COALESCED, "tutti:reduce_scatter_tensor", o.timeout, o.asyncOp};
  check_count(operation.name(), "outputs", static_cast<std::int64_t>(outputs.size()), static_cast<std::int64_t>(inputs.size()));
  std::vector<Call> calls;
  Tensors in, out, factors;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    in.push_back(to_read(operation.name(), inputs[i]));
    out.push_back(to_write(operation.name(), outputs[i]));
    calls.push_back(scattering(operation.name(), out.back(), in.back(), o.reduceOp, factors.emplace_back()));
  }
  return issue(operation, inputs, outputs, [this, calls, factors, in, out, outputs](const Way& way) {
    return putting_back(run_all(calls, way), out, outputs);
  });
}

Backend::WorkPtr Backend::alltoall_base(at::Tensor& output, at::Tensor& input, std::vector<int64_t>& output_splits,
                                        std::vector<int64_t>& input_splits, const c10d::AllToAllOptions& o) {
  const Operation operation{c10d::OpType::ALLTOALL_BASE, "tutti:all_to_all_single", o.timeout, o.asyncOp};
  const at::Tensor in = to_read(operation.name(), input), out = to_write(operation.name(), output);
  check_same_type(operation.name(), input, output);
  auto sent = scaled(parts(operation.name(), "input", input, input_splits, getSize()), input.scalar_type());
  auto received = scaled(parts(operation.name(), "output", output, output_splits, getSize()), input.scalar_type());
  Call call = moving(Collective::all_to_all, in, out, 0);
  if (input_splits.empty() && output_splits.empty()) {
    check_count(operation.name(), "elements of output", output.numel(), input.numel());
    call.count = sent.front();
    return issue(operation, input, output,
                 [this, call, in, out, output](const Way& way) { return putting_back(run(call, way), out, output); });
  }
  return issue(operation, input, output,
               [this, call, in, out, output, sent = std::move(sent), received = std::move(received)](const Way& way) {
                 Call of_counts = call;
                 of_counts.input_counts = sent;
                 of_counts.output_counts = received;
                 return putting_back(run(of_counts, way), out, output);
               });
}

Backend::WorkPtr Backend::alltoall(Tensors& outputs, Tensors& inputs, const c10d::AllToAllOptions& o) {
  const Operation operation{c10d::OpType::ALLTOALL, "tutti:all_to_all", o.timeout, o.asyncOp};
  check_count(operation.name(), "inputs", static_cast<std::int64_t>(inputs.size()), getSize());
  check_count(operation.name(), "outputs", static_cast<std::int64_t>(outputs.size()), getSize());
  check_same_type(operation.name(), inputs.front(), outputs.front());
  const Flat in = flat(operation.name(), inputs, false), out = flat(operation.name(), outputs, true);
  const auto type = inputs.front().scalar_type();
  const Call call = moving(Collective::all_to_all, in.whole, out.whole, 0);
  return issue(operation, inputs, outputs,
               [this, call, in, out, inputs, outputs, sent = scaled(in.counts, type),
                received = scaled(out.counts, type)](const Way& way) {
                 fill(in, inputs);
                 Call of_counts = call;
                 of_counts.input_counts = sent;
                 of_counts.output_counts = received;
                 auto s = run(of_counts, way);
                 if (s) spread(out, outputs);
                 return s;
               });
}

Backend::WorkPtr Backend::barrier(const c10d::BarrierOptions& o) {
  const Operation operation{c10d::OpType::BARRIER, "tutti:barrier", o.timeout, o.asyncOp};
  return issue(operation, {}, {}, [this](const Way& way) { return run({.collective = Collective::barrier}, way); });
}

}  // namespace tutti_torch
