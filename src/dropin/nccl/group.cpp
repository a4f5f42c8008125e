#include "nccl/group.h"

#include <algorithm>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>

#include "gpu/memory.h"
#include "nccl/errors.h"

namespace tutti::nccl {
namespace {

struct Pending {
  ncclResult_t result = ncclSuccess;  // of the first call that was wrong
  std::vector<DataCall> calls;
  std::vector<Making> makings;
};
thread_local Pending pending;
thread_local int depth = 0;  // apart: calls outside groups ask for nothing else, and this needs no construction

// Without a driver calls are complete when they return. So are those that name no stream and have memory that the host alone
// knows, whose programs need not know of CUDA at all.
bool complete_at_return(const DataCall& c) {
  const gpu::Driver* driver = gpu::driver();
  if (driver == nullptr || c.stream != nullptr) return driver == nullptr;
  const auto ordinary = [&](const void* p) { return p == nullptr || gpu::locate(*driver, p).kind == MemoryKind::host; };
  const bool has_memory = c.call.input != nullptr || c.call.output != nullptr;
  return has_memory && ordinary(c.call.input) && ordinary(c.call.output);
}

Status add(Group& group, DataCall& c) {
  Communicator& communicator = c.comm->communicator();
  return gpu::driver() == nullptr ? group.add(communicator, c.call) : group.add(communicator, c.call, c.stream);
}

Status wait_for_default_stream(const DataCall& c) {
  const gpu::Driver& driver = *gpu::driver();
  auto context = gpu::context_of_this_thread(driver);
  if (!context) return std::move(context.error());
  const gpu::Entered entered(driver, *context);
  if (auto s = gpu::check(driver, driver.synchronize(nullptr), "waiting for the default stream"); !s) return s;
  return c.comm->communicator().failure();
}

Status run_one(const DataCall& c) {
  Communicator& communicator = c.comm->communicator();
  if (gpu::driver() == nullptr) return communicator.run(c.call);
  if (auto s = communicator.enqueue(c.call, c.stream); !s) return s;
  return complete_at_return(c) ? wait_for_default_stream(c) : Status{};
}

ncclResult_t run_one(const DataCall& c, const InUse& in_use) {
  if (const auto result = c.comm->usable(c.name, in_use); result != ncclSuccess) return result;
  auto status = run_one(c);
  return status ? ncclSuccess : c.comm->failed(status.error());
}

bool to_itself(const DataCall& c) {
  return c.call.collective == Collective::send_recv && (c.call.destination == c.comm->rank() || c.call.source == c.comm->rank());
}

// What a rank sends to itself and what it receives from itself is one call: the first of one kind belongs to the first of the
// other.
ncclResult_t join_those_to_itself(std::vector<DataCall>& calls) {
  std::deque<DataCall> open;  // all of one kind for each communicator
  std::vector<DataCall> joined;
  for (DataCall& c : calls) {
    if (!to_itself(c)) {
      joined.push_back(std::move(c));
      continue;
    }
    const bool sends = c.call.destination != kNoRank;
    const auto other = std::ranges::find_if(
        open, [&](const DataCall& o) { return o.comm == c.comm && (o.call.destination != kNoRank) != sends; });
    if (other == open.end()) {
      open.push_back(std::move(c));
      continue;
    }
    Call& call = other->call;
    if (sends)
      call.input = c.call.input, call.count = c.call.count, call.destination = c.call.destination;
    else
      call.output = c.call.output, call.receive_count = c.call.receive_count, call.source = c.call.source;
    if (call.type != c.call.type)
      return invalid_argument("{}: a rank sends to itself with one data type and receives with another", c.name);
    joined.push_back(std::move(*other));
    open.erase(other);
  }
  calls = std::move(joined);
  if (open.empty()) return ncclSuccess;
  return invalid_usage("{}: rank {} names itself as the peer; the same group must hold the other side", open.front().name,
                       open.front().comm->rank());
}

ncclResult_t run_together(std::vector<DataCall>& calls) {
  Group group;
  for (DataCall& c : calls)
    if (auto s = add(group, c); !s) return report(s.because(std::string(c.name)));
  std::map<Comm*, InUse> in_use;
  for (const DataCall& c : calls) {
    const auto place = in_use.try_emplace(c.comm, *c.comm).first;
    if (const auto result = c.comm->usable(c.name, place->second); result != ncclSuccess) return result;
  }
  auto status = group.run();
  if (status && gpu::driver() != nullptr)
    for (const DataCall& c : calls)
      if (status && complete_at_return(c)) status = wait_for_default_stream(c);
  if (status) return ncclSuccess;
  for (const DataCall& c : calls) c.comm->failed(status.error());
  return report(status.error());
}

ncclResult_t run_calls(std::vector<DataCall> calls) {
  if (const auto result = join_those_to_itself(calls); result != ncclSuccess) return result;
  if (calls.size() != 1) return run_together(calls);
  return run_one(calls.front(), InUse(*calls.front().comm));
}

// Microseconds that the choice for this call is expected to take.
double expected_us(const DataCall& c) {
  if (c.call.collective == Collective::send_recv) return 0;
  auto text = c.comm->communicator().explain(c.call, true);
  if (!text) return 0;
  const auto answer = nlohmann::json::parse(*text);
  if (answer["chosen"].is_object()) return answer["chosen"].value("total_us", 0.0);  // by devices, or by the host for them
  for (const auto& row : answer["candidates"])
    if (row["algorithm"] == answer["chosen"] && !row.contains("refused"))
      return row["measured_us"].is_number() ? row["measured_us"] : row["total_us"];
  return 0;
}

}  // namespace

ncclResult_t note(ncclResult_t result) noexcept {
  const bool bad = result != ncclSuccess && result != ncclInProgress;
  if (bad && depth > 0 && pending.result == ncclSuccess) pending.result = result;
  return result;
}

ncclResult_t submit(DataCall&& c, const InUse& in_use) {
  if (const auto result = c.comm->usable(c.name); result != ncclSuccess) return result;
  if (depth == 0) {
    if (!to_itself(c)) return run_one(c, in_use);
    return invalid_usage("{}: rank {} names itself as the peer; that takes a group with both sides", c.name, c.comm->rank());
  }
  if (!to_itself(c)) {
    Group probe;
    if (auto s = probe.add(c.comm->communicator(), c.call); !s) return report(s.because(std::string(c.name)));
  }
  c.kept = c.comm->shared_from_this();
  pending.calls.push_back(std::move(c));
  return ncclSuccess;
}

ncclResult_t submit(Making m) {
  if (depth > 0) {
    pending.makings.push_back(std::move(m));
    return ncclSuccess;
  }
  std::vector<Making> one;
  one.push_back(std::move(m));
  return make(std::move(one));
}

ncclResult_t group_start() {
  ++depth;
  return ncclSuccess;
}

ncclResult_t group_end() {
  if (depth == 0) return invalid_usage("ncclGroupEnd: there was no ncclGroupStart in this thread");
  if (--depth > 0) return ncclSuccess;
  Pending all = std::exchange(pending, {});
  if (all.result != ncclSuccess) return all.result;
  if (!all.makings.empty() && !all.calls.empty())
    return invalid_usage("ncclGroupEnd: a group makes communicators or uses them, not both");
  return all.makings.empty() ? (all.calls.empty() ? ncclSuccess : run_calls(std::move(all.calls))) : make(std::move(all.makings));
}

ncclResult_t group_simulate_end(ncclSimInfo_t* info) {
  if (depth == 0) return invalid_usage("ncclGroupSimulateEnd: there was no ncclGroupStart in this thread");
  if (--depth > 0) return ncclSuccess;
  const Pending all = std::exchange(pending, {});
  if (all.result != ncclSuccess) return all.result;
  if (info == nullptr) return invalid_argument("ncclGroupSimulateEnd: simInfo is NULL");
  if (info->magic != 0x74685283)
    return invalid_argument("ncclGroupSimulateEnd: magic is {:#x} (set it with NCCL_SIM_INFO_INITIALIZER)", info->magic);
  double us = 0;
  for (const DataCall& c : all.calls) us += expected_us(c);
  if (info->size >= offsetof(ncclSimInfo_t, estimatedTime) + sizeof(float)) info->estimatedTime = static_cast<float>(us);
  return ncclSuccess;
}

}  // namespace tutti::nccl
