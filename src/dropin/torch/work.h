// An operation under way, as PyTorch sees it.
#pragma once

#include <ATen/core/ivalue.h>
#include <c10/core/Event.h>

#include <functional>
#include <optional>
#include <string>
#include <torch/csrc/distributed/c10d/Work.hpp>

#include "observers.h"
#include "tensors.h"
#include "tutti/result.h"

namespace tutti_torch {

// An operation's name, of the title that PyTorch's profiler shows.
[[nodiscard]] constexpr const char* name_of(const char* title) { return title + sizeof("tutti:") - 1; }

class CallWork final : public c10d::Work {
 public:
  // What an operation is called, what it reads and writes, and its number in its group. All tensors are kept until it is done.
  struct About {
    c10d::OpType type = c10d::OpType::UNKNOWN;
    const char* title = "";  // "tutti:all_reduce"
    std::vector<at::Tensor> inputs, outputs;
    std::uint64_t sequence = 0;
    std::chrono::milliseconds at_most{0};  // how long to wait for what does not end by itself; 0: it does
    std::function<bool()> withdraw = {};   // then: ends it, unless it has just found what it waits for
  };
  CallWork(int rank, About about, std::shared_ptr<Observers> observers);

  // Waits until the tensors, if they lie on a device, are as they were to be when the operation was issued.
  void wait_for_device();
  // The operation has ended. `source`: whom a message from anyone was from.
  void done(tutti::Status status, int source = -1);

  bool isSuccess() const override;
  int sourceRank() const override;
  std::vector<at::Tensor> result() override { return about_.outputs; }
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override;
  uint64_t getSequencenumber() const override { return about_.sequence; }
  bool wait(std::chrono::milliseconds timeout) override;
  void synchronize() override {}
#if TORCH_VERSION_MAJOR * 100 + TORCH_VERSION_MINOR >= 215
  uint64_t getCompletionKey() const override { return key_; }
#endif

 private:
  void settle(c10::ivalue::Future& future, const std::exception_ptr& exception) const;

  About about_;
  std::shared_ptr<Observers> observers_;
  std::optional<c10::Event> issued_;
  std::uint64_t key_;  // that no other work in this process has
  int source_ = -1;
  c10::intrusive_ptr<c10::ivalue::Future> future_;  // once somebody has asked for it
};

// An operation in the order of a stream of a device.
class StreamWork final : public c10d::Work {
 public:
  StreamWork(int rank, c10d::OpType type, const char* title, const c10::Stream& stream, Tensors inputs, Tensors outputs);
  bool isCompleted() override { return done_.query(); }
  bool isSuccess() const override { return done_.query(); }
  // The stream that is current now goes on behind it.
  void synchronize() override;
  bool wait(std::chrono::milliseconds timeout) override;
  std::vector<at::Tensor> result() override { return outputs_; }
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override { return future_; }

 private:
  Tensors inputs_, outputs_;
  c10::Event done_;
  c10::intrusive_ptr<c10::ivalue::Future> future_;
};

// An operation that is over, for PyTorch's flight recorder: it takes one of which it gets nothing for one that has only begun.
class Over final : public c10d::Work {
 public:
  explicit Over(c10d::OpType type) : Work(-1, type) { completed_ = true; }
  bool isCompleted() override { return true; }
  bool isSuccess() const override { return true; }
  bool wait(std::chrono::milliseconds) override { return true; }
  void synchronize() override {}
};

// Several operations that are waited for together.
class AllOf final : public c10d::Work {
 public:
  explicit AllOf(int rank, std::vector<c10::intrusive_ptr<c10d::Work>> works);
  bool isCompleted() override;
  bool isSuccess() const override;
  bool wait(std::chrono::milliseconds timeout) override;
  std::vector<at::Tensor> result() override;
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override;
  void synchronize() override {}

 private:
  std::vector<c10::intrusive_ptr<c10d::Work>> works_;
};

}  // namespace tutti_torch
