#include "topology/virtual_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixtures.h"

namespace tutti {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::string signs(const MachineSigns& of, std::string_view spec = "package:1 numa:1 core:4") {
  return signs_of_virtual_machine(of, *load_topology(spec), 0);
}

MachineSigns firmware(std::string vendor, std::string product) {
  MachineSigns result;
  result.vendor = std::move(vendor);
  result.product = std::move(product);
  return result;
}

TEST(VirtualMachine, FirmwareNamesIt) {
  EXPECT_THAT(signs(firmware("QEMU", "Standard PC (Q35 + ICH9, 2009)")), HasSubstr("Standard PC"));
  EXPECT_THAT(signs(firmware("Amazon EC2", "p4d.24xlarge")), HasSubstr("p4d.24xlarge"));
  EXPECT_THAT(signs(firmware("Microsoft Corporation", "Virtual Machine")), HasSubstr("Virtual Machine"));
  EXPECT_EQ(signs(firmware("", "KVM")), "the firmware names KVM");
  EXPECT_THAT(signs(firmware("Amazon EC2", "m5.metal")), IsEmpty());
  EXPECT_THAT(signs(firmware("Microsoft Corporation", "Surface Laptop")), IsEmpty());
  EXPECT_THAT(signs(firmware("NVIDIA", "DGXH100")), IsEmpty());
  EXPECT_THAT(signs({}), IsEmpty());
}

TEST(VirtualMachine, TheProcessorAndTheKernelTell) {
  const test::TemporaryFolder root;
  root.write("proc/cpuinfo",
             "processor\t: 0\nmodel name\t: Imagined CPU\nflags\t\t: fpu vme hypervisor lahf_lm\n\nprocessor\t: 1\n");
  const MachineSigns found = read_machine_signs(root.path());
  EXPECT_TRUE(found.hypervisor_flag);
  EXPECT_EQ(found.processor, "Imagined CPU");
  EXPECT_THAT(signs(found), HasSubstr("hypervisor flag"));

  root.write("proc/cpuinfo", "model name\t: Imagined CPU\nflags\t\t: fpu vme hypervisory\n");
  EXPECT_THAT(signs(read_machine_signs(root.path())), IsEmpty()) << "a longer word is another one";
  root.write("sys/hypervisor/type", "xen\n");
  EXPECT_THAT(signs(read_machine_signs(root.path())), HasSubstr("xen"));
  root.write("sys/class/dmi/id/sys_vendor", "QEMU\n");
  root.write("sys/class/dmi/id/product_name", "\x1b[2J\n");
  EXPECT_THAT(signs(read_machine_signs(root.path())), AllOf(HasSubstr("QEMU ?[2J"), Not(HasSubstr("\x1b"))));
  EXPECT_THAT(signs(read_machine_signs(root.path() / "nothing")), IsEmpty());
}

TEST(VirtualMachine, ShapesThatOnlyHypervisorsMake) {
  EXPECT_THAT(signs({}, "package:4 core:1"), HasSubstr("each socket has one core"));
  EXPECT_THAT(signs({}, "package:2 core:2"), IsEmpty());
  EXPECT_THAT(signs({}, "package:1 core:1"), IsEmpty());

  Topology gpus = *load_topology("package:1 core:4 gpu:2");
  for (const auto& [first, second, virtual_one] : {std::tuple{"0000:00:05.0", "0000:00:06.0", true},
                                                   {"0001:00:00.0", "0002:00:00.0", true},
                                                   {"0002:01:00.0", "0003:01:00.0", false},
                                                   {"0000:00:02.0", "0000:41:00.0", false},
                                                   {"", "", false}}) {
    gpus.nodes[gpus.nodes.size() - 2].pci_bus_id = first;
    gpus.nodes[gpus.nodes.size() - 1].pci_bus_id = second;
    EXPECT_EQ(!signs_of_virtual_machine({}, gpus, 0).empty(), virtual_one) << first;
  }
}

TEST(VirtualMachine, FilesOfClouds) {
  const Topology t = *load_topology(
      R"(<system version="1"><cpu numaid="0" affinity="0000000f"><pci busid="ffff:ff:01.0" class="0x060400">
           <pci busid="0001:00:00.0" class="0x030200"/><pci busid="0002:00:00.0" class="0x030200"/></pci></cpu></system>)");
  EXPECT_THAT(t.nodes[0].virtual_machine, HasSubstr("addresses that no bus has"));
  EXPECT_THAT(hidden_parts(t), ElementsAre("sockets", "L3 caches", "NUMA nodes", "links between GPUs"));
  EXPECT_TRUE(load_topology(test::fixture_path("nccl.xml"))->nodes[0].virtual_machine.empty());
  EXPECT_TRUE(load_topology(test::fixture_path("small.xml"))->nodes[0].virtual_machine.empty());
}

TEST(VirtualMachine, HwlocFilesHaveTheFirmwaresNames) {
  std::string xml = test::fixture("format3.xml");
  const std::string machine = "<object type=\"Machine\"";
  const std::size_t end = xml.find('>', xml.find(machine)) + 1;
  ASSERT_NE(xml.find(machine), std::string::npos);
  xml.insert(end, R"(<info name="DMISysVendor" value="QEMU"/><info name="DMIProductName" value="Standard PC"/>)");
  const Topology t = *load_topology(xml);
  EXPECT_EQ(t.nodes[0].virtual_machine, "the firmware names QEMU Standard PC");
}

TEST(VirtualMachine, IsExchangedAndShownButMakesNoDifference) {
  Topology t = *load_topology("core:4 gpu:2 nic:1");
  EXPECT_THAT(hidden_parts(t), IsEmpty()) << "a real machine hides nothing";
  const std::uint64_t before = fingerprint(t);
  t.nodes[0].virtual_machine = "the processor has the hypervisor flag";
  EXPECT_EQ(fingerprint(t), before) << "ranks in containers may see other signs of one machine";
  EXPECT_EQ(*topology_from_json(to_json(t)), t);
  EXPECT_THAT(hidden_parts(t), ElementsAre("sockets", "L3 caches", "NUMA nodes", "PCI switches", "links between GPUs"));
  EXPECT_THAT(hidden_parts(t, 7), IsEmpty());
  EXPECT_THAT(render_tree(t), AllOf(HasSubstr("virtual machine: the processor has the hypervisor flag"),
                                    HasSubstr("it may hide sockets, L3 caches"), HasSubstr("measurements count more")));
  t.nodes[0].virtual_machine = "\x1b[2J";
  EXPECT_FALSE(check(t));
  t.nodes[0].virtual_machine.clear();
  t.nodes[1].virtual_machine = "yes";
  EXPECT_FALSE(check(t));
}

}  // namespace
}  // namespace tutti
