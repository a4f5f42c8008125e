// What NVIDIA's driver tells of this host's GPUs, and what only trying shows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tutti/result.h"

namespace tutti::doctor {

struct Gpu {
  std::string name;
  std::uint64_t memory_bytes = 0;
};

struct Gpus {
  std::string none = "nobody has looked";  // why there is nothing to use; then all the rest means nothing
  int driver_version = 0;                  // of CUDA: 13000
  std::vector<Gpu> devices = {};
  std::string no_ipc = {};     // why a process cannot map another one's memory of device 0
  std::string no_stream = {};  // why streams cannot wait for values in memory
  bool has_code = false;       // for GPUs, in this library
  std::string no_code = {};    // why device 0 does not take it
  bool mps = false;            // NVIDIA's Multi-Process Service runs, as far as can be seen
};

// In other processes, so that this one may go on without a driver and do what drivers forbid (fork).
[[nodiscard]] Gpus probe_gpus();

[[nodiscard]] std::string to_json(const Gpus& gpus);
[[nodiscard]] Result<Gpus> gpus_from_json(std::string_view text);

}  // namespace tutti::doctor
