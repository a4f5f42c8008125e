// An opened RDMA device: its protection domain, and receive requests that all connections share.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "transports/verbs/library.h"
#include "transports/verbs/ports.h"

namespace tutti::verbs {

class Device {
 public:
  static Result<std::shared_ptr<Device>> open(const Library& library, ibv_device* device);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // All ports of it, with their GIDs.
  [[nodiscard]] Result<std::vector<Port>> ports() const;
  // Makes what connections need, requests that they share only if `shares_receives`: these save memory where there are many, and
  // cost a little time. Thread safe, as is all that follows.
  Status prepare(bool shares_receives);

  // Takes so many of the shared receive requests for a connection; none of them has memory. false: there are no more, and the
  // connection needs its own.
  Result<bool> reserve(int receives);
  void give_back(int receives);
  // Requests that have been used up are posted anew.
  Status replenish(int receives);

  [[nodiscard]] const Library& library() const noexcept { return library_; }
  [[nodiscard]] ibv_context* context() const noexcept { return context_; }
  [[nodiscard]] ibv_pd* domain() const noexcept { return domain_; }
  [[nodiscard]] ibv_srq* receives() const noexcept { return receives_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  Device(const Library& library, std::string name, std::string pci, ibv_context* context)
      : library_(library), name_(std::move(name)), pci_(std::move(pci)), context_(context) {}
  // Leaves in `receives` how many could not be posted.
  Status post(int& receives);

  const Library& library_;
  std::string name_;
  std::string pci_;  // address; empty: it is no PCI device
  ibv_context* context_;
  std::mutex mutex_;  // guards what follows
  ibv_pd* domain_ = nullptr;
  ibv_srq* receives_ = nullptr;
  int capacity_ = 0;  // of receives_
  int posted_ = 0;    // once for good: whoever uses one up posts another
  int reserved_ = 0;
};

// Posts receive requests without memory: what arrives with a number needs one each. `post` takes a chain of them. `count` gets
// how many have not been posted.
inline constexpr int kReceiveChain = 32;
inline constexpr std::uint64_t kReceiveId = UINT64_MAX;
template <class Post>
[[nodiscard]] int post_empty_receives(int& count, Post&& post) {
  std::array<ibv_recv_wr, kReceiveChain> chain{};
  while (count > 0) {
    const int some = std::min(count, kReceiveChain);
    for (int i = 0; i < some; ++i) {
      chain[static_cast<std::size_t>(i)].wr_id = kReceiveId;
      chain[static_cast<std::size_t>(i)].next = i + 1 < some ? &chain[static_cast<std::size_t>(i) + 1] : nullptr;
    }
    ibv_recv_wr* bad = nullptr;
    const int error = post(chain.data(), &bad);
    if (error == 0)
      count -= some;
    else if (bad != nullptr)
      count -= static_cast<int>(bad - chain.data());
    if (error != 0) return error;
  }
  return 0;
}

}  // namespace tutti::verbs
