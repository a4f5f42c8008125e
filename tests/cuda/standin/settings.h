// The variables that say what the stand-in pretends to be. They are read by every call of cuInit.
//
//   STANDIN_DEVICES      how many devices there are (1); with 0 cuInit fails as on a machine without a GPU
//   STANDIN_MEMORY       bytes of memory per device (4 GiB)
//   STANDIN_VERSION      what cuDriverGetVersion says (13000)
//   STANDIN_FAIL         NAME[:CODE],...: functions that fail, with CODE or "not supported" (801); cuMemAlloc is cuMemAlloc_v2
//   STANDIN_KERNELS      the library in which cuModuleLoadData finds kernels; without one no module can be loaded (209)
//   STANDIN_JITTER       most microseconds that a stream sleeps before an operation (0): other orders, so more are tested
//   STANDIN_TIMEOUT      seconds after which a stream that waits for a value says so and fails with 702 (0: it waits for ever)
//   STANDIN_CONNECTIONS  how many hardware queues the streams of a context share (0: as many as streams). A GPU has 8 unless
//                        CUDA_DEVICE_MAX_CONNECTIONS says otherwise; a stream that waits blocks those behind it in its queue
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "api.h"

namespace standin {

constexpr int kMaxDevices = 16;
constexpr unsigned kMaxConnections = 32;

struct Settings {
  int devices = 1;
  std::size_t memory_bytes = std::size_t{4} << 30;
  int version = 13000;
  unsigned jitter_us = 0;
  unsigned timeout_s = 0;
  unsigned connections = 0;
  std::map<std::string, CUresult, std::less<>> failures;  // by names without "_v2"
};

void read_settings();
Settings settings();
// What STANDIN_FAIL says about this function.
CUresult told_to_fail(const char* function);

}  // namespace standin
