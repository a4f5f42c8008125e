// How a connection comes up: one of two ways, both polled.
#pragma once

#include <vector>

#include "core/fd.h"
#include "tutti/result.h"
#include "tutti/transport.h"

namespace tutti {

class Opening {
 public:
  virtual ~Opening() = default;
  struct Progress {
    std::vector<Fd> sockets;  // of the connection, in order and authenticated, once all of them are up; empty before
    bool moved = false;       // what begin_wait() named may no longer be what would wake us
  };
  virtual Result<Progress> advance() = 0;
  virtual void begin_wait(WaitSet& set) = 0;
  virtual void end_wait() = 0;
};

}  // namespace tutti
