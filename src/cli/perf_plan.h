// What `tutti perf` is asked to do, checked as far as one rank can.
#pragma once

#include <string>
#include <vector>

#include "cli/contract.h"
#include "cli/own.h"
#include "cli/perf_data.h"
#include "cli/perf_device.h"

namespace tutti {

// As on the command line.
struct PerfOptions {
  std::string collective, min_bytes = "8", max_bytes = "4M", type = "f32", op = "sum", algorithm, filter, transport,
                          device = "host", json;
  OwnAlgorithms own;
  AskedContract contract;
  double factor = 4;
  int iterations = 20, warmup = 5;
  Rank root = 0;
  bool check = true, in_place_only = false, out_of_place_only = false, graph = false;
};

struct PerfPlan {
  std::vector<Collective> collectives;
  std::vector<std::uint64_t> sizes;  // of the larger side, ascending
  DataType type = DataType::f32;
  ReduceOp op;
  Rank root = 0;
  int iterations = 20, warmup = 5;
  bool check = true, out_of_place = true, in_place = true, graph = false;
  DeviceChoice device;
  std::string algorithm, filter;
  AskedContract contract;

  [[nodiscard]] PerfCase at(Collective collective, std::uint64_t size, Rank me, Rank ranks) const;
};

[[nodiscard]] Result<PerfPlan> make_plan(const PerfOptions& options);

// What can stand in the place of COLLECTIVE, --type and --op: "sum, prod, ...".
[[nodiscard]] std::string known_collectives();
[[nodiscard]] std::string known_types();
[[nodiscard]] std::string known_operators();

}  // namespace tutti
