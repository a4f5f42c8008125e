#include "algorithms/registry.h"

#include <algorithm>

#include "algorithms/barrier/barrier.h"

namespace tutti {
namespace {

constexpr Algorithm kAlgorithms[] = {
    // ---- all_reduce
    // ---- reduce_scatter
    // ---- reduce
    // ---- scan
    // ---- exscan
    // ---- barrier
    {.collective = Collective::barrier,
     .name = "dissemination",
     .summary = "in round k every rank signals the one 2^k further on; log2(p) rounds",
     .source = "Hensgen, Finkel, Manber 1988: Two Algorithms for Barrier Synchronization",
     .needs = {},
     .pipelines = false,
     .build = barrier_algorithms::dissemination,
     .cost = barrier_algorithms::dissemination_cost},
    // ---- all_gather
    // ---- broadcast
    // ---- gather
    // ---- scatter
    // ---- all_to_all
    // ---- send_recv
};

}  // namespace

std::span<const Algorithm> algorithms() noexcept { return kAlgorithms; }

const Algorithm* find_algorithm(Collective collective, std::string_view name) noexcept {
  const auto* found = std::find_if(std::begin(kAlgorithms), std::end(kAlgorithms),
                                   [&](const Algorithm& a) { return a.collective == collective && a.name == name; });
  return found == std::end(kAlgorithms) ? nullptr : found;
}

}  // namespace tutti
