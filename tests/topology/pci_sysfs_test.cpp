#include "topology/sources/pci_sysfs.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "fixtures.h"

namespace tutti {
namespace {

// A bus as sysfs shows it: real folders below devices/, and links to them in pci/.
class FakeBus {
 public:
  void add(const std::string& path, const std::string& speed, const std::string& width) {
    const std::filesystem::path folder = std::filesystem::path("devices/pci0000:00") / path;
    root_.write(folder / "max_link_speed", speed + "\n");
    root_.write(folder / "current_link_width", width + "\n");
    std::filesystem::create_directories(pci());
    std::filesystem::create_directory_symlink(root_.path() / folder, pci() / folder.filename());
  }
  [[nodiscard]] std::filesystem::path pci() const { return root_.path() / "pci"; }

 private:
  test::TemporaryFolder root_;
};

double pcie_of(const Topology& t, NodeId device) {
  const auto link = std::ranges::find_if(t.links, [&](const Link& l) { return l.kind == LinkKind::pcie && l.b == device; });
  return link == t.links.end() ? 0 : link->bandwidth_gbps;
}

TEST(PciSysfs, TheSlowestEndOnTheWayCounts) {
  Topology t = *load_topology("package:1 core:1 pci_switch:1 gpu:2 nic:1 pcie=4GB/s");
  const auto first = static_cast<std::size_t>(std::ranges::find(t.nodes, NodeKind::pci_switch, &Node::kind) - t.nodes.begin());
  const auto pci_switch = static_cast<NodeId>(first);
  t.nodes[first].pci_bus_id = "0000:10:00.0";
  t.nodes[first + 1].pci_bus_id = "0000:12:00.0";
  t.nodes[first + 2].pci_bus_id = "0000:14:00.0";
  t.nodes[first + 3].pci_bus_id = "0000:15:00.0";
  FakeBus bus;
  bus.add("0000:00:01.0", "16.0 GT/s PCIe", "16");
  bus.add("0000:00:01.0/0000:10:00.0", "32.0 GT/s PCIe", "16");
  bus.add("0000:00:01.0/0000:10:00.0/0000:11:00.0", "32.0 GT/s PCIe", "8");
  bus.add("0000:00:01.0/0000:10:00.0/0000:11:00.0/0000:12:00.0", "32.0 GT/s PCIe", "16");
  bus.add("0000:00:01.0/0000:10:00.0/0000:13:00.0", "Unknown", "0");
  bus.add("0000:00:01.0/0000:10:00.0/0000:13:00.0/0000:14:00.0", "8.0 GT/s PCIe", "16");
  const std::size_t links = t.links.size();
  add_pci_speeds(t, bus.pci());
  EXPECT_EQ(t.links.size(), links) << "links are not doubled";
  EXPECT_NEAR(pcie_of(t, pci_switch), 31.51, 0.01);      // its root port
  EXPECT_NEAR(pcie_of(t, pci_switch + 1), 31.51, 0.01);  // eight lanes of the bridge between
  EXPECT_NEAR(pcie_of(t, pci_switch + 2), 15.75, 0.01);
  EXPECT_EQ(pcie_of(t, pci_switch + 3), 4) << "what sysfs does not know stays";
  EXPECT_TRUE(check(t));
}

TEST(PciSysfs, NothingThereChangesNothing) {
  Topology t = *load_topology("core:1 gpu:1");
  t.nodes.back().pci_bus_id = "0000:01:00.0";
  const Topology before = t;
  add_pci_speeds(t, "/no/such/folder");
  EXPECT_EQ(t, before);
}

}  // namespace
}  // namespace tutti
