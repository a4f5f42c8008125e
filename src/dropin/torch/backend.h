// A process group's backend: PyTorch's operations as calls on a communicator of this library.
//
// An operation that the caller waits for at once runs in its own thread. Others are done in order by a thread of the group, which
// sleeps where it has to wait, because the caller computes meanwhile. Messages have ways of their own (peers.h).
#pragma once

#include <ATen/ThreadLocalState.h>
#include <ATen/record_function.h>
#include <c10/util/FunctionRef.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <mutex>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "meeting.h"
#include "peers.h"
#include "tensors.h"
#include "work.h"
#include "worker.h"

namespace tutti_torch {

class Backend final : public c10d::Backend {
 public:
  using Lists = std::vector<Tensors>;
  using WorkPtr = c10::intrusive_ptr<c10d::Work>;

  Backend(const Store& store, int rank, int size, std::chrono::milliseconds timeout,
          const tutti::Communicator* part_of = nullptr);
  ~Backend() override;

  const std::string getBackendName() const override { return "tutti"; }
  c10::intrusive_ptr<Options> getBackendOptions() override { return options_; }

  WorkPtr broadcast(Tensors& tensors, const c10d::BroadcastOptions& o) override;
  WorkPtr allreduce(Tensors& tensors, const c10d::AllreduceOptions& o) override;
  WorkPtr allreduce_coalesced(Tensors& tensors, const c10d::AllreduceCoalescedOptions& o) override;
  WorkPtr reduce(Tensors& tensors, const c10d::ReduceOptions& o) override;
  WorkPtr allgather(Lists& outputs, Tensors& inputs, const c10d::AllgatherOptions& o) override;
  WorkPtr allgather_coalesced(Lists& outputs, Tensors& inputs, const c10d::AllgatherOptions& o) override;
  WorkPtr _allgather_base(at::Tensor& output, at::Tensor& input, const c10d::AllgatherOptions& o) override;
  WorkPtr allgather_into_tensor_coalesced(Tensors& outputs, Tensors& inputs, const c10d::AllgatherOptions& o) override;
  WorkPtr gather(Lists& outputs, Tensors& inputs, const c10d::GatherOptions& o) override;
#if TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR >= 215
  WorkPtr gather_single(at::Tensor& output, at::Tensor& input, const c10d::GatherOptions& o) override;
#endif
  WorkPtr scatter(Tensors& outputs, Lists& inputs, const c10d::ScatterOptions& o) override;
  WorkPtr reduce_scatter(Tensors& outputs, Lists& inputs, const c10d::ReduceScatterOptions& o) override;
  WorkPtr _reduce_scatter_base(at::Tensor& output, at::Tensor& input, const c10d::ReduceScatterOptions& o) override;
  WorkPtr reduce_scatter_tensor_coalesced(Tensors& outputs, Tensors& inputs, const c10d::ReduceScatterOptions& o) override;
  WorkPtr alltoall_base(at::Tensor& output, at::Tensor& input, std::vector<int64_t>& output_splits,
                        std::vector<int64_t>& input_splits, const c10d::AllToAllOptions& o) override;
  WorkPtr alltoall(Tensors& outputs, Tensors& inputs, const c10d::AllToAllOptions& o) override;
  WorkPtr barrier(const c10d::BarrierOptions& o) override;
  void monitoredBarrier(const c10d::BarrierOptions& o, bool wait_for_all) override;
  WorkPtr send(Tensors& tensors, int to, int tag) override;
  WorkPtr recv(Tensors& tensors, int from, int tag) override;
  WorkPtr recvAnysource(Tensors& tensors, int tag) override;

  bool supportsCoalescing() const override { return true; }
  void startCoalescing() override;
  WorkPtr endCoalescing() override;

  uint64_t getSequenceNumberForGroup() override { return sequence_; }
  void setSequenceNumberForGroup() override {}
  void setTimeout(std::chrono::milliseconds timeout) override;
  void waitForPendingWorks() override;
  void abort() override;
  void shutdown() override;
  c10d::ErrorType getError() override;

#if TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR >= 215
  bool supportsAbortHooks() const override { return true; }
  void registerAbortHook(std::int64_t id, c10d::AbortHook hook) override { observers_->abort.add(id, std::move(hook)); }
  void unregisterAbortHook(std::int64_t id) override { observers_->abort.remove(id); }
  bool supportsCompletionHooks() const override { return true; }
  void registerCompletionHook(std::int64_t id, c10d::CompletionHook hook) override {
    observers_->completion.add(id, std::move(hook));
  }
  void unregisterCompletionHook(std::int64_t id) override { observers_->completion.remove(id); }
#endif

  bool supportsSplitting() const override { return true; }
  c10::intrusive_ptr<c10d::Backend> split(const Store& store, const std::vector<int>& ranks,
                                          const c10::intrusive_ptr<Options>& options) override;

  // For users that ask.
  [[nodiscard]] std::string last_algorithm() const { return group_->last_algorithm(); }
  [[nodiscard]] std::string transports() const { return group_->transports(); }

 private:
  // What an operation is to PyTorch.
  struct Operation {
    c10d::OpType type;
    const char* title;  // "tutti:all_reduce"
    std::chrono::milliseconds timeout = c10d::kUnsetTimeout;
    bool async = true;
    [[nodiscard]] const char* name() const { return name_of(title); }
  };
  // How calls are made.
  struct Way {
    bool background = false;
    std::chrono::milliseconds timeout = {};
    std::optional<c10::Stream> stream = std::nullopt;  // tensors lie on this stream's device
  };
  // Does the calls of an operation, and what has to be done before and after them.
  using Calls = std::function<tutti::Status(const Way&)>;
  using CallsRef = c10::function_ref<tutti::Status(const Way&)>;

  // What is waited for at once is done at once, without memory for it.
  template <class Body>
  WorkPtr issue(const Operation& operation, TensorsRef inputs, TensorsRef outputs, Body&& body) {
    check_owner(operation.name());
    if (const auto stream = stream_of(inputs, outputs)) return do_on_device(operation, *stream, inputs, outputs, body);
    if (!operation.async && worker_.idle()) return do_now(operation, body);
    return do_later(operation, inputs, outputs, Calls(std::forward<Body>(body)));
  }
  WorkPtr do_now(const Operation& operation, CallsRef calls);
  WorkPtr do_later(const Operation& operation, TensorsRef inputs, TensorsRef outputs, Calls calls);
  WorkPtr do_on_device(const Operation& operation, const c10::Stream& stream, TensorsRef inputs, TensorsRef outputs,
                       CallsRef calls);
  tutti::Status carry_out(CallsRef calls, const Way& way);
  [[nodiscard]] std::chrono::milliseconds timeout_of(const Operation& operation) const {
    return operation.timeout == c10d::kUnsetTimeout ? options_->timeout : operation.timeout;
  }
  tutti::Status run(tutti::Call call, const Way& way);
  tutti::Status run_profiled(const tutti::Call& call, at::StepCallbacks profilers);
  tutti::Status run_all(const std::vector<tutti::Call>& calls, const Way& way);
  [[nodiscard]] const Tensors& one_list(const char* name, const char* what, const Lists& lists) const;
  [[nodiscard]] tutti::Call gathering(const char* name, const at::Tensor& output, const at::Tensor& input) const;
  [[nodiscard]] tutti::Call scattering(const char* name, const at::Tensor& output, const at::Tensor& input,
                                       const c10d::ReduceOp& op, at::Tensor& factor) const;
  c10::intrusive_ptr<CallWork> begin(const Operation& operation, TensorsRef inputs, TensorsRef outputs,
                                     std::chrono::milliseconds at_most = {}, std::function<bool()> withdraw = {});
  void check_owner(const char* operation) const;
  void check_message(const char* operation, int rank, int tag) const;
  std::string await_others(const std::string& key, std::chrono::milliseconds timeout, bool all);
  void forget_barrier(std::uint64_t number);
  bool comes(const std::string& key, std::chrono::milliseconds time);
  WorkPtr kept(c10::intrusive_ptr<CallWork> work);

  Store store_;
  c10::intrusive_ptr<Options> options_;
  std::shared_ptr<Observers> observers_ = std::make_shared<Observers>();
  std::optional<tutti::Communicator> group_;
  std::optional<Peers> peers_;
  std::atomic<std::uint64_t> sequence_{0}, messages_{0};
  std::uint64_t barriers_ = 0;
  const pid_t owner_ = getpid();
  std::mutex running_;                             // one call at a time; guards what follows
  std::map<std::string, std::string> algorithms_;  // of calls that have been profiled
  std::mutex coalescing_;
  std::optional<std::vector<WorkPtr>> coalesced_;  // between start and end
  Worker worker_;
};

}  // namespace tutti_torch
