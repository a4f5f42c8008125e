// One host as one process sees it. All files are read below a root, which is a folder of their own in tests; what no file tells
// is in members that tests set.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config.h"
#include "doctor/gpus.h"
#include "doctor/rdma.h"
#include "topology/sources/cgroup.h"
#include "transports/tcp/interfaces.h"
#include "tutti/topology.h"

namespace tutti::doctor {

class System {
 public:
  explicit System(std::filesystem::path root) : root_(std::move(root)) {}
  // This host: probes what no file tells, for a job of so many ranks, so many of them on this host.
  static Result<System> here(const Config& config, int ranks, int ranks_here);

  // --- files; paths are relative: "proc/meminfo" ---
  // The first line without blanks at its ends; nothing where it cannot be read.
  [[nodiscard]] std::optional<std::string> line(const std::string& path) const;
  [[nodiscard]] std::vector<std::string> lines(const std::string& path) const;
  // The number that the file begins with.
  [[nodiscard]] std::optional<double> number(const std::string& path) const;
  [[nodiscard]] std::optional<std::string> bytes(const std::string& path, std::size_t most) const;
  [[nodiscard]] bool exists(const std::string& path) const;
  // What is in a folder, sorted.
  [[nodiscard]] std::vector<std::string> names(const std::string& folder) const;
  // What follows "key:" in a file of such lines.
  [[nodiscard]] std::optional<std::string> field(const std::string& path, std::string_view key) const;
  // Where links lead to in the end.
  [[nodiscard]] std::string resolved(const std::string& path) const;

  // --- what several checks ask ---
  // A soft limit from /proc/self/limits; nothing: not known; kUnlimited.
  [[nodiscard]] std::optional<std::uint64_t> limit(std::string_view name) const;
  // PUs that this process may use.
  [[nodiscard]] std::vector<int> bound() const;
  [[nodiscard]] CgroupLimits cgroup() const;
  // What shows that this is a virtual machine; empty: nothing does.
  [[nodiscard]] std::string virtual_machine() const;
  // One that the kernel itself heeds (CAP_IPC_LOCK), by its number; root has all where it is not told.
  [[nodiscard]] bool has_capability(int number) const;
  // "[always] madvise never": always.
  [[nodiscard]] std::string chosen_word(const std::string& path) const;

  static constexpr std::uint64_t kUnlimited = UINT64_MAX;

  Topology topology;  // no nodes: it could not be found out, and why is in topology_error
  std::string topology_error;
  std::vector<InterfaceAddress> addresses;
  std::string interface_spec;          // TUTTI_INTERFACE
  std::string topology_spec;           // TUTTI_TOPOLOGY
  std::uint64_t shm_bytes = 8u << 20;  // TUTTI_SHM_BYTES
  bool uses_cma = true;                // TUTTI_CMA
  std::optional<int> cma_error;        // of reading another process's memory: 0: it works
  Gpus gpus;
  Rdma rdma;
  std::string transport_spec;              // TUTTI_TRANSPORT
  std::string ib_devices;                  // TUTTI_IB_DEVICES
  int ib_gid_index = -1;                   // TUTTI_IB_GID_INDEX; negative: not set
  std::size_t ib_ring_bytes = 128u << 10;  // TUTTI_IB_RING
  bool is_root = false;
  int tcp_sockets = 2;  // TUTTI_TCP_SOCKETS
  int ranks = 1, ranks_here = 1;

 private:
  [[nodiscard]] std::filesystem::path at(const std::string& path) const { return root_ / path; }

  std::filesystem::path root_;
};

// Tries to read the memory of another process as ranks do: a child reads a word of this one. 0, or errno.
[[nodiscard]] int probe_cma();

}  // namespace tutti::doctor
