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
  std::shared_ptr<Comm> comm;
  Call call;
  cudaStream_t stream = nullptr;
  std::shared_ptr<const PreMulSum> scalar = {};  // that the call's operator refers to
};

// At once, or at the end of the group this thread is in.
ncclResult_t submit(DataCall call);
ncclResult_t submit(Making making);
// What is wrong with a call is wrong with the group this thread is in, of which nothing will be done. Gives the result back.
ncclResult_t note(ncclResult_t result) noexcept;
template <auto Function, class... Args>
ncclResult_t grouped(Args... args) noexcept {
  return note(entry<Function>(args...));
}

ncclResult_t group_start();
ncclResult_t group_end();
ncclResult_t group_simulate_end(ncclSimInfo_t* info);

}  // namespace tutti::nccl
