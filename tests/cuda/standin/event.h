// An event: the operation at which it was recorded last.
#pragma once

#include "stream.h"

namespace standin {

struct Event {
  Context& context;
  const unsigned flags;
  std::mutex mutex = {};
  const Op* op = nullptr;  // null where it was never recorded, or in a capture
  Captured captured = {};  // where it was recorded in a capture
};

}  // namespace standin
