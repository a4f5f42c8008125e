// The machine as a plain graph, where ranks sit in it, and what it costs them to talk.
//
//   auto topology = discover();                        // this machine, or
//   auto topology = load_topology("node:4 numa:2 core:8");
//   fmt::print("{}", render_tree(*topology));
//
// A topology is a value: nodes and links in vectors, ids are positions. Whatever loads one proves it with check(), so
// the rest of the library can index without looking. All functions are pure but for discover(), current_binding() and
// load_topology(), which read the system; all may be called from any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tutti/result.h"
#include "tutti/types.h"

namespace tutti {

using NodeId = std::int32_t;
inline constexpr NodeId kNoNode = -1;

enum class NodeKind : std::uint8_t {
  machine,     // one host: the root of a tree
  package,     // a socket
  numa,        // a memory node with the cores nearest to it
  l3,          // a last-level cache shared by cores
  core,        // a physical core with one or more hardware threads (PUs)
  pci_switch,  // a PCI bridge above two or more devices that count here
  gpu,
  nvswitch,
  nic,
  net_switch,  // the network between hosts: a root as well
};
inline constexpr int kNodeKinds = 10;
[[nodiscard]] std::string_view name(NodeKind kind) noexcept;

// One thing in the machine. Attributes a kind does not have stay empty, and so do those nobody knows.
struct Node {
  NodeKind kind = NodeKind::machine;
  NodeId parent = kNoNode;  // containment; always smaller than the node's own id
  std::string name;
  std::vector<int> cpus;                 // core: operating-system numbers of the PUs this job may use, ascending
  std::uint64_t memory_bytes = 0;        // numa, gpu: its own memory
  std::uint64_t cache_bytes = 0;         // l3: its size. core: the size of its L2
  std::string pci_bus_id;                // gpu, nic, nvswitch, pci_switch: "0000:3b:00.0"
  double cpu_quota = 0;                  // machine: cores' worth of time the control group grants; 0: no limit
  std::uint64_t memory_limit_bytes = 0;  // machine: the control group's memory limit; 0: no limit
  std::string virtual_machine;           // machine: what shows that it is one, for people to read; empty: nothing does

  friend bool operator==(const Node&, const Node&) = default;
};

// What a link is made of, nearest first.
enum class LinkKind : std::uint8_t { nvlink, xgmi, memory, pcie, network };
inline constexpr int kLinkKinds = 5;
[[nodiscard]] std::string_view name(LinkKind kind) noexcept;

// Who says so.
enum class Origin : std::uint8_t { hwloc, system, estimate, synthetic, file };
inline constexpr int kOrigins = 5;
[[nodiscard]] std::string_view name(Origin origin) noexcept;

// A connection that is not containment. Both directions alike.
struct Link {
  NodeId a = kNoNode;
  NodeId b = kNoNode;
  LinkKind kind = LinkKind::memory;
  Origin origin = Origin::estimate;
  double bandwidth_gbps = 0;  // gigabytes per second in each direction; 0: unknown
  double latency_us = 0;      // one way; 0: unknown

  friend bool operator==(const Link&, const Link&) = default;
};

struct Topology {
  std::vector<Node> nodes;
  std::vector<Link> links;

  friend bool operator==(const Topology&, const Topology&) = default;
};

// Limits of what is loaded, so that a hostile description cannot eat the machine.
inline constexpr std::size_t kMaxTopologyBytes = 64u << 20;
inline constexpr std::size_t kMaxTopologyNodes = 1u << 20;
inline constexpr std::size_t kMaxTopologyLinks = 1u << 20;
inline constexpr std::size_t kMaxTorusDimensions = 8;

// Every invariant: parents come first (so the forest has no cycle), roots are machines or network switches, at least one
// machine, containment makes sense, PUs belong to one core only, numbers are finite and not negative, names printable,
// links join two different nodes that exist. Code::invalid_argument names the node or link.
Status check(const Topology& topology);

// --- sources ---

// This machine through hwloc, with control-group limits and NIC speeds of this process's view.
Result<Topology> discover();

// What the text is decides: the path of a file (own JSON, XML of hwloc or NCCL, or a synthetic description in it), inline JSON or
// XML, or a synthetic description itself:
//
//   node:4 numa:2 core:8               4 hosts of 2 NUMA nodes of 8 cores, joined by one network
//   node:2 package:2 l3:2(size=32MiB) core:4 pu:2 gpu:8 nic:2 net=12.5GB/s net_latency=2us
//   dgx-h100:16                        16 hosts known by name (the table: topology/sources/presets.cpp), NIC i of each on rail i
//   torus:4x4x4 core:8 link=50GB/s     64 hosts, each joined to its neighbours
//   fat-tree:2x4x16 core:8 oversubscription=2x1    16 hosts to a leaf switch, 4 of those to the next, 2 of those to the top
//   node:8 core:8 nic:4 rails:4        NIC i of each host on switch i, and one switch above these
//
// Levels nest as written: node (hosts), package, numa, l3, core, pu, and hwloc's own names for them, so hwloc's
// "pack:2 [numa(memory=8GiB)] core:4 pu:1" is read, too. pci_switch, gpu and nic are counted per host and spread over its NUMA
// nodes, gpu and nic over its PCI switches where it has some. Options: net= (or link=), net_latency= (or latency=): of one link
// of the network, that is per NIC, or per host without NICs; oversubscription= of the links from a level of switches upward, top
// first; pcie=, nvlink= (per GPU, all through one switch), xgmi= (per pair of GPUs), memory= (per NUMA node), gpu_memory=, l3=,
// l2= (sizes). What is said beside a known host goes before its own. Synthetic text is Code::invalid_argument when wrong, a file
// Code::protocol; the error names the file, or the place in the text, and what is wrong there.
Result<Topology> load_topology(std::string_view file_or_spec);

// PUs this thread is bound to, ascending (all of them when unbound).
Result<std::vector<int>> current_binding();

// --- forms ---

// One line of JSON, {"tutti_topology": 1, "nodes": [...], "links": [...]}: what ranks exchange. Default values are left out.
[[nodiscard]] std::string to_json(const Topology& topology);
Result<Topology> topology_from_json(std::string_view text);
// Graphviz.
[[nodiscard]] std::string to_dot(const Topology& topology);
// For a person: a tree with sizes, links and limits. `bound`: PUs this process is bound to, marked in the tree; empty: no note.
[[nodiscard]] std::string render_tree(const Topology& topology, std::span<const int> bound = {});

// Equal for machines that are alike: names of machines do not count, and memory only to the GiB (equal machines differ by a
// few pages), nor do signs of virtual machines. The same on every platform of one byte order.
[[nodiscard]] std::uint64_t fingerprint(const Topology& topology);

// --- questions ---

[[nodiscard]] int hosts(const Topology& topology);
// The machine node of a host, counted in order; kNoNode when there is none.
[[nodiscard]] NodeId machine_of(const Topology& topology, int host);
// What the description of a host lacks and real machines have, where it is a virtual machine: "sockets", "NUMA nodes", ...
// Empty: nothing is missed, or it is a real machine.
[[nodiscard]] std::vector<std::string> hidden_parts(const Topology& topology, int host = 0);
// Nearest of that kind around a node (itself included), or kNoNode.
[[nodiscard]] NodeId enclosing(const Topology& topology, NodeId node, NodeKind kind);
// Cores of one host with at least one PU this job may use.
[[nodiscard]] std::vector<NodeId> usable_cores(const Topology& topology, int host = 0);
// How many ranks one host can run at once without sharing a core: usable cores, or less where a CPU quota says so; at least 1.
[[nodiscard]] int available_cores(const Topology& topology, int host = 0);

// PCI addresses of the NICs nearest to these PUs of the first host: of those in the innermost thing around all of these that has
// NICs, a NUMA node or a package. Empty: none is nearer than others.
[[nodiscard]] std::vector<std::string> nearest_nics(const Topology& topology, std::span<const int> cpus);

// How many hosts there are in each dimension, where links of the network join hosts directly and as a torus: host 0, 1, ... count
// through the last dimension first. Dimensions of one host are left out; of two hosts, one link joins each pair. Empty: no torus.
[[nodiscard]] std::vector<int> torus_dimensions(const Topology& topology);

// Which of a host's links to the network carry the messages between two ranks: the fastest one, or all that RDMA can use, side by
// side, up to kMostRdmaLinks. `expected`: the latter where every host has such links.
enum class HostLinks : std::uint8_t { expected, fastest, all_rdma };
inline constexpr std::size_t kMostRdmaLinks = 8;
// What `expected` stands for. A device's name tells (mlx5_0, ib0), or a latency that no way through the kernel has.
[[nodiscard]] HostLinks expected_links(const Topology& topology);
// How many links these are, on the host that has the fewest; at least 1.
[[nodiscard]] int links_side_by_side(const Topology& topology, HostLinks links = HostLinks::expected);

// Hosts 0, 1, ... in pods of so many that follow each other (the last may have fewer), each below switches of its own.
struct Pods {
  int size = 0;
  double uplinks = 0;  // what a pod's links upward carry together, as a multiple of what carries one pair's messages
  friend bool operator==(const Pods&, const Pods&) = default;
};
// Where a network of switches is tapered, innermost pods first: those that have less above them, per host, than what is below.
[[nodiscard]] std::vector<Pods> tapered_pods(const Topology& topology, HostLinks links = HostLinks::expected);

struct CacheSizes {
  std::uint64_t l2_bytes = 0;  // per core
  std::uint64_t l3_bytes = 0;  // of one L3
  int cores_per_l3 = 0;        // cores that share it
  friend bool operator==(const CacheSizes&, const CacheSizes&) = default;
};
// The smallest of each on the host; 0 where the source does not say.
[[nodiscard]] CacheSizes cache_sizes(const Topology& topology, int host = 0);
// Bytes of the last cache that each of so many ranks on one host may count on; 0: not known.
[[nodiscard]] std::uint64_t cache_share(const Topology& topology, int ranks, int host = 0);

// --- ranks in the machine ---

// Where one rank runs. Numbers count the things of that kind within their host, from 0; -1 where the rank's binding does
// not decide it (an unbound rank on two packages is in none of them) or the machine has no such thing.
struct RankLocation {
  int host = 0;  // from outside: whether two ranks share a host is probed by the runtime, never guessed from names
  int package = -1;
  int numa = -1;
  int l3 = -1;
  int core = -1;
  bool oversubscribed = false;  // place(): shares its PU with another rank
  std::vector<int> cpus;        // PUs it may run on
  int gpu = -1;                 // of a rank on a GPU
  int nvlink = -1;              // GPUs of one number reach each other over NVLink or xGMI alone; counted over all hosts
  int leaf = -1;                // hosts of one number are plugged into the same network switches; counted over all hosts

  friend bool operator==(const RankLocation&, const RankLocation&) = default;
};

// The location of a process bound to these PUs on the topology's first machine.
[[nodiscard]] RankLocation locate(const Topology& topology, std::span<const int> cpus, int host);

// Ranks for an offline topology: one rank per usable core, in order, host after host. More ranks than cores wrap round.
// Code::invalid_argument when ranks < 1 or no core is usable.
Result<std::vector<RankLocation>> place(const Topology& topology, int ranks);

// One rank per host, in order, on its first usable core. Code::invalid_argument when there are not so many.
Result<std::vector<RankLocation>> place_on_hosts(const Topology& topology, int ranks);

// One rank per GPU, in order, host after host: the GPUs. Code::invalid_argument when there are not so many.
Result<std::vector<NodeId>> place_on_gpus(const Topology& topology, int ranks);

// Where ranks on these GPUs (or cores) are.
[[nodiscard]] std::vector<RankLocation> locations(const Topology& topology, std::span<const NodeId> ends);

// All GPUs, host after host.
[[nodiscard]] std::vector<NodeId> gpus(const Topology& topology);

// What two ranks share at the least, innermost first: a core, an L3, ... a host, a leaf switch; `network` when not even that.
// GPUs that NVLink or xGMI joins, each with each, share that; whether on one host or on several.
enum class Level : std::uint8_t { core, l3, numa, package, nvlink, host, leaf, network };
inline constexpr int kLevels = 8;
[[nodiscard]] std::string_view name(Level level) noexcept;

// One way to group the ranks; `group_of` is what Grouping's constructor takes.
struct LevelGroups {
  Level level = Level::host;
  std::vector<int> group_of;
};

// The levels that tell ranks apart, innermost first, each coarser than the one before. Left out: levels where every rank is
// alone, and levels that group as the next coarser one does (where everything is on one host: as the whole communicator).
// A rank that does not know its place at a level is alone there.
[[nodiscard]] std::vector<LevelGroups> levels(std::span<const RankLocation> ranks);

// The innermost level two ranks share.
[[nodiscard]] Level nearest_level(const RankLocation& a, const RankLocation& b);

// Latency of moving one cache line (or one packet) and bandwidth of one pair, to start with: calibration refines them.
struct LinkParameters {
  double latency_us = 0;
  double bandwidth_gbps = 0;  // gigabytes per second, one direction
  Origin origin = Origin::estimate;
};

// Between two ranks whose nearest shared level is this one. See topology/estimates.cpp for the defaults and their sources. Hosts
// that share no leaf switch are as far apart as any of the topology.
[[nodiscard]] LinkParameters between(const Topology& topology, Level level, HostLinks links = HostLinks::expected);

// --- the machine of a job ---

// Every rank's place and the distinct machines they are on.
struct Placement {
  std::vector<Topology> machines;
  std::vector<int> machine_of_rank;  // index into machines
  std::vector<RankLocation> ranks;
};

// Where all ranks describe their machine as one of several hosts, as many as the job has: that description, whose hosts are the
// job's in the order of their first ranks. nullptr: nobody says how the job's hosts are joined.
[[nodiscard]] const Topology* described_network(const Placement& placement);
// Plugs the ranks' hosts into its switches (RankLocation::leaf).
void plug_in(Placement& placement);

// Ranks whose machine description the others need: the first of every distinct fingerprint. Only these send theirs.
[[nodiscard]] std::vector<Rank> describing_ranks(std::span<const std::uint64_t> fingerprints);

// Puts together what the ranks exchanged: everyone's fingerprint and location, and the JSON of describing_ranks(), in that
// order. Code::protocol, naming the rank, where a description does not parse or is not the one announced.
Result<Placement> assemble(std::vector<RankLocation> ranks, std::span<const std::uint64_t> fingerprints,
                           std::span<const std::string> machine_json);

// An offline job: place() on a topology, every rank on the same description.
Result<Placement> offline_placement(Topology topology, int ranks);

// The slower of all machines of the job.
[[nodiscard]] LinkParameters between(const Placement& placement, Level level, HostLinks links = HostLinks::expected);

// A location in few bytes of JSON, for the exchange.
[[nodiscard]] std::string to_json(const RankLocation& location);
Result<RankLocation> location_from_json(std::string_view text);

}  // namespace tutti
