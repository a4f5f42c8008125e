#include "nccl/making.h"

#include "core/thread.h"
#include "nccl/errors.h"

namespace tutti::nccl {
namespace {

// The handle is written before the state says that it is there.
ncclResult_t carry_out(Making& m) {
  auto made = m.work();
  if (!made) {
    const Error error = made.because(m.name);
    const ncclResult_t result = m.parent ? m.parent->failed(error) : report(error);
    m.comm->set_failed(result, error.to_string());
    if (m.parent && m.parent->state() == ncclInProgress) m.parent->set_idle();
    return result;
  }
  if (made->size() > 0) {
    m.comm->made(std::move(*made));
    if (m.blocking || m.parent) *m.out = add_comm(m.comm);
  }
  if (m.parent) m.parent->set_idle();
  return ncclSuccess;
}

ncclResult_t make_in_background(std::vector<Making> makings) {
  for (Making& m : makings) {
    if (m.parent)
      m.parent->set_busy();
    else
      *m.out = add_comm(m.comm);
    auto shared = std::make_shared<Making>(std::move(m));
    auto thread = start_thread([shared] { carry_out(*shared); });
    if (thread) {
      thread->detach();
      continue;
    }
    const Error error = thread.because(shared->name);
    shared->comm->set_failed(ncclSystemError, error.to_string());
    if (shared->parent) shared->parent->set_idle();
    return report(error);
  }
  return ncclInProgress;
}

}  // namespace

ncclResult_t make(std::vector<Making> makings) {
  for (const Making& m : makings)
    if (m.blocking != makings.front().blocking)
      return invalid_argument("{}: communicators with config.blocking 0 and 1 cannot be made in one group", m.name);
  if (makings.empty()) return ncclSuccess;
  if (!makings.front().blocking) return make_in_background(std::move(makings));
  std::vector<ncclResult_t> results(makings.size(), ncclSuccess);
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < makings.size(); ++i) {
    auto thread = start_thread([&, i] { results[i] = carry_out(makings[i]); });
    if (thread) {
      threads.push_back(std::move(*thread));
      continue;
    }
    // The other ranks wait for this one in vain, and for the time that is set for it: what has begun goes on without anybody.
    results[i] = report(thread.because(makings[i].name));
  }
  results[0] = carry_out(makings[0]);
  for (auto& thread : threads) thread.join();
  for (const ncclResult_t result : results)
    if (result != ncclSuccess) return result;
  return ncclSuccess;
}

}  // namespace tutti::nccl
