// What a synthetic description says, read: hosts that are all alike, and how they are joined.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tutti/result.h"

namespace tutti {

enum class Unit : std::uint8_t { node, package, group, numa, l3, l2, l1, core, pu, pci_switch, gpu, nic, rail };

struct Count {
  Unit unit;
  int count;
};

// How hosts are joined.
enum class Wiring : std::uint8_t {
  one_switch,
  torus,     // each to its neighbours, without switches
  fat_tree,  // by levels of switches
  rails,     // NIC i of every host to switch i; above them one more
};

struct Description {
  std::vector<Count> levels;  // of a host, outermost first, as written
  int hosts = 0;
  int pci_switches = 0, gpus = 0, nics = 0;  // of a host
  Wiring wiring = Wiring::one_switch;
  std::vector<int> shape;  // torus: hosts in each dimension. fat_tree: what a switch of each level has below it, top first
  int rails = 0;
  std::vector<double> oversubscription;  // of the uplinks of each level of switches, top first; one: of all; none: 1
  double net_gbps = 0, net_latency_us = 0, pcie_gbps = 0, nvlink_gbps = 0, xgmi_gbps = 0;
  std::uint64_t numa_memory = 0, gpu_memory = 0, l3_bytes = 0, l2_bytes = 0;
};

// A level of a host, a device, a network, or a host known by its name.
[[nodiscard]] bool is_known_word(std::string_view word);
// " (is dgx-h100 meant?)" for a word that is like a known one; else empty.
[[nodiscard]] std::string meant(std::string_view word);

// Code::invalid_argument: what is wrong with which word, and where that stands. What is returned can be made: all counts are
// in range, and so is the number of nodes and links.
Result<Description> parse_description(std::string_view text);

}  // namespace tutti
