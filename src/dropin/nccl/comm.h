// What is behind an ncclComm_t, and how a handle leads there.
#pragma once

#include <nccl.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/driver.h"
#include "nccl/config.h"
#include "nccl/meeting.h"
#include "nccl/ops.h"
#include "tutti/communicator.h"
#include "tutti/unique_id.h"

namespace tutti::nccl {

// Where the communicator's streams are; no context where there is no driver.
struct Seat {
  int device = 0;
  gpu::ContextHandle context = nullptr;
};

// A communicator is used by one thread at a time, but for state(), abort() and what never changes.
class Comm {
 public:
  Comm(Settings s, const Seat& at) : settings(std::move(s)), seat(at) {}

  const Settings settings;
  const Seat seat;
  Operators operators;
  std::optional<UniqueId> growth;  // handed out by ncclCommGetUniqueId and not used yet
  Meeting meeting;
  std::optional<Communicator> successor;  // of a revoked one, for others to be made of it

  // Before it is known to anybody but the thread that makes it; rank() and size() may be told earlier than the rest.
  void expect(Rank rank, Rank size) noexcept { rank_ = rank, size_ = size; }
  void made(Communicator communicator);
  [[nodiscard]] Rank rank() const noexcept { return rank_; }
  [[nodiscard]] Rank size() const noexcept { return size_; }

  // What ncclCommGetAsyncError tells. From any thread.
  [[nodiscard]] ncclResult_t state() const noexcept { return state_.load(); }
  // Hears of calls that have failed in a stream. From any thread.
  void look_for_failure();
  // While another one is made of it; gives the state that comes back afterwards.
  ncclResult_t set_busy() noexcept { return state_.exchange(ncclInProgress); }
  void set_idle(ncclResult_t state) noexcept;
  // It cannot be used any more.
  void set_failed(ncclResult_t result, std::string why);
  // Until it is not in progress.
  void wait_while_busy() const;

  class InUse;
  // ncclSuccess, or why `call` cannot be made now, told to ncclGetLastError.
  ncclResult_t usable(std::string_view call) const;
  ncclResult_t usable(std::string_view call, const InUse& in_use) const;
  // The same of calls that make another communicator of this one: a revoked one can, too; and one that has failed, for those that
  // are left of it.
  ncclResult_t divisible(std::string_view call) const;
  ncclResult_t survivable(std::string_view call) const;
  // Runs `what` with the communicator. Errors other than Code::invalid_argument end it.
  template <class What>
  ncclResult_t use(std::string_view call, What&& what);
  ncclResult_t failed(const Error& error);
  [[nodiscard]] Communicator& communicator() noexcept { return *communicator_; }

  // It is not to be used any more. Ranks that wait for this one learn that it has left. What is under way to make it, or others
  // of it, is given up.
  void abort();
  void give_up() noexcept { stop_.request_stop(); }
  // Asked to stop by these two.
  [[nodiscard]] std::stop_token stop() const noexcept { return stop_.get_token(); }
  [[nodiscard]] bool aborted() const noexcept { return aborted_; }
  void revoke();
  [[nodiscard]] std::uint64_t device_bytes() const { return made_ ? communicator_->memory().device_bytes : 0; }
  // Whether a stream has yet to pass calls of it.
  [[nodiscard]] bool in_streams() const noexcept { return made_ && communicator_->busy(); }
  // Ends the calls that are under way.
  void interrupt(const char* by);
  bool finalize() noexcept { return !finalized_.exchange(true); }
  [[nodiscard]] bool finalized() const noexcept { return finalized_; }
  [[nodiscard]] bool revoked() const noexcept { return revoked_; }
  [[nodiscard]] bool suspended() const noexcept { return suspended_; }
  void suspend(bool whether) noexcept { suspended_ = whether; }

  // While it is used by a call.
  class InUse {
   public:
    explicit InUse(Comm& comm) : comm_(comm), alone_(comm.calls_.fetch_add(1) == 0) {}
    InUse(const InUse&) = delete;
    InUse& operator=(const InUse&) = delete;
    ~InUse() { --comm_.calls_; }
    [[nodiscard]] bool alone() const noexcept { return alone_; }

   private:
    Comm& comm_;
    const bool alone_;
  };

 private:
  Rank rank_ = kNoRank, size_ = 0;
  std::optional<Communicator> communicator_;
  std::atomic<bool> made_{false};
  std::stop_source stop_;
  std::atomic<ncclResult_t> state_{ncclInProgress};
  std::atomic<bool> aborted_{false}, finalized_{false}, revoked_{false}, suspended_{false};
  std::atomic<int> calls_{0};
  mutable std::mutex mutex_;
  std::string failure_;
};

template <class What>
ncclResult_t Comm::use(std::string_view call, What&& what) {
  const InUse in_use(*this);  // first: whoever ends it looks afterwards for calls to end
  if (const auto result = usable(call, in_use); result != ncclSuccess) return result;
  auto status = what(*communicator_);
  return status ? ncclSuccess : failed(status.error());
}

// A handle is a number that is never given twice, so one that was destroyed is known from all that are in use.
ncclComm_t add_comm(std::shared_ptr<Comm> comm);
// nullptr, and told to ncclGetLastError, when there is none.
std::shared_ptr<Comm> find_comm(std::string_view call, ncclComm_t handle);
// The same; the handle is of no use from now on.
std::shared_ptr<Comm> take_comm(std::string_view call, ncclComm_t handle);
// The same, of one that may be gone already.
void forget_comm(ncclComm_t handle);

ncclResult_t comm_finalize(ncclComm_t comm);
ncclResult_t comm_destroy(ncclComm_t comm);
ncclResult_t comm_abort(ncclComm_t comm);
ncclResult_t comm_revoke(ncclComm_t comm, int flags);
ncclResult_t comm_get_async_error(ncclComm_t comm, ncclResult_t* error);
ncclResult_t comm_count(ncclComm_t comm, int* count);
ncclResult_t comm_cu_device(ncclComm_t comm, int* device);
ncclResult_t comm_user_rank(ncclComm_t comm, int* rank);
ncclResult_t comm_suspend(ncclComm_t comm, int flags);
ncclResult_t comm_resume(ncclComm_t comm);
ncclResult_t comm_mem_stats(ncclComm_t comm, ncclCommMemStat_t stat, uint64_t* value);

}  // namespace tutti::nccl
