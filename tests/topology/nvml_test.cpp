#include "topology/sources/nvml.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace tutti {
namespace {

struct FakeLink {
  bool active;
  unsigned domain, bus, device, kind;
};

struct FakeGpu {
  unsigned bus;
  int capability;
  std::vector<FakeLink> links;
};

// What the functions of the table answer with; they take no context.
std::vector<FakeGpu> fake;  // NOLINT
int open_sessions = 0;      // NOLINT

const FakeGpu& gpu(NvmlDevice device) { return fake.at(reinterpret_cast<std::size_t>(device) - 1); }

constexpr int kInvalid = 2;

NvmlTable table() {
  NvmlTable t;
  t.init = [] { return ++open_sessions, 0; };
  t.shutdown = [] { return --open_sessions, 0; };
  t.count = [](unsigned* n) { return *n = static_cast<unsigned>(fake.size()), 0; };
  t.device = [](unsigned i, NvmlDevice* d) { return *d = reinterpret_cast<NvmlDevice>(std::size_t{i} + 1), 0; };
  t.pci = [](NvmlDevice d, NvmlPci* pci) { return pci->bus = gpu(d).bus, 0; };
  t.name = [](NvmlDevice, char* name, unsigned length) {
    std::snprintf(name, length, "Imagined GPU");
    return 0;
  };
  t.memory = [](NvmlDevice, NvmlMemory* memory) { return memory->total = 80ull << 30, 0; };
  t.capability = [](NvmlDevice d, int* major, int* minor) {
    *major = gpu(d).capability / 10;
    *minor = gpu(d).capability % 10;
    return 0;
  };
  t.link_state = [](NvmlDevice d, unsigned link, unsigned* active) {
    if (link >= gpu(d).links.size()) return kInvalid;
    return *active = gpu(d).links[link].active ? 1 : 0, 0;
  };
  t.link_remote = [](NvmlDevice d, unsigned link, NvmlPci* pci) {
    const FakeLink& l = gpu(d).links.at(link);
    pci->domain = l.domain;
    pci->bus = l.bus;
    pci->device = l.device;
    return 0;
  };
  t.link_remote_kind = [](NvmlDevice d, unsigned link, unsigned* kind) { return *kind = gpu(d).links.at(link).kind, 0; };
  return t;
}

// Two GPUs on the buses 1 and 2.
Topology machine() {
  Topology t = *load_topology("package:1 numa:1 core:1 gpu:2");
  const std::size_t n = t.nodes.size();
  t.nodes[n - 2].pci_bus_id = "0000:01:00.0";
  t.nodes[n - 1].pci_bus_id = "0000:02:00.0";
  t.nodes[n - 2].name.clear();
  return t;
}

std::vector<std::tuple<NodeId, NodeId, double>> nvlinks(const Topology& t) {
  std::vector<std::tuple<NodeId, NodeId, double>> result;
  for (const Link& link : t.links) {
    if (link.kind == LinkKind::nvlink) result.emplace_back(link.a, link.b, link.bandwidth_gbps);
  }
  return result;
}

constexpr unsigned kGpu = 0, kProcessor = 1, kSwitch = 2;

TEST(Nvml, WiresBetweenGpusAndToSwitches) {
  fake = {{1, 80, {{true, 0, 2, 0, kGpu}, {true, 0, 2, 0, kGpu}, {false, 0, 2, 0, kGpu}, {true, 0, 0xc4, 0, kSwitch}}},
          {2, 80, {{true, 0, 1, 0, kGpu}, {true, 0, 1, 0, kGpu}, {true, 0, 0xc4, 0, kSwitch}, {true, 0, 0xc5, 0, kSwitch}}}};
  Topology t = machine();
  const auto gpu0 = static_cast<NodeId>(t.nodes.size() - 2), gpu1 = gpu0 + 1, switch0 = gpu0 + 2, switch1 = gpu0 + 3;
  add_nvml(t, table());
  EXPECT_EQ(open_sessions, 0);
  ASSERT_EQ(t.nodes.size(), static_cast<std::size_t>(switch1) + 1);
  EXPECT_EQ(t.nodes.back().pci_bus_id, "0000:c5:00.0");
  EXPECT_EQ(t.nodes.back().kind, NodeKind::nvswitch);
  EXPECT_EQ(nvlinks(t), (std::vector<std::tuple<NodeId, NodeId, double>>{
                            {gpu0, gpu1, 50}, {gpu0, switch0, 25}, {gpu1, switch0, 25}, {gpu1, switch1, 25}}));
  EXPECT_EQ(t.nodes[static_cast<std::size_t>(gpu0)].name, "Imagined GPU");
  EXPECT_EQ(t.nodes[static_cast<std::size_t>(gpu0)].memory_bytes, 80ull << 30);
  EXPECT_EQ(t.links.back().origin, Origin::system);
  EXPECT_TRUE(check(t));
}

TEST(Nvml, AVirtualMachineHidesWhereSwitchesAre) {
  const FakeLink hidden{true, 0xffffffff, 0xffff, 0xff, kSwitch};
  fake = {{1, 90, std::vector<FakeLink>(18, hidden)}, {2, 90, std::vector<FakeLink>(18, hidden)}};
  Topology t = machine();
  add_nvml(t, table());
  EXPECT_EQ(t.nodes.back().kind, NodeKind::nvswitch);
  EXPECT_EQ(t.nodes.back().pci_bus_id, "");
  ASSERT_EQ(nvlinks(t).size(), 2u);
  EXPECT_EQ(std::get<2>(nvlinks(t)[0]), 450);
}

TEST(Nvml, OtherEndsOlderDriversAndHiddenGpus) {
  fake = {{1, 70, {{true, 0, 9, 0, kGpu}, {true, 0, 8, 0, kProcessor}}}, {7, 70, {}}};
  Topology t = machine();
  const std::size_t nodes = t.nodes.size();
  add_nvml(t, table());
  EXPECT_EQ(t.nodes.size(), nodes) << "a GPU that is not shown here is no switch";
  ASSERT_EQ(nvlinks(t).size(), 1u);
  EXPECT_EQ(t.nodes[static_cast<std::size_t>(std::get<0>(nvlinks(t)[0]))].kind, NodeKind::package);

  NvmlTable old = table();
  old.link_remote_kind = nullptr;
  fake = {{1, 70, {{true, 0, 0xc0, 0, kSwitch}}}};
  Topology older = machine();
  add_nvml(older, old);
  EXPECT_EQ(older.nodes.back().kind, NodeKind::nvswitch) << "no GPU of this machine";
}

TEST(Nvml, WhatIsKnownAlreadyStays) {
  fake = {{1, 80, {{true, 0, 2, 0, kGpu}}}, {2, 80, {{true, 0, 1, 0, kGpu}}}};
  Topology t = machine();
  const auto gpu0 = static_cast<NodeId>(t.nodes.size() - 2);
  t.nodes.back().memory_bytes = 5;
  t.links.push_back({gpu0, gpu0 + 1, LinkKind::nvlink, Origin::hwloc, 75, 0});
  add_nvml(t, table());
  EXPECT_EQ(nvlinks(t).size(), 1u);
  EXPECT_EQ(std::get<2>(nvlinks(t)[0]), 75);
  EXPECT_EQ(t.nodes.back().memory_bytes, 5u);
}

TEST(Nvml, FailuresLeaveTheGraphAlone) {
  fake = {{1, 80, {{true, 0, 2, 0, kGpu}}}};
  const Topology before = machine();
  for (const auto& breaking : std::vector<void (*)(NvmlTable&)>{
           [](NvmlTable& t) { t.init = [] { return 1; }; }, [](NvmlTable& t) { t.count = [](unsigned*) { return 1; }; },
           [](NvmlTable& t) { t.device = [](unsigned, NvmlDevice*) { return 1; }; },
           [](NvmlTable& t) { t.pci = [](NvmlDevice, NvmlPci*) { return 1; }; }}) {
    NvmlTable broken = table();
    breaking(broken);
    Topology t = before;
    add_nvml(t, broken);
    EXPECT_EQ(t, before);
  }
  NvmlTable dumb = table();
  dumb.capability = [](NvmlDevice, int*, int*) { return 1; };
  dumb.name = [](NvmlDevice, char*, unsigned) { return 1; };
  dumb.memory = [](NvmlDevice, NvmlMemory*) { return 1; };
  Topology t = before;
  add_nvml(t, dumb);
  EXPECT_EQ(t, before);
}

TEST(Nvml, WithoutADriverTheReasonIsSaid) {
  const auto nvml = load_nvml();
  if (nvml) GTEST_SKIP() << "there is one here";
  EXPECT_NE(nvml.error().to_string().find("libnvidia-ml.so.1"), std::string::npos);
}

}  // namespace
}  // namespace tutti
