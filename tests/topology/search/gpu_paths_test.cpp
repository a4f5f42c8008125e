// What lies between two GPUs, on small machines made like real ones.
#include "topology/gpu_paths.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "machines.h"
#include "tutti/route_search.h"

namespace tutti {
namespace {

GpuPath path(const Topology& t, std::size_t a, std::size_t b) {
  const std::vector<NodeId> all = gpus(t);
  return gpu_paths(t, all)[a * all.size() + b];
}

void expect_path(const Topology& t, std::size_t a, std::size_t b, PathKind kind, double gbps) {
  for (const GpuPath& way : {path(t, a, b), path(t, b, a)}) {
    EXPECT_EQ(way.kind, kind) << a << " - " << b << ": " << name(way.kind);
    EXPECT_NEAR(way.bandwidth_gbps, gbps, 0.01) << a << " - " << b;
    EXPECT_GT(way.latency_us, 0) << a << " - " << b;
  }
}

TEST(GpuPaths, AGpuIsNearestToItself) {
  const Topology t = test::cube_mesh();
  const GpuPath own = path(t, 3, 3);
  EXPECT_EQ(own.kind, PathKind::same_gpu);
  EXPECT_GT(own.bandwidth_gbps, path(t, 0, 3).bandwidth_gbps);
  EXPECT_EQ(own.latency_us, 0);
  EXPECT_TRUE(own.through.empty());
}

TEST(GpuPaths, ACubeMeshHasAllKinds) {
  const Topology t = test::cube_mesh();
  expect_path(t, 0, 1, PathKind::nvlink, 25);
  expect_path(t, 0, 3, PathKind::nvlink, 50);
  expect_path(t, 0, 4, PathKind::nvlink, 50);
  expect_path(t, 0, 5, PathKind::processors, 12);  // no GPU forwards what is not its own
  expect_path(t, 3, 4, PathKind::processors, 12);
  EXPECT_EQ(path(t, 0, 5).through.size(), 4U) << "two PCIe switches, two processors";
  EXPECT_LT(path(t, 0, 1).latency_us, path(t, 0, 5).latency_us);
}

TEST(GpuPaths, FartherIsSlower) {
  const Topology t = test::cube_mesh(false);
  expect_path(t, 0, 1, PathKind::pci_switch, 16);
  expect_path(t, 0, 2, PathKind::processor, 16);
  expect_path(t, 0, 4, PathKind::processors, 12);
  EXPECT_LE(path(t, 0, 1).latency_us, path(t, 0, 2).latency_us);
  EXPECT_LT(path(t, 0, 2).latency_us, path(t, 0, 4).latency_us);
}

// A DGX-2 in small: each GPU has one link to each switch of its board, and each switch several to its fellow.
TEST(GpuPaths, AllSwitchesCarryTogether) {
  Topology t = *load_topology("package:2 core:2 gpu:4");
  std::vector<NodeId> switches;
  const std::vector<NodeId> all = gpus(t);
  for (int s = 0; s < 6; ++s) {
    Node node;
    node.kind = NodeKind::nvswitch;
    node.parent = 0;
    switches.push_back(static_cast<NodeId>(t.nodes.size()));
    t.nodes.push_back(node);
    for (std::size_t g = 0; g < 2; ++g)
      t.links.push_back({all[s < 3 ? g : g + 2], switches.back(), LinkKind::nvlink, Origin::file, 25, 0});
  }
  ASSERT_TRUE(check(t));
  expect_path(t, 0, 1, PathKind::nvswitch, 75);
  EXPECT_EQ(path(t, 0, 1).origin, Origin::file);
  EXPECT_FALSE(is_fast(path(t, 0, 2).kind)) << "nothing joins the boards";
  for (std::size_t s = 0; s < 3; ++s) t.links.push_back({switches[s], switches[s + 3], LinkKind::nvlink, Origin::file, 200, 0});
  expect_path(t, 0, 2, PathKind::nvswitch, 75);
  const std::vector<LinkParameters> links = between(t, all, {});
  EXPECT_DOUBLE_EQ(links.front().bandwidth_gbps, 75) << "jobs that are only described see the same";
}

TEST(GpuPaths, WhatIsNotDescribedIsAnEstimate) {
  const Topology t = test::cube_mesh();
  const std::vector<NodeId> ends{gpus(t)[0], kNoNode, kNoNode};
  const std::vector<GpuPath> paths = gpu_paths(t, ends);
  for (const std::size_t i : {1, 2, 3, 5, 6, 7}) {
    EXPECT_EQ(paths[i].kind, PathKind::unknown);
    EXPECT_EQ(paths[i].origin, Origin::estimate);
    EXPECT_GT(paths[i].bandwidth_gbps, 0);
  }
  for (const std::size_t i : {0, 4, 8}) EXPECT_EQ(paths[i].kind, PathKind::same_gpu);
  EXPECT_TRUE(gpu_paths(t, {}).empty());
}

TEST(GpuPaths, WhoSharesAWayOut) {
  const Topology meshed = test::cube_mesh(), t = test::cube_mesh(false);
  EXPECT_TRUE(shared_ways(meshed, gpus(meshed)).empty()) << "NVLink leads out, too";
  const std::vector<SharedWay> expected{{2, 16}, {4, 12}};
  EXPECT_EQ(shared_ways(t, gpus(t)), expected);
  std::vector<NodeId> mixed = gpus(t);
  std::swap(mixed[1], mixed[6]);
  EXPECT_TRUE(shared_ways(t, mixed).empty()) << "they do not follow each other";
  const std::vector<NodeId> two{gpus(t)[0], gpus(t)[1]};
  EXPECT_TRUE(shared_ways(t, two).empty());
}

// Machines of others, where their descriptions are at hand.
TEST(GpuPaths, RealMachines) {
  const char* folder = std::getenv("TUTTI_TEST_TOPOLOGIES");
  if (folder == nullptr || !std::filesystem::exists(folder)) GTEST_SKIP() << "TUTTI_TEST_TOPOLOGIES names no folder";
  const auto load = [&](const std::string& name) { return *load_topology((std::filesystem::path(folder) / name).string()); };
  const Topology dgx2 = load("hwloc-nvidia-dgx2.xml");
  expect_path(dgx2, 0, 1, PathKind::nvswitch, 150);  // six links of 25 GB/s
  expect_path(dgx2, 0, 7, PathKind::nvswitch, 150);
  EXPECT_FALSE(is_fast(path(dgx2, 0, 8).kind)) << "the file has no links between switches";
  const Topology power8 = load("hwloc-power8-4gpu-nvlink.xml");
  expect_path(power8, 0, 1, PathKind::nvlink, 40);
  expect_path(power8, 0, 2, PathKind::processors, 20.8);  // the estimate of a link between packages
  const Topology ndv2 = load("nccl-azure-ndv2-v100.xml");
  expect_path(ndv2, 0, 1, PathKind::processor, 31.51);
  expect_path(ndv2, 0, 4, PathKind::processors, 20.8);
  const Topology ndv4 = load("nccl-azure-ndv4-a100.xml");
  expect_path(ndv4, 0, 1, PathKind::pci_switch, 31.51);
  expect_path(ndv4, 0, 2, PathKind::processors, 20.8);
  const Topology p4d = load("nccl-aws-p4d-a100.xml");
  expect_path(p4d, 0, 1, PathKind::pci_switch, 15.75);
  expect_path(p4d, 0, 2, PathKind::processor, 15.75);
  expect_path(p4d, 0, 4, PathKind::processors, 15.75);
  const Topology mi300 = load("nccl-rccl-topo_8p_940.xml");
  for (std::size_t g = 1; g < 8; ++g) expect_path(mi300, 0, g, PathKind::xgmi, 64);
  const Topology rome = load("nccl-rccl-topo_8p_rome_4nics.xml");
  expect_path(rome, 0, 3, PathKind::xgmi, 46);
  expect_path(rome, 0, 4, PathKind::processors, 20.8);
  const Topology pcie = load("nccl-rccl-topo_8p_pcie.xml");
  expect_path(pcie, 0, 3, PathKind::pci_switch, 15.75);
  expect_path(pcie, 0, 4, PathKind::processor, 15.75);
  ASSERT_EQ(shared_ways(pcie, gpus(pcie)).size(), 1U);
  EXPECT_EQ(shared_ways(pcie, gpus(pcie)).front().size, 4);
}

}  // namespace
}  // namespace tutti
