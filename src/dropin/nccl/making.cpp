#include "nccl/making.h"

#include "core/thread.h"
#include "nccl/errors.h"

namespace tutti::nccl {
namespace {

// In a thread that nobody catches exceptions of.
Result<Communicator> come_to_be(Making& m) try {
  std::optional<Comm::InUse> in_use;
  if (m.parent) in_use.emplace(*m.parent);
  auto made = m.work();
  if (!made || made->size() <= 1) return made;
  if (auto s = m.comm->meeting.prepare(*made); !s) return std::move(s.error());
  return made;
} catch (const std::exception& error) {
  return Error(Code::resource, error.what());
}

ncclResult_t carry_out(Making& m) {
  auto made = come_to_be(m);
  if (!made) {
    const Error error = made.because(m.name);
    const ncclResult_t result = report(error);
    m.comm->set_failed(result, error.to_string());
    // The parent is ended by what went wrong between ranks, not by what cannot be done.
    if (m.parent && error.code() != Code::unsupported) (void)m.parent->failed(error);
    return result;
  }
  if (made->size() == 0) return ncclSuccess;
  if (m.parent && m.parent->aborted()) return ncclSuccess;  // nobody waits for it any more, nor keeps a place for the handle
  m.comm->made(std::move(*made));
  if (m.blocking || m.parent) *m.out = add_comm(m.comm);
  return ncclSuccess;
}

// The handle is there before the parent's state says so.
void carry_out_in_background(Making& m, ncclResult_t before) {
  carry_out(m);
  if (m.parent && m.parent->state() == ncclInProgress) m.parent->set_idle(before);
}

ncclResult_t make_in_background(std::vector<Making> makings) {
  for (Making& m : makings) {
    ncclResult_t before = ncclSuccess;
    if (m.parent)
      before = m.parent->set_busy();
    else
      *m.out = add_comm(m.comm);
    auto shared = std::make_shared<Making>(std::move(m));
    auto thread = start_thread([shared, before] { carry_out_in_background(*shared, before); });
    if (thread) {
      thread->detach();
      continue;
    }
    const Error error = thread.because(shared->name);
    shared->comm->set_failed(ncclSystemError, error.to_string());
    if (shared->parent) shared->parent->set_idle(before);
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
