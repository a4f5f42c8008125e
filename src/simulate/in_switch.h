// Reduction inside switches, as NVLink's (NVLS) and InfiniBand's (SHARP) do it. The library has no such algorithm on real
// hardware: only the simulator knows this one, so that it can be compared with those that the library has.
//
// The ranks of each host are joined by a switch that combines what they send, and copies to all of them what one sends. Each of
// the p ranks of a host owns a part of the vector:
//
//   all ranks send all parts to the switch                                       n out of each rank
//   the switch sends each part, combined, to its owner                           n/p into it
//   the owners of a part on several hosts combine it, by double_binary_tree
//   the owner sends the part to the switch                                       n/p out
//   the switch sends it to all                                                   n in
//
// n(1 + 1/p) bytes per rank and direction, beside 2n(p - 1)/p of a ring. The vector is cut into pieces, too, that follow each
// other. Ranks that are all on one host have a single switch.
// Source: B. Klenk et al., "An In-Network Architecture for Accelerating Shared-Memory Multiprocessor Collectives", ISCA 2020;
// S. Jeaugey in github.com/NVIDIA/nccl-tests, issue 239 (bytes per link).
#pragma once

#include <cstdint>
#include <memory>

#include "select/select.h"
#include "simulate/network.h"
#include "tutti/result.h"

namespace tutti::simulate {

inline constexpr std::string_view kInSwitch = "in_switch";

// Between a rank and its switch: `gbps` in each direction, and half the latency between two ranks of a host, if it is not given.
// Code::invalid_argument where hosts have different numbers of ranks, or one each.
Result<Switches> reducing_switches(const JobMachine& machine, double gbps, double latency_us = 0);

// The row, for this machine. Ranks from machine.ranks on are the switches, in the order of their hosts.
[[nodiscard]] std::shared_ptr<const Algorithm> in_switch_row(const JobMachine& machine);

// An all_reduce by this row, with its price: bytes over rate, latencies, and that of the trees between the hosts.
[[nodiscard]] Candidate in_switch(const Algorithm& row, const SelectRequest& request, const JobMachine& machine,
                                  const Switches& switches, std::uint32_t pieces);
// How many it is cut into where nobody says.
[[nodiscard]] std::uint32_t usual_pieces(const SelectRequest& request, const JobMachine& machine);

}  // namespace tutti::simulate
