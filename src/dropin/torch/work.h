// An operation under way, as PyTorch sees it.
#pragma once

#include <ATen/core/ivalue.h>

#include <optional>
#include <string>
#include <torch/csrc/distributed/c10d/Work.hpp>

#include "tutti/result.h"

namespace tutti_torch {

class CallWork final : public c10d::Work {
 public:
  // What an operation is called, what it reads and writes, and its number in its group. All tensors are kept until it is done.
  struct About {
    c10d::OpType type = c10d::OpType::UNKNOWN;
    const char* title = "";  // "tutti:all_reduce"
    std::vector<at::Tensor> inputs, outputs;
    std::uint64_t sequence = 0;
    std::chrono::milliseconds at_most{0};  // how long to wait for what does not end by itself; 0: it does
  };
  CallWork(int rank, About about);

  // The operation has ended. `source`: whom a message from anyone was from.
  void done(tutti::Status status, int source = -1);

  bool isSuccess() const override;
  int sourceRank() const override;
  std::vector<at::Tensor> result() override { return about_.outputs; }
  c10::intrusive_ptr<c10::ivalue::Future> getFuture() override;
  uint64_t getSequencenumber() const override { return about_.sequence; }
  bool wait(std::chrono::milliseconds timeout) override;
  void synchronize() override {}

 private:
  void settle(c10::ivalue::Future& future) const;

  About about_;
  int source_ = -1;
  c10::intrusive_ptr<c10::ivalue::Future> future_;  // once somebody has asked for it
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
