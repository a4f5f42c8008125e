// Machines to choose for, described instead of measured.
#pragma once

#include <gtest/gtest.h>

#include "select/select.h"

namespace tutti {

inline JobMachine job(std::string_view description, Rank ranks) {
  auto topology = load_topology(description);
  EXPECT_TRUE(topology) << topology.error().to_string();
  auto machine = describe_job(*topology, ranks);
  EXPECT_TRUE(machine) << machine.error().to_string();
  return std::move(*machine);
}

// The ranks are its hosts.
inline JobMachine on_hosts(std::string_view description) {
  auto topology = load_topology(description);
  EXPECT_TRUE(topology) << topology.error().to_string();
  auto machine = describe_job(*topology, hosts(*topology), Seats::hosts);
  EXPECT_TRUE(machine) << machine.error().to_string();
  return std::move(*machine);
}

// 64 ranks on 4 hosts of 2 NUMA nodes of 8 cores.
inline JobMachine cluster() { return job("node:4 numa:2 core:8", 64); }
// Ranks of one host that are all alike.
inline JobMachine flat(Rank ranks) { return job("core:" + std::to_string(ranks), ranks); }

inline Selection choose(const SelectRequest& request, const JobMachine& machine) {
  auto selection = select(request, machine);
  EXPECT_TRUE(selection) << selection.error().to_string();
  return selection ? std::move(*selection) : Selection{.candidates = {Candidate{.algorithm = &algorithms()[0]}}};
}

inline const Candidate* find(const Selection& selection, std::string_view algorithm) {
  for (const Candidate& c : selection.candidates)
    if (c.algorithm->name == algorithm) return &c;
  return nullptr;
}

}  // namespace tutti
