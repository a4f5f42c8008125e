// Each check on a host where all is well, and on one where it is not.
#include "doctor/checks.h"

#include <cerrno>
#include <set>

#include "ports.h"

namespace tutti::doctor {
namespace {

using test::is;
using test::only;
using test::Tree;
using enum Severity;

TEST(Doctor, EveryCheckSpeaksOfAHostThatShowsNothing) {
  const Tree tree;  // an empty /proc and /sys
  std::set<std::string> seen;
  for (const Check& check : checks()) {
    const Findings findings = check.run(tree.system);
    ASSERT_FALSE(findings.empty()) << check.name;
    for (const Finding& f : findings) {
      EXPECT_EQ(f.check, check.name);
      EXPECT_FALSE(f.found.empty()) << check.name;
      EXPECT_FALSE(f.source.empty()) << check.name;
    }
    EXPECT_TRUE(seen.insert(std::string(check.name)).second) << check.name;
  }
}

TEST(Doctor, WhatIsWrongHasACostAndARemedy) {
  for (const Check& check : checks()) {
    Tree tree;  // as bad as can be
    tree.described("node:1 numa:2 core:4 gpu:4 nic:1").write("sys/devices/system/cpu/online", "0-7\n");
    tree.write("proc/self/status", "Cpus_allowed_list:\t0-7\nSeccomp:\t2\n").write("proc/sys/kernel/osrelease", "3.10.0\n");
    tree.write("proc/self/cgroup", "0::/job\n").write("sys/fs/cgroup/job/cpu.max", "100000 100000\n");
    tree.write("sys/fs/cgroup/job/cpuset.cpus.effective", "0-1\n").write("sys/fs/cgroup/job/memory.max", "1000000\n");
    tree.write("proc/self/limits",
               "Max open files 32 64 files\nMax locked memory 65536 65536 bytes\nMax processes 10 10 processes\n");
    verbs::Port down = test::roce("mlx5_1");
    down.state = IBV_PORT_DOWN;
    test::has_ports(tree, {down, test::infiniband("mlx5_2", IBV_PORT_INIT)});
    tree.folder("sys/class/infiniband/mlx5_0").interface("docker0", "172.17.0.1").interface("eth0", "10.0.0.1", false);
    tree.system.ranks = tree.system.ranks_here = 16;
    tree.system.cma_error = EPERM;
    for (const Finding& f : check.run(tree.system)) {
      if (f.severity < warning) continue;
      EXPECT_FALSE(f.costs.empty()) << f.found;
      EXPECT_FALSE(f.mend.empty()) << f.found;
    }
  }
}

TEST(Doctor, Gpus) {
  Tree tree;
  Gpus& g = tree.system.gpus;
  g.none = "libcuda.so.1 cannot be loaded";
  EXPECT_THAT(check_gpus(tree.system), only(note, "libcuda.so.1 cannot be loaded"));
  tree.described("core:2 gpu:1");
  EXPECT_THAT(check_gpus(tree.system), only(warning, "libcuda.so.1 cannot be loaded"));
  for (const auto& check : {check_gpu_streams, check_gpu_memory, check_gpu_sharing})
    EXPECT_THAT(check(tree.system), only(ok, "no GPU"));
  g = {.none = "", .driver_version = 12080, .devices = {{"A", std::uint64_t{24} << 30}, {"B", 1 << 29}, {"B", 1 << 29}}};
  EXPECT_THAT(check_gpus(tree.system), only(ok, "3 GPUs (A, 24.0 GiB; 2 x B, 0.5 GiB), driver of CUDA 12.8"));
}

TEST(Doctor, CodeForGpus) {
  Tree tree;
  Gpus& g = tree.system.gpus;
  EXPECT_THAT(check_gpu_code(tree.system), only(ok, "built without code"));
  g.has_code = true;
  EXPECT_THAT(check_gpu_code(tree.system), only(ok, "has code"));
  g = {.none = "", .driver_version = 12020, .has_code = false};
  EXPECT_THAT(check_gpu_code(tree.system), only(warning, "built without code"));
  g.has_code = true;
  EXPECT_THAT(check_gpu_code(tree.system), only(ok, "takes"));
  g.no_code = "unsupported PTX version";
  EXPECT_THAT(check_gpu_code(tree.system), only(warning, "unsupported PTX version"));
  EXPECT_THAT(check_gpu_code(tree.system).front().mend, testing::HasSubstr("CUDA 12.2"));
}

TEST(Doctor, WhatGpusCan) {
  Tree tree;
  tree.system.gpus = {.none = "", .driver_version = 13000, .devices = {{"A", 1 << 30}}};
  Gpus& g = tree.system.gpus;
  EXPECT_THAT(check_gpu_streams(tree.system), only(ok, "wait for values"));
  EXPECT_THAT(check_gpu_memory(tree.system), only(ok, "can map"));
  EXPECT_THAT(check_gpu_sharing(tree.system), only(ok, "1 rank of this host, 1 GPU"));
  g.no_stream = g.no_ipc = "not supported";
  EXPECT_THAT(check_gpu_streams(tree.system), only(problem, "cannot wait"));
  EXPECT_THAT(check_gpu_memory(tree.system), only(warning, "cannot map"));
  tree.system.ranks_here = 4;
  EXPECT_THAT(check_gpu_sharing(tree.system), only(note, "4 ranks of this host share 1 GPU without"));
  g.mps = true;
  EXPECT_THAT(check_gpu_sharing(tree.system), only(ok, "with NVIDIA's Multi-Process Service"));
}

TEST(Doctor, WhatIsSaidAboutGpusRoundTrips) {
  const Gpus g{.none = "",
               .driver_version = 12020,
               .devices = {{"A", 1 << 30}},
               .no_ipc = "i",
               .no_stream = "s",
               .has_code = true,
               .no_code = "c",
               .mps = true};
  EXPECT_EQ(to_json(gpus_from_json(to_json(g)).value_or_throw()), to_json(g));
  for (const char* bad : {"", "{}", "[]", "{\"none\": 1}"}) EXPECT_FALSE(gpus_from_json(bad)) << bad;
}

TEST(Doctor, Binding) {
  Tree tree;
  tree.described("numa:2 core:4").write("sys/devices/system/cpu/online", "0-7\n");
  EXPECT_THAT(check_binding(tree.system), only(note, "cannot be read"));
  tree.write("proc/self/status", "Name:\ttutti\nCpus_allowed_list:\t0-3\n");
  EXPECT_THAT(check_binding(tree.system), only(ok, "bound to PUs 0-3"));
  tree.write("proc/self/status", "Cpus_allowed_list:\t0-7\n");
  EXPECT_THAT(check_binding(tree.system), only(note, "not bound"));
  tree.write("proc/self/status", "Cpus_allowed_list:\t3-4\n");
  tree.system.ranks_here = 2;
  EXPECT_THAT(check_binding(tree.system), only(warning, "of 2 NUMA nodes"));
}

TEST(Doctor, Cpuset) {
  Tree tree;
  tree.write("sys/devices/system/cpu/online", "0-7\n").write("proc/self/cgroup", "0::/job/step\n");
  EXPECT_THAT(check_cpuset(tree.system), only(ok, "no control group"));
  tree.write("sys/fs/cgroup/job/cpuset.cpus.effective", "0-7\n");
  EXPECT_THAT(check_cpuset(tree.system), only(ok, "allows all 8"));
  tree.write("sys/fs/cgroup/job/step/cpuset.cpus.effective", "2-3\n");
  EXPECT_THAT(check_cpuset(tree.system), only(note, "allows 2 of 8 PUs (2-3)"));
  tree.system.ranks_here = 3;
  EXPECT_THAT(check_cpuset(tree.system), only(problem, "3 ranks"));
  tree.write("proc/self/cgroup", "3:cpuset:/pod\n").write("sys/fs/cgroup/cpuset/pod/cpuset.cpus", "0\n");  // version 1
  EXPECT_THAT(check_cpuset(tree.system), only(problem, "allows 1 of 8"));
}

TEST(Doctor, Quota) {
  Tree tree;
  tree.described("core:4").write("proc/self/cgroup", "0::/\n");
  EXPECT_THAT(check_quota(tree.system), only(ok, "no control group"));
  tree.write("sys/fs/cgroup/cpu.max", "400000 100000\n");
  EXPECT_THAT(check_quota(tree.system), only(ok, "4 cores"));
  tree.write("sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_THAT(check_quota(tree.system), only(note, "1.5 cores, of 4"));
  tree.write("sys/fs/cgroup/cpu.stat", "usage_usec 5\nnr_throttled 7\n");
  EXPECT_THAT(check_quota(tree.system), only(warning, "stopped its processes 7 times"));
  tree.system.ranks_here = 2;
  EXPECT_THAT(check_quota(tree.system), only(problem, "2 ranks"));
}

TEST(Doctor, Governor) {
  Tree tree;
  EXPECT_THAT(check_governor(tree.system), only(note, "cannot be seen"));
  tree.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n");
  EXPECT_THAT(check_governor(tree.system), only(ok, "performance on 1"));
  tree.write("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n");
  EXPECT_THAT(check_governor(tree.system), only(warning, "performance on 1 PUs, powersave on 1 PUs"));
}

TEST(Doctor, Smt) {
  Tree tree;
  tree.described("core:2 pu:2");
  EXPECT_THAT(check_smt(tree.system), only(note, "cannot be read"));
  tree.write("sys/devices/system/cpu/smt/active", "0\n");
  EXPECT_THAT(check_smt(tree.system), only(ok, "one thread"));
  tree.write("sys/devices/system/cpu/smt/active", "1\n");
  EXPECT_THAT(check_smt(tree.system), only(note, "2 cores for 1 rank here"));
  tree.system.ranks_here = 4;
  EXPECT_THAT(check_smt(tree.system), only(warning, "2 cores for 4 ranks"));
}

TEST(Doctor, NumaBalancing) {
  Tree tree;
  EXPECT_THAT(check_numa_balancing(tree.system), only(ok, "does not move"));
  tree.write("proc/sys/kernel/numa_balancing", "1\n").folder("sys/devices/system/node/node0");
  EXPECT_THAT(check_numa_balancing(tree.system), only(ok, "one NUMA node only"));
  tree.folder("sys/devices/system/node/node1").folder("sys/devices/system/node/power");
  EXPECT_THAT(check_numa_balancing(tree.system), only(warning, "between 2 NUMA nodes"));
}

TEST(Doctor, Memory) {
  Tree tree;
  EXPECT_THAT(check_memory(tree.system), only(note, "cannot be read"));
  tree.write("proc/meminfo", "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n");
  EXPECT_THAT(check_memory(tree.system), only(ok, "this host has 3.8 GiB left"));
  tree.write("proc/self/cgroup", "0::/\n").write("sys/fs/cgroup/memory.max", "104857600\n");
  EXPECT_THAT(check_memory(tree.system), only(warning, "the control group, limited to 100 MiB, has 100 MiB left"));
  tree.system.ranks_here = 16;
  EXPECT_THAT(check_memory(tree.system), only(problem, "16 ranks here takes 128 MiB, at the most 512 MiB"));
}

TEST(Doctor, SharedMemory) {
  Tree tree;
  EXPECT_THAT(check_shared_memory(tree.system), only(note, "not mounted"));
  tree.write("proc/self/mountinfo",
             "1 0 0:1 / / rw - ext4 /dev/sda rw\n25 24 0:23 / /dev/shm rw,nosuid - tmpfs shm rw,size=65536k,mode=755\n");
  EXPECT_THAT(check_shared_memory(tree.system), only(note, "has only 64 MiB; tutti does not use it"));
  tree.write("proc/self/mountinfo", "25 24 0:23 / /dev/shm rw - tmpfs shm rw,size=8g\n");
  EXPECT_THAT(check_shared_memory(tree.system), only(ok, "has 8 GiB"));
  tree.write("proc/self/mountinfo", "25 24 0:23 / /dev/shm rw - tmpfs shm rw\n");
  EXPECT_THAT(check_shared_memory(tree.system), only(ok, "no limit of its own"));
}

TEST(Doctor, HugePages) {
  Tree tree;
  const std::string folder = "sys/kernel/mm/transparent_hugepage/";
  EXPECT_THAT(check_huge_pages(tree.system), only(note, "has no transparent huge pages"));
  tree.write(folder + "enabled", "always [madvise] never\n")
      .write(folder + "shmem_enabled", "always within_size [advise] never deny force\n");
  EXPECT_THAT(check_huge_pages(tree.system), only(ok, "madvise"));
  tree.write(folder + "enabled", "always madvise [never]\n").write(folder + "shmem_enabled", "always advise [never]\n");
  tree.write("proc/meminfo", "MemTotal: 1000000 kB\nHugePages_Total: 100\nHugepagesize: 2048 kB\n");
  EXPECT_THAT(check_huge_pages(tree.system),
              testing::ElementsAre(is(note, "are off"), is(note, "4 KiB pages"), is(warning, "200 MiB of 977 MiB are reserved")));
}

TEST(Doctor, Swap) {
  Tree tree;
  EXPECT_THAT(check_swap(tree.system), only(ok, "none"));
  tree.write("proc/meminfo", "SwapTotal: 1048576 kB\nSwapFree: 1048576 kB\n");
  EXPECT_THAT(check_swap(tree.system), only(ok, "unused"));
  tree.write("proc/meminfo", "SwapTotal: 1048576 kB\nSwapFree: 524288 kB\n");
  EXPECT_THAT(check_swap(tree.system), only(warning, "512 MiB of 1 GiB"));
}

TEST(Doctor, OpenFiles) {
  Tree tree;
  EXPECT_THAT(check_open_files(tree.system), only(note, "cannot be read"));
  tree.write("proc/self/limits",
             "Limit Soft Hard\nMax open files            unlimited            unlimited            files     \n");
  EXPECT_THAT(check_open_files(tree.system), only(ok, "unlimited"));
  tree.write("proc/self/limits", "Max open files            256                  4096                 files     \n");
  EXPECT_THAT(check_open_files(tree.system), only(warning, "256 open files"));
  tree.system.ranks = 200;
  EXPECT_THAT(check_open_files(tree.system), only(problem, "a rank of 200 needs"));
}

TEST(Doctor, Processes) {
  Tree tree;
  EXPECT_THAT(check_processes(tree.system), only(note, "cannot be read"));
  tree.write("proc/self/limits", "Max processes             96551                96551                processes \n");
  EXPECT_THAT(check_processes(tree.system), only(ok, "96551"));
  tree.write("proc/self/cgroup", "8:pids:/pod\n").write("sys/fs/cgroup/pids/pod/pids.max", "max\n");
  EXPECT_THAT(check_processes(tree.system), only(ok, "96551"));
  tree.write("sys/fs/cgroup/pids/pod/pids.max", "12\n");
  EXPECT_THAT(check_processes(tree.system), only(warning, "12 processes"));
  tree.system.ranks_here = 4;
  EXPECT_THAT(check_processes(tree.system), only(problem, "12 processes"));
}

TEST(Doctor, Cma) {
  Tree tree;
  EXPECT_THAT(check_cma(tree.system), only(note, "not tried"));
  tree.system.cma_error = 0;
  EXPECT_THAT(check_cma(tree.system), only(ok, "may read"));
  tree.system.cma_error = EPERM;
  tree.write("proc/sys/kernel/yama/ptrace_scope", "1\n");
  EXPECT_THAT(check_cma(tree.system), only(warning, "EPERM"));
  EXPECT_THAT(check_cma(tree.system).front().mend, testing::HasSubstr("kernel.yama.ptrace_scope=0"));
  tree.write("proc/self/status", "Seccomp:\t2\n");
  EXPECT_THAT(check_cma(tree.system).front().mend, testing::HasSubstr("SYS_PTRACE"));
}

TEST(Doctor, CmaIsReallyTried) {
  const int error = probe_cma();
  EXPECT_GE(error, 0);
  EXPECT_LT(error, 256);
}

TEST(Doctor, Interfaces) {
  Tree tree;
  EXPECT_THAT(check_interfaces(tree.system), only(warning, "no network interface is up"));
  tree.interface("lo", "127.0.0.1");
  EXPECT_THAT(check_interfaces(tree.system), only(ok, "only loopback"));
  tree.system.ranks = 2;
  EXPECT_THAT(check_interfaces(tree.system), only(problem, "only loopback"));
  tree.system.ranks = 1;
  tree.interface("eth0", "10.0.0.1").interface("eth1", "10.1.0.1").interface("eth9", "10.9.0.1", false);
  EXPECT_THAT(check_interfaces(tree.system), testing::ElementsAre(is(note, "eth0 10.0.0.1 (speed unknown"), is(note, "eth9")));
  tree.write("sys/class/net/eth0/speed", "25000\n").write("sys/class/net/eth0/mtu", "9000\n");
  EXPECT_THAT(check_interfaces(tree.system), testing::Contains(is(ok, "eth0 10.0.0.1 (25 Gbit/s, MTU 9000)")));
  tree.write("sys/class/net/eth0/duplex", "half\n");
  EXPECT_THAT(check_interfaces(tree.system), testing::Contains(is(warning, "half duplex")));
  tree.write("sys/class/net/eth1/speed", "100000\n");
  EXPECT_THAT(check_interfaces(tree.system), testing::Contains(is(warning, "but eth1 10.1.0.1 (100 Gbit/s")));
  tree.system.interface_spec = "eth1";
  EXPECT_THAT(check_interfaces(tree.system), testing::Contains(is(ok, "eth1")));
  tree.system.interface_spec = "ib0";
  EXPECT_THAT(check_interfaces(tree.system), only(warning, "matches 'ib0'"));
}

TEST(Doctor, ABridgeThatWouldBeChosen) {
  Tree tree;
  tree.interface("cni0", "10.244.0.1").interface("eth0", "10.0.0.1");
  EXPECT_THAT(check_interfaces(tree.system), only(warning, "cni0 10.244.0.1"));
  EXPECT_EQ(check_interfaces(tree.system).front().mend, "TUTTI_INTERFACE=eth0");
  Tree slow;
  slow.interface("eth0", "10.0.0.1").write("sys/class/net/eth0/speed", "1000\n");
  EXPECT_THAT(check_interfaces(slow.system), only(note, "1 Gbit/s"));
  slow.system.ranks = 2;
  EXPECT_THAT(check_interfaces(slow.system), only(warning, "1 Gbit/s"));
}

TEST(Doctor, NicsOfGpus) {
  Tree tree;
  tree.described("numa:2 core:2 gpu:2 nic:2");
  EXPECT_THAT(check_nics_of_gpus(tree.system), only(ok, "each of 2 GPUs"));
  tree.described("numa:2 core:2 gpu:4 nic:2");
  EXPECT_THAT(check_nics_of_gpus(tree.system), testing::ElementsAre(is(note, "of 2 GPUs"), is(note, "of 2 GPUs")));
  tree.described("numa:2 core:2 gpu:2 nic:1");
  EXPECT_THAT(check_nics_of_gpus(tree.system),
              testing::ElementsAre(is(warning, "no NIC on its NUMA node"), is(note, "nearest NIC of 2 GPUs")));
  tree.described("core:2");
  EXPECT_THAT(check_nics_of_gpus(tree.system), only(ok, "nothing to compare"));
}

TEST(Doctor, GpusOfNoNumaNode) {
  Tree tree;
  tree.described("numa:2 core:2 gpu:2 nic:1");
  for (Node& node : tree.system.topology.nodes)
    if (node.kind == NodeKind::gpu) node.parent = machine_of(tree.system.topology, 0);
  ASSERT_TRUE(check(tree.system.topology));
  EXPECT_THAT(check_nics_of_gpus(tree.system), only(note, "is not told"));
}

TEST(Doctor, Iommu) {
  Tree tree;
  EXPECT_THAT(check_iommu(tree.system), only(note, "not shown"));
  tree.folder("sys/kernel/iommu_groups");
  EXPECT_THAT(check_iommu(tree.system), only(ok, "no IOMMU"));
  tree.write("sys/kernel/iommu_groups/0/type", "identity\n");
  EXPECT_THAT(check_iommu(tree.system), only(ok, "none translated"));
  tree.write("sys/kernel/iommu_groups/1/type", "DMA-FQ\n");
  EXPECT_THAT(check_iommu(tree.system), only(note, "translated in 1 group"));
  tree.described("core:2 gpu:1");
  EXPECT_THAT(check_iommu(tree.system), only(warning, "translated"));
}

// Configuration space of a bridge whose ACS capability, the second one, has this control register.
std::string config_space(unsigned control) {
  std::string config(4096, '\0');
  const auto put = [&](std::size_t at, unsigned value) {
    for (std::size_t i = 0; i < 4; ++i) config[at + i] = static_cast<char>(value >> (8 * i));
  };
  put(0x100, 0x150u << 20 | 1u << 16 | 0x0001);  // advanced error reporting
  put(0x150, 0x000u << 20 | 1u << 16 | 0x000d);
  put(0x154, control << 16);
  return config;
}

TEST(Doctor, Acs) {
  Tree tree;
  const std::string bridge = "sys/bus/pci/devices/0000:00:01.0/";
  EXPECT_THAT(check_acs(tree.system), only(ok, "no PCI bridge"));
  tree.write(bridge + "class", "0x060400\n").write("sys/bus/pci/devices/0000:00:02.0/class", "0x020000\n");
  EXPECT_THAT(check_acs(tree.system), only(note, "cannot be read by this user"));
  tree.system.is_root = true;
  tree.write(bridge + "config", std::string(64, '\0'));
  EXPECT_THAT(check_acs(tree.system), only(note, "not even by root"));
  tree.write(bridge + "config", config_space(0x0001));  // source validation alone diverts nothing
  EXPECT_THAT(check_acs(tree.system), only(ok, "none of 1"));
  tree.write(bridge + "config", config_space(0x001d));
  EXPECT_THAT(check_acs(tree.system), only(note, "0000:00:01.0"));
  tree.described("core:2 gpu:1");
  EXPECT_THAT(check_acs(tree.system), only(warning, "0000:00:01.0"));
  std::string loop = config_space(0);
  loop[0x150] = 1;  // another capability, whose next is the first
  loop[0x152] = 0x01, loop[0x153] = 0x10;
  tree.write(bridge + "config", loop);
  EXPECT_THAT(check_acs(tree.system), only(ok, "none of 1"));
}

TEST(Doctor, Kernel) {
  Tree tree;
  EXPECT_THAT(check_kernel(tree.system), only(note, "cannot be read"));
  for (const auto& [release, severity] : {std::pair("6.1.0-18-amd64\n", ok),
                                          {"5.14\n", ok},
                                          {"5.4.0\n", note},
                                          {"4.15.0\n", warning},
                                          {"3.10.0-1160.el7\n", warning}})
    EXPECT_EQ(check_kernel(tree.write("proc/sys/kernel/osrelease", release).system).front().severity, severity) << release;
}

TEST(Doctor, Virtual) {
  Tree tree;
  tree.write("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vme hypervisors\n");
  EXPECT_THAT(check_virtual(tree.system), only(ok, "no virtual machine"));
  tree.write("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor lahf_lm\n")
      .write("sys/class/dmi/id/sys_vendor", "QEMU\n");
  tree.write("proc/stat", "cpu  100 0 0 899 0 0 0 1 0 0\n");
  EXPECT_THAT(check_virtual(tree.system),
              only(note, "a virtual machine: the firmware names QEMU, the processor has the hypervisor flag"));
  tree.write("proc/stat", "cpu  100 0 0 850 0 0 0 50 0 0\n");
  EXPECT_THAT(check_virtual(tree.system), testing::ElementsAre(is(note, "QEMU"), is(warning, "5.0 %")));
  Tree arm;  // no flags there
  EXPECT_THAT(check_virtual(arm.write("sys/class/dmi/id/product_name", "KVM Virtual Machine\n").system),
              only(note, "a virtual machine: the firmware names KVM"));
  Tree shapes;  // as `tutti topo` has it
  EXPECT_THAT(check_virtual(shapes.described("package:4 core:1").system), only(note, "each socket has one core"));
  Tree metal;
  metal.write("sys/class/dmi/id/sys_vendor", "Amazon EC2\n").write("sys/class/dmi/id/product_name", "c5.metal\n");
  EXPECT_THAT(check_virtual(metal.system), only(ok, "no virtual machine"));
}

TEST(Doctor, ClockSource) {
  Tree tree;
  const std::string file = "sys/devices/system/clocksource/clocksource0/current_clocksource";
  EXPECT_THAT(check_clock(tree.system), only(note, "cannot be read"));
  EXPECT_THAT(check_clock(tree.write(file, "tsc\n").system), only(ok, "tsc"));
  EXPECT_THAT(check_clock(tree.write(file, "hpet\n").system), only(warning, "hpet"));
}

TEST(Doctor, Topology) {
  Tree tree;
  tree.described("core:4");
  EXPECT_THAT(check_topology(tree.system), only(ok, "4 usable cores"));
  tree.system.topology_spec = "numa:2 core:2";
  EXPECT_THAT(check_topology(tree.system), only(ok, "4 cores there"));
  tree.system.topology_spec = "core:8";
  EXPECT_THAT(check_topology(tree.system), only(warning, "describes 8 cores, and this machine has 4"));
  tree.system.topology_spec = "/no/such.json";
  EXPECT_THAT(check_topology(tree.system), only(problem, "/no/such.json"));
  tree.system.topology = {};
  tree.system.topology_error = "hwloc_topology_load: no";
  EXPECT_THAT(check_topology(tree.system), only(problem, "/no/such.json"));
  tree.system.topology_spec = "core:8";  // a communicator asks nothing else then
  EXPECT_THAT(check_topology(tree.system), only(note, "8 cores; this machine itself cannot be looked at: hwloc_topology_load"));
  tree.system.topology_spec = "";
  EXPECT_THAT(check_topology(tree.system), only(problem, "hwloc_topology_load"));
}

}  // namespace
}  // namespace tutti::doctor
