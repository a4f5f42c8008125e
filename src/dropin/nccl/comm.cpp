#include "nccl/comm.h"

#include "core/thread.h"
#include "nccl/errors.h"

namespace tutti::nccl {
namespace {

// What destructors and other threads ask for at the end of a process is done.
ncclResult_t without_comm(ncclComm_t handle) { return ended(handle) ? ncclSuccess : ncclInvalidArgument; }

}  // namespace

void Comm::made(Communicator communicator) {
  expect(communicator.rank(), communicator.size());
  communicator_.emplace(std::move(communicator));
  made_ = true;
  set_idle(ncclSuccess);
}

void Comm::set_idle(ncclResult_t state) noexcept {
  state_ = state;
  state_.notify_all();
}

void Comm::set_failed(ncclResult_t result, std::string why) {
  {
    const std::lock_guard lock(mutex_);
    if (failure_.empty()) failure_ = std::move(why);
  }
  state_ = result;
  state_.notify_all();
}

void Comm::look_for_failure() {
  if (state_ != ncclSuccess) return;
  if (auto s = communicator_->failure(); !s) (void)failed(s.error());
}

void Comm::wait_while_busy() const { state_.wait(ncclInProgress); }

ncclResult_t Comm::survivable(std::string_view call) const {
  if (state_ == ncclInProgress)
    return invalid_argument(
        "{}: the communicator is still busy with what returned ncclInProgress; ask ncclCommGetAsyncError until it "
        "says ncclSuccess",
        call);
  if (aborted()) return invalid_argument("{}: the communicator was aborted", call);
  if (finalized()) return invalid_usage("{}: the communicator was finalized", call);
  if (suspended()) return invalid_usage("{}: the communicator is suspended", call);
  return ncclSuccess;
}

ncclResult_t Comm::divisible(std::string_view call) const {
  if (const auto result = survivable(call); result != ncclSuccess) return result;
  const ncclResult_t state = state_;
  if (state == ncclSuccess) return ncclSuccess;
  const std::lock_guard lock(mutex_);
  return report(state, fmt::format("{}: the communicator{}{} has failed: {}", call, settings.name.empty() ? "" : " ",
                                   settings.name, failure_));
}

ncclResult_t Comm::unusable(std::string_view call) const {
  if (const auto result = divisible(call); result != ncclSuccess) return result;
  if (revoked()) return invalid_usage("{}: the communicator was revoked", call);
  return ncclSuccess;
}

ncclResult_t Comm::not_alone(std::string_view call) {
  return invalid_usage("{}: another thread is in a call on this communicator; it is for one thread at a time", call);
}

ncclResult_t Comm::failed(const Error& error) {
  if (error.code() != Code::invalid_argument && !revoked()) set_failed(result_of(error.code()), error.to_string());
  return report(error);
}

void Comm::abort() {
  marks_ |= kAborted;
  give_up();
  interrupt("ncclCommAbort");
}

void Comm::revoke() {
  marks_ |= kRevoked;
  interrupt("ncclCommRevoke");
  set_idle(ncclSuccess);  // what becomes of the calls under way is no failure
}

void Comm::interrupt(const char* by) {
  if (made_ && (in_calls() || in_streams())) communicator_->abort(by);
}

ncclResult_t comm_finalize(ncclComm_t handle) {
  if (handle == nullptr) return ncclSuccess;
  const auto comm = find_comm("ncclCommFinalize", handle);
  if (!comm) return ncclInvalidArgument;
  if (comm->finalized()) return invalid_argument("ncclCommFinalize: the communicator was finalized before");
  if (const auto result = comm->usable("ncclCommFinalize"); result != ncclSuccess) return result;
  comm->finalize();  // every call was complete when it returned: nothing is left to be flushed
  return ncclSuccess;
}

ncclResult_t comm_destroy(ncclComm_t handle) {
  if (handle == nullptr) return ncclSuccess;
  const auto comm = take_comm("ncclCommDestroy", handle);
  if (!comm) return without_comm(handle);
  comm->wait_while_busy();
  return ncclSuccess;
}

namespace {

// A stream may still be on its way to a call of this communicator, and wait for others that are to be aborted next.
ncclResult_t leave_behind(std::shared_ptr<Comm> comm) {
  if (!comm->in_streams()) return ncclSuccess;
  auto thread = start_thread([left = std::move(comm)]() mutable { left.reset(); });
  if (!thread) return report(thread.because("ncclCommAbort"));
  thread->detach();
  return ncclSuccess;
}

}  // namespace

ncclResult_t comm_abort(ncclComm_t handle) {
  if (handle == nullptr) return ncclSuccess;
  auto comm = take_comm("ncclCommAbort", handle);
  if (!comm) return without_comm(handle);
  comm->abort();
  comm->wait_while_busy();
  return leave_behind(std::move(comm));
}

ncclResult_t comm_revoke(ncclComm_t handle, int flags) {
  if (handle == nullptr) return ncclSuccess;
  const auto comm = find_comm("ncclCommRevoke", handle);
  if (!comm) return ncclInvalidArgument;
  if (flags != NCCL_REVOKE_DEFAULT) return invalid_argument("ncclCommRevoke: flags are {}, expected 0", flags);
  if (comm->revoked()) return invalid_argument("ncclCommRevoke: the communicator was revoked before");
  if (comm->finalized()) return invalid_argument("ncclCommRevoke: the communicator was finalized");
  if (comm->state() == ncclInProgress) return comm->divisible("ncclCommRevoke");
  comm->revoke();
  return ncclSuccess;
}

ncclResult_t comm_get_async_error(ncclComm_t handle, ncclResult_t* error) {
  if (error == nullptr) return invalid_argument("ncclCommGetAsyncError: asyncError is NULL");
  *error = ncclSuccess;
  const auto comm = find_comm("ncclCommGetAsyncError", handle);
  if (!comm) return without_comm(handle);
  comm->look_for_failure();
  *error = comm->state();
  return ncclSuccess;
}

namespace {

// Of what is known once a communicator was made.
template <class Value, class Ask>
ncclResult_t tell(std::string_view call, ncclComm_t handle, Value* to, Ask&& ask) {
  const auto comm = find_comm(call, handle);
  if (!comm) return ncclInvalidArgument;
  if (to == nullptr) return invalid_argument("{}: there is nowhere to put the answer (NULL)", call);
  if (comm->state() == ncclInProgress) return comm->divisible(call);
  *to = ask(*comm);
  return ncclSuccess;
}

}  // namespace

ncclResult_t comm_count(ncclComm_t comm, int* count) {
  return tell("ncclCommCount", comm, count, [](const Comm& c) { return c.size(); });
}
ncclResult_t comm_cu_device(ncclComm_t comm, int* device) {
  return tell("ncclCommCuDevice", comm, device, [](const Comm& c) { return c.seat.device; });
}
ncclResult_t comm_user_rank(ncclComm_t comm, int* rank) {
  return tell("ncclCommUserRank", comm, rank, [](const Comm& c) { return c.rank(); });
}

ncclResult_t comm_suspend(ncclComm_t handle, int flags) {
  const auto comm = find_comm("ncclCommSuspend", handle);
  if (!comm) return ncclInvalidArgument;
  if ((flags & ~NCCL_SUSPEND_MEM) != 0)
    return invalid_argument("ncclCommSuspend: flags are {}, expected 0 or NCCL_SUSPEND_MEM", flags);
  if (const auto result = comm->usable("ncclCommSuspend"); result != ncclSuccess) return result;
  comm->suspend();  // it holds no memory of a GPU that could be given back
  return ncclSuccess;
}

ncclResult_t comm_resume(ncclComm_t handle) {
  const auto comm = find_comm("ncclCommResume", handle);
  if (!comm) return ncclInvalidArgument;
  if (!comm->suspended()) return invalid_usage("ncclCommResume: the communicator is not suspended");
  comm->resume();
  return ncclSuccess;
}

ncclResult_t comm_mem_stats(ncclComm_t handle, ncclCommMemStat_t stat, uint64_t* value) {
  const auto comm = find_comm("ncclCommMemStats", handle);
  if (!comm) return ncclInvalidArgument;
  if (value == nullptr) return invalid_argument("ncclCommMemStats: value is NULL");
  if (static_cast<unsigned>(stat) > ncclStatGpuMemTotal)
    return invalid_argument("ncclCommMemStats: there is no statistic {}", static_cast<int>(stat));
  // What is on the GPU stays there: nothing of it is taken away by a suspension.
  const bool bytes = stat == ncclStatGpuMemPersist || stat == ncclStatGpuMemTotal;
  *value = bytes && comm->state() != ncclInProgress ? comm->device_bytes() : 0;
  if (stat == ncclStatGpuMemSuspended && comm->suspended()) *value = 1;
  return ncclSuccess;
}

}  // namespace tutti::nccl
