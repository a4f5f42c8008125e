// Groups of calls, one of each thread: what stands between the outermost ncclGroupStart and ncclGroupEnd is made together.
#pragma once

#include <nccl.h>

#include <memory>
#include <optional>
#include <string_view>

#include "nccl/comm.h"
#include "nccl/errors.h"
#include "nccl/making.h"

namespace tutti::nccl {

struct DataCall {
  std::string_view name;
  Call call;
  cudaStream_t stream = nullptr;
  Comm* comm = nullptr;
  std::shared_ptr<const PreMulSum> scalar = {};  // that the call's operator refers to
  std::shared_ptr<Comm> kept = {};               // in a group, during which the handle may be taken
};

// At once, or at the end of the group this thread is in.
ncclResult_t submit(DataCall&& call, const InUse& in_use);
ncclResult_t submit(Making making);
// What is wrong with a call is wrong with the group this thread is in, of which nothing will be done. Gives the result back.
ncclResult_t note(ncclResult_t result) noexcept;
template <auto Function, class... Args>
ncclResult_t grouped(Args... args) noexcept {
  const ncclResult_t result = entry<Function>(args...);
  return result == ncclSuccess ? result : note(result);
}

ncclResult_t group_start();
ncclResult_t group_end();
ncclResult_t group_simulate_end(ncclSimInfo_t* info);

}  // namespace tutti::nccl
