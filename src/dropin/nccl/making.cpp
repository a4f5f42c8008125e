#include "nccl/making.h"

#include <algorithm>
#include <utility>

#include "core/thread.h"
#include "gpu/memory.h"
#include "nccl/errors.h"

namespace tutti::nccl {
namespace {

// All ranks do: now, as sends and receives bring only two of them together.
Status meet_devices(Communicator& communicator, const Seat& seat) {
  if (seat.context == nullptr) return communicator.meet_devices();
  const gpu::Entered entered(*gpu::driver(), seat.context);
  return communicator.meet_devices();
}

// In a thread that nobody catches exceptions of.
Result<Communicator> come_to_be(Making& m) try {
  std::optional<InUse> in_use;
  if (m.parent) in_use.emplace(*m.parent);
  auto made = m.work();
  if (!made || made->size() <= 1) return made;
  if (auto s = meet_devices(*made, m.comm->seat); !s) return std::move(s.error());
  const std::stop_callback stopping((m.parent ? m.parent : m.comm)->stop(), [&] { made->abort("ncclCommAbort"); });
  if (auto s = m.comm->meeting.prepare(*made); !s) return std::move(s.error());
  return made;
} catch (const std::exception& error) {
  return Error(Code::resource, error.what());
}

// Nothing comes of it.
ncclResult_t fail(const Making& m, const Error& error) {
  const ncclResult_t result = report(error);
  m.comm->set_failed(result, error.to_string());
  if (m.blocking && !m.parent) forget_comm(shown(m.out).exchange(nullptr));
  return result;
}

ncclResult_t carry_out(Making& m) {
  auto made = come_to_be(m);
  if (!made) {
    const Error error = made.because(m.name);
    const ncclResult_t result = fail(m, error);
    // The parent is ended by what went wrong between ranks, not by what cannot be done.
    if (m.parent && error.code() != Code::unsupported) (void)m.parent->failed(error);
    return result;
  }
  if (made->size() == 0) return ncclSuccess;
  if (m.parent && m.parent->aborted()) return ncclSuccess;  // nobody waits for it any more, nor keeps a place for the handle
  m.comm->made(std::move(*made));
  if (m.parent) shown(m.out) = add_comm(m.comm);
  return ncclSuccess;
}

// Those that are made of one communicator, in order: it can make one at a time.
using Chain = std::vector<Making>;
std::vector<Chain> chains_of(std::vector<Making> makings) {
  std::vector<Chain> chains;
  for (Making& m : makings) {
    const auto same = std::ranges::find_if(chains, [&](const Chain& c) { return m.parent && c.front().parent == m.parent; });
    Chain& chain = same == chains.end() ? chains.emplace_back() : *same;
    chain.push_back(std::move(m));
  }
  return chains;
}

// The first bad result.
ncclResult_t carry_out(Chain& chain) {
  ncclResult_t first = ncclSuccess;
  for (Making& m : chain)
    if (const ncclResult_t result = carry_out(m); first == ncclSuccess) first = result;
  return first;
}

// The handles are there before the parent's state says so.
void carry_out_in_background(Chain& chain, ncclResult_t before) {
  carry_out(chain);
  const auto& parent = chain.front().parent;
  if (parent && parent->state() == ncclInProgress) parent->set_idle(before);
}

ncclResult_t make_in_background(std::vector<Chain> chains) {
  for (Chain& chain : chains) {
    const auto shared = std::make_shared<Chain>(std::move(chain));
    const Making& first = shared->front();
    ncclResult_t before = ncclSuccess;
    if (first.parent) before = first.parent->set_busy();
    auto thread = start_thread([shared, before] { carry_out_in_background(*shared, before); });
    if (thread) {
      thread->detach();
      continue;
    }
    const Error error = thread.because(first.name);
    ncclResult_t result = ncclSystemError;
    for (const Making& m : *shared) result = fail(m, error);
    if (first.parent) first.parent->set_idle(before);
    return result;
  }
  return ncclInProgress;
}

ncclResult_t make_now(std::vector<Chain> chains) {
  std::vector<ncclResult_t> results(chains.size(), ncclSuccess);
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < chains.size(); ++i) {
    auto thread = start_thread([&, i] { results[i] = carry_out(chains[i]); });
    // Without it other ranks wait in vain, for the time that is set for it: what has begun goes on.
    if (thread) {
      threads.push_back(std::move(*thread));
      continue;
    }
    const Error error = thread.because(chains[i].front().name);
    for (const Making& m : chains[i]) results[i] = fail(m, error);
  }
  results[0] = carry_out(chains[0]);
  for (auto& thread : threads) thread.join();
  const auto bad = std::ranges::find_if(results, [](ncclResult_t r) { return r != ncclSuccess; });
  return bad == results.end() ? ncclSuccess : *bad;
}

}  // namespace

ncclResult_t make(std::vector<Making> makings) {
  if (makings.empty()) return ncclSuccess;
  const bool blocking = makings.front().blocking;
  for (const Making& m : makings)
    if (m.blocking != blocking)
      return invalid_argument("{}: communicators with config.blocking 0 and 1 cannot be made in one group", m.name);
  // Whoever sees the handle of one that is being made can abort it.
  for (const Making& m : makings)
    if (!m.parent) shown(m.out) = add_comm(m.comm);
  auto chains = chains_of(std::move(makings));
  return blocking ? make_now(std::move(chains)) : make_in_background(std::move(chains));
}

}  // namespace tutti::nccl
