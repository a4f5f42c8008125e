// Communicators come to be with the help of other ranks: in the caller's time, side by side at the end of a group, or behind the
// back of a caller that does not want to be blocked.
#pragma once

#include <nccl.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nccl/comm.h"

namespace tutti::nccl {

struct Making {
  std::string name;              // of the function, for errors
  bool blocking = true;          // or ncclInProgress is returned
  std::shared_ptr<Comm> parent;  // busy meanwhile; none: it comes from nothing
  std::shared_ptr<Comm> comm;    // what becomes of it
  // Gives a communicator of size 0 where this rank is to have none.
  std::function<Result<Communicator>()> work;
  ncclComm_t* out = nullptr;  // gets the handle when it is made; of one that comes from nothing as soon as that begins
};

// All at once: they may wait for each other.
ncclResult_t make(std::vector<Making> makings);

}  // namespace tutti::nccl
