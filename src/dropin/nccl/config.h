// What a program says about a communicator it makes, in any version of ncclConfig_t.
#pragma once

#include <nccl.h>

#include <string>

#include "tutti/result.h"

namespace tutti::nccl {

// What of it has a meaning here; the rest is about GPUs and networks, and checked.
struct Settings {
  bool blocking = true;
  std::string name;  // for errors
};

// NULL, and fields that are not set, give what is inherited. Code::invalid_argument for what NCCL refuses.
Result<Settings> read_config(const ncclConfig_t* config, Settings inherited = {});
// Of one call: whether it asks for what is not there.
Status check_call_config(const ncclCollConfig_t* config);

}  // namespace tutti::nccl
