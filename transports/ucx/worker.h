// UCX's worker: what moves the messages of all connections of one stream. One per stream: a rank that waits polls all connections
// of its stream, which is one look at each device this way, and threads with communicators of their own do not get into each
// other's way. Endpoints of one stream may still be used by several threads: whoever calls a worker's functions holds its lock.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/clock.h"
#include "core/fd.h"
#include "transports/ucx/context.h"
#include "transports/ucx/wire.h"

namespace tutti::ucx {

// Bytes that have come, and lie in UCX's memory; or that are announced, and UCX fetches on demand.
struct Arrival {
  FragmentHeader header;
  void* data = nullptr;
  std::size_t size = 0;
  bool announced = false;
};

// What comes over one connection.
class Inbox {
 public:
  // In any order.
  virtual void arrive(const Arrival& arrival) = 0;
  // So many fragments of this side have been taken.
  virtual void taken(std::uint64_t fragments) = 0;

 protected:
  ~Inbox() = default;
};

class Worker {
 public:
  static Result<std::shared_ptr<Worker>> open(std::shared_ptr<Context> context);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  [[nodiscard]] std::mutex& mutex() noexcept { return mutex_; }
  [[nodiscard]] const Library& library() const noexcept { return context_->library(); }
  [[nodiscard]] ucp_worker_h handle() const noexcept { return handle_; }
  [[nodiscard]] ConstBytes address() const noexcept { return address_; }

  // The number that fragments for the inbox carry: random, so that no stranger guesses it.
  [[nodiscard]] std::uint64_t enlist(Inbox& inbox);
  void strike(std::uint64_t number) { inboxes_.erase(number); }

  // Whether anything moved.
  bool progress() { return library().progress(handle_) != 0; }
  // Whether the request is finished; it is freed then.
  bool let_go(void* request);
  // The same, waiting until it is, but not after `end`.
  bool finish(void* request, TimePoint end);

  // What to sleep on: the worker's descriptor; or one that wakes at once, where something moves already or UCX's transports have
  // none.
  [[nodiscard]] int wait_fd();
  [[nodiscard]] int awake_fd() const noexcept { return awake_.get(); }

 private:
  Worker(std::shared_ptr<Context> context, ucp_worker_h handle) : context_(std::move(context)), handle_(handle) {}
  Status prepare();
  Status listen(unsigned id, ucp_am_recv_callback_t heard, std::uint32_t flags);
  [[nodiscard]] Inbox* find(std::uint64_t number) const;
  static ucs_status_t arrived(void* self, const void* header, std::size_t header_size, void* data, std::size_t size,
                              const ucp_am_recv_param_t* how);
  static ucs_status_t told(void* self, const void* header, std::size_t header_size, void* data, std::size_t size,
                           const ucp_am_recv_param_t* how);

  std::shared_ptr<Context> context_;
  ucp_worker_h handle_;
  std::mutex mutex_;  // guards what UCX has behind the handle, and what follows
  std::vector<std::byte> address_;
  std::unordered_map<std::uint64_t, Inbox*> inboxes_;
  int events_ = -1;  // UCX's own
  Fd awake_;
};

}  // namespace tutti::ucx
