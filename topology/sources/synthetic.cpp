#include "topology/sources/synthetic.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "core/config.h"
#include "topology/cpus.h"

namespace tutti {
namespace {

enum class Unit : std::uint8_t { node, package, group, numa, l3, l2, l1, core, pu, gpu, nic };

// hwloc's names for the same things are understood, but for "node", which is a host here.
constexpr struct {
  std::string_view word;
  Unit unit;
} kWords[] = {
    {"node", Unit::node},    {"host", Unit::node},      {"machine", Unit::node}, {"package", Unit::package},
    {"pack", Unit::package}, {"socket", Unit::package}, {"group", Unit::group},  {"die", Unit::group},
    {"numa", Unit::numa},    {"numanode", Unit::numa},  {"l3", Unit::l3},        {"l3cache", Unit::l3},
    {"l2", Unit::l2},        {"l2cache", Unit::l2},     {"l1", Unit::l1},        {"l1d", Unit::l1},
    {"l1i", Unit::l1},       {"l1cache", Unit::l1},     {"l1dcache", Unit::l1},  {"l1icache", Unit::l1},
    {"core", Unit::core},    {"pu", Unit::pu},          {"gpu", Unit::gpu},      {"nic", Unit::nic},
};

constexpr std::string_view kKnown = "node, package, numa, l3, core, pu, gpu, nic";
constexpr std::array<std::string_view, 8> kOptions{"net", "net_latency", "pcie", "nvlink", "memory", "gpu_memory", "l3", "l2"};
constexpr std::string_view kSpace = " \t\r\n";
constexpr std::uint64_t kMaxCount = 1'000'000;

struct Count {
  Unit unit;
  int count;
};

struct Description {
  std::vector<Count> levels;  // outermost first, as written
  int gpus = 0, nics = 0;
  double net_gbps = 0, net_latency_us = 0, pcie_gbps = 0, nvlink_gbps = 0;
  std::uint64_t numa_memory = 0, gpu_memory = 0, l3_bytes = 0, l2_bytes = 0;
};

Error bad(std::string_view what) { return {Code::invalid_argument, fmt::format("synthetic topology: {}", what)}; }

std::string_view brief(std::string_view word) { return word.substr(0, 60); }

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return result;
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value) || value <= 0) return std::nullopt;
  return value;
}

struct Scale {
  std::string_view unit;
  double factor;
};

// A positive number with one of the units behind it.
std::optional<double> parse_quantity(std::string_view text, std::span<const Scale> scales) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const auto value = parse_number(text.substr(0, digits));
  if (!value) return std::nullopt;
  for (const Scale& scale : scales) {
    if (text.substr(digits) == scale.unit) return *value * scale.factor;
  }
  return std::nullopt;
}

constexpr std::array<Scale, 6> kRates = {
    {{"GB/s", 1}, {"MB/s", 1e-3}, {"Gb/s", 0.125}, {"Gbit/s", 0.125}, {"Mb/s", 0.125e-3}, {"Mbit/s", 0.125e-3}}};
constexpr std::array<Scale, 3> kTimes = {{{"us", 1}, {"ns", 1e-3}, {"ms", 1e3}}};

Status read_rate(std::string_view key, std::string_view value, double& target) {
  const auto parsed = parse_quantity(value, kRates);
  if (!parsed) return bad(fmt::format("{}={} is no speed; write one like 12.5GB/s or 100Gb/s", key, brief(value)));
  target = *parsed;
  return {};
}

Status read_time(std::string_view key, std::string_view value, double& target) {
  const auto parsed = parse_quantity(value, kTimes);
  if (!parsed) return bad(fmt::format("{}={} is no time; write one like 2us or 800ns", key, brief(value)));
  target = *parsed;
  return {};
}

Status read_size(std::string_view key, std::string_view value, std::uint64_t& target) {
  const auto parsed = parse_bytes(value);
  if (!parsed || *parsed == 0) return bad(fmt::format("{}={} is no size; write one like 32MiB", key, brief(value)));
  target = *parsed;
  return {};
}

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  Result<Description> parse() {
    for (std::string_view word = next_word(); !word.empty(); word = next_word()) {
      if (Status status = read_word(word); !status) return std::move(status.error());
    }
    if (Status status = finish(); !status) return std::move(status.error());
    return std::move(description_);
  }

 private:
  // Up to white space that is in no bracket.
  std::string_view next_word() {
    const std::size_t begin = rest_.find_first_not_of(kSpace);
    if (begin == std::string_view::npos) return {};
    rest_.remove_prefix(begin);
    int depth = 0;
    std::size_t end = 0;
    for (; end < rest_.size(); ++end) {
      const char c = rest_[end];
      if (c == '(' || c == '[') ++depth;
      if (c == ')' || c == ']') --depth;
      if (depth <= 0 && kSpace.find(c) != std::string_view::npos) break;
    }
    const std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return word;
  }

  Status read_word(std::string_view word) {
    if (word.starts_with('[')) return read_attached(word);
    const std::size_t end = word.find_first_of(":=(");
    if (end != std::string_view::npos && word[end] == '=') return read_option(word.substr(0, end), word.substr(end + 1));
    const auto unit = find_unit(word.substr(0, end));
    if (!unit) return unknown(word, word.substr(0, end));
    std::uint64_t count = 1;
    std::string_view rest = end == std::string_view::npos ? std::string_view() : word.substr(end);
    if (rest.starts_with(':')) {
      const auto [stop, error] = std::from_chars(rest.data() + 1, rest.data() + rest.size(), count);
      if (error != std::errc{} || count == 0 || count > kMaxCount) {
        return bad(fmt::format("the count of \"{}\" is not a number from 1 to {}", brief(word), kMaxCount));
      }
      rest.remove_prefix(static_cast<std::size_t>(stop - rest.data()));
    } else {
      return bad(fmt::format("\"{}\" has no count; write {}:1", brief(word), brief(word.substr(0, end))));
    }
    if (Status status = read_attributes(*unit, rest, word); !status) return status;
    return add(*unit, static_cast<int>(count), word);
  }

  static Error unknown(std::string_view word, std::string_view name) {
    if (std::ranges::find(kOptions, name) != kOptions.end())
      return bad(fmt::format("\"{}\": {} is an option; write {}=VALUE", brief(word), name, name));
    return bad(fmt::format("\"{}\" is unknown; known are {} and the options {}", brief(word), kKnown, fmt::join(kOptions, ", ")));
  }

  static std::optional<Unit> find_unit(std::string_view word) {
    const std::string small = lower(word.substr(0, 20));
    const auto found = std::find_if(std::begin(kWords), std::end(kWords), [&](const auto& known) { return known.word == small; });
    if (found == std::end(kWords)) return std::nullopt;
    return found->unit;
  }

  // "(size=32MiB memory=8GiB)", also with commas. Attributes that say nothing here (hwloc's indexes=) are passed over.
  Status read_attributes(Unit unit, std::string_view text, std::string_view word) {
    if (text.empty()) return {};
    if (!text.starts_with('(') || !text.ends_with(')'))
      return bad(fmt::format("\"{}\" has something odd behind its count", brief(word)));
    text = text.substr(1, text.size() - 2);
    while (!text.empty()) {
      const std::size_t begin = text.find_first_not_of(" ,\t");
      if (begin == std::string_view::npos) break;
      text.remove_prefix(begin);
      const std::string_view one = text.substr(0, text.find_first_of(" \t"));
      const std::size_t equals = one.find('=');
      if (equals == std::string_view::npos) return bad(fmt::format("\"{}\" has an attribute without a value", brief(word)));
      const std::size_t end = one.starts_with("indexes=") ? one.size() : std::min(one.find(','), one.size());
      if (Status status = read_attribute(unit, one.substr(0, equals), one.substr(equals + 1, end - equals - 1), word); !status)
        return status;
      text.remove_prefix(end);
    }
    return {};
  }

  Status read_attribute(Unit unit, std::string_view key, std::string_view value, std::string_view word) {
    if (key == "size" && unit == Unit::l3) return read_size(key, value, description_.l3_bytes);
    if (key == "size" && unit == Unit::l2) return read_size(key, value, description_.l2_bytes);
    if (key == "memory" && unit == Unit::gpu) return read_size(key, value, description_.gpu_memory);
    if (key == "memory") return read_size(key, value, description_.numa_memory);
    if (key == "size" || key == "indexes" || key == "memorysidecachesize") return {};
    return bad(fmt::format("\"{}\" has the unknown attribute {}", brief(word), brief(key)));
  }

  // hwloc 2's "[numa]" or "[numa(memory=8GiB)]": memory attached to what stands before it.
  Status read_attached(std::string_view word) {
    if (!word.ends_with(']')) return bad(fmt::format("\"{}\" is not closed", brief(word)));
    const std::string_view inside = word.substr(1, word.size() - 2);
    const std::size_t end = std::min(inside.find('('), inside.size());
    if (find_unit(inside.substr(0, end)) != Unit::numa)
      return bad(fmt::format("\"{}\": only [numa] can be attached", brief(word)));
    if (has(Unit::numa)) return bad("numa twice");
    if (has(Unit::core) || has(Unit::pu)) return bad("[numa] cannot stand inside of a core");
    description_.levels.push_back({Unit::numa, 1});
    return read_attributes(Unit::numa, inside.substr(end), word);
  }

  Status read_option(std::string_view key, std::string_view value) {
    Description& d = description_;
    if (key == "net") return read_rate(key, value, d.net_gbps);
    if (key == "net_latency") return read_time(key, value, d.net_latency_us);
    if (key == "pcie") return read_rate(key, value, d.pcie_gbps);
    if (key == "nvlink") return read_rate(key, value, d.nvlink_gbps);
    if (key == "memory") return read_size(key, value, d.numa_memory);
    if (key == "gpu_memory") return read_size(key, value, d.gpu_memory);
    if (key == "l3") return read_size(key, value, d.l3_bytes);
    if (key == "l2") return read_size(key, value, d.l2_bytes);
    return bad(fmt::format("unknown option {}=; known are {}", brief(key), fmt::join(kOptions, ", ")));
  }

  [[nodiscard]] bool has(Unit unit) const {
    return std::any_of(description_.levels.begin(), description_.levels.end(), [&](const Count& c) { return c.unit == unit; });
  }

  Status add(Unit unit, int count, std::string_view word) {
    if (unit == Unit::gpu || unit == Unit::nic) {
      int& devices = unit == Unit::gpu ? description_.gpus : description_.nics;
      if (devices != 0) return bad(fmt::format("\"{}\": that kind stands twice", brief(word)));
      devices = count;
      return {};
    }
    if (unit != Unit::group && unit != Unit::l1 && has(unit))
      return bad(fmt::format("\"{}\": that kind stands twice", brief(word)));
    if (unit == Unit::node && !description_.levels.empty()) return bad("node (hosts) must come first");
    if (has(Unit::pu)) return bad(fmt::format("\"{}\" stands inside of pu, the innermost", brief(word)));
    if (has(Unit::core) && unit != Unit::pu) return bad(fmt::format("\"{}\" stands inside of core; only pu may", brief(word)));
    description_.levels.push_back({unit, count});
    return {};
  }

  Status finish() {
    std::vector<Count>& levels = description_.levels;
    if (!has(Unit::core) && !has(Unit::pu)) return bad("there is no core:N");
    if (!has(Unit::core)) {
      // hwloc's "numa:2 pu:4": every PU is a core.
      levels.back().unit = Unit::core;
    }
    if (!has(Unit::pu)) levels.push_back({Unit::pu, 1});
    if (!has(Unit::node)) levels.insert(levels.begin(), {Unit::node, 1});
    return check_size();
  }

  Status check_size() const {
    std::uint64_t product = 1, nodes = 1;
    for (const Count& level : description_.levels) {
      if (level.unit == Unit::pu) {
        if (static_cast<std::size_t>(level.count) > kMaxCpusPerCore) {
          return bad(fmt::format("pu:{} is more than {} in one core", level.count, kMaxCpusPerCore));
        }
        continue;
      }
      product *= static_cast<std::uint64_t>(level.count);
      nodes += product;
      if (nodes > kMaxTopologyNodes) return bad(fmt::format("more than {} things in all", kMaxTopologyNodes));
    }
    const auto devices = static_cast<std::uint64_t>(description_.gpus) + static_cast<std::uint64_t>(description_.nics) + 1;
    nodes += devices * static_cast<std::uint64_t>(description_.levels.front().count);
    if (nodes > kMaxTopologyNodes) return bad(fmt::format("more than {} things in all", kMaxTopologyNodes));
    return {};
  }

  std::string_view rest_;
  Description description_;
};

std::optional<NodeKind> node_kind(Unit unit) {
  switch (unit) {
    case Unit::node:
      return NodeKind::machine;
    case Unit::package:
      return NodeKind::package;
    case Unit::numa:
      return NodeKind::numa;
    case Unit::l3:
      return NodeKind::l3;
    case Unit::core:
      return NodeKind::core;
    case Unit::gpu:
      return NodeKind::gpu;
    case Unit::nic:
      return NodeKind::nic;
    case Unit::group:
    case Unit::l2:
    case Unit::l1:
    case Unit::pu:
      return std::nullopt;  // not in the graph
  }
  return std::nullopt;
}

class Maker {
 public:
  explicit Maker(const Description& description) : description_(description) {}

  Topology make() {
    const int machines = description_.levels.front().count;
    std::vector<NodeId> ends;  // what is plugged into the network
    for (int i = 0; i < machines; ++i) machine(ends);
    if (machines > 1 || description_.nics > 0 || description_.net_gbps > 0) network(ends);
    return std::move(topology_);
  }

 private:
  NodeId add(NodeKind kind, NodeId parent) {
    Node node;
    node.kind = kind;
    node.parent = parent;
    if (kind == NodeKind::numa) node.memory_bytes = description_.numa_memory;
    if (kind == NodeKind::gpu) node.memory_bytes = description_.gpu_memory;
    if (kind == NodeKind::l3) node.cache_bytes = description_.l3_bytes;
    if (kind == NodeKind::core) node.cache_bytes = description_.l2_bytes;
    topology_.nodes.push_back(std::move(node));
    return static_cast<NodeId>(topology_.nodes.size() - 1);
  }

  void machine(std::vector<NodeId>& ends) {
    next_cpu_ = 0;
    homes_.clear();
    const NodeId root = add(NodeKind::machine, kNoNode);
    if (!has(Unit::numa)) homes_.push_back(root);
    inside(1, root);
    const std::vector<NodeId> gpus = devices(NodeKind::gpu, description_.gpus);
    const std::vector<NodeId> nics = devices(NodeKind::nic, description_.nics);
    if (description_.nvlink_gbps > 0 && !gpus.empty()) switched(root, gpus);
    if (nics.empty()) ends.push_back(root);
    ends.insert(ends.end(), nics.begin(), nics.end());
  }

  [[nodiscard]] bool has(Unit unit) const {
    return std::any_of(description_.levels.begin(), description_.levels.end(), [&](const Count& c) { return c.unit == unit; });
  }

  // Fills `parent` with what stands from this level on.
  void inside(std::size_t level, NodeId parent) {
    const Count& here = description_.levels[level];
    const auto kind = node_kind(here.unit);
    for (int i = 0; i < here.count; ++i) {
      const NodeId id = kind ? add(*kind, parent) : parent;
      if (kind == NodeKind::numa) homes_.push_back(id);
      if (kind == NodeKind::core) {
        for (int pu = 0; pu < description_.levels.back().count; ++pu) topology_.nodes.back().cpus.push_back(next_cpu_++);
      } else {
        inside(level + 1, id);
      }
    }
  }

  // `count` devices spread evenly over the host's NUMA nodes.
  std::vector<NodeId> devices(NodeKind kind, int count) {
    std::vector<NodeId> ids;
    for (int i = 0; i < count; ++i) {
      const std::size_t home = static_cast<std::size_t>(i) * homes_.size() / static_cast<std::size_t>(count);
      ids.push_back(add(kind, homes_[home]));
      topology_.nodes.back().name = fmt::format("{}{}", name(kind), i);
      if (description_.pcie_gbps > 0) link(homes_[home], ids.back(), LinkKind::pcie, description_.pcie_gbps, 0);
    }
    return ids;
  }

  void switched(NodeId root, const std::vector<NodeId>& gpus) {
    const NodeId nvswitch = add(NodeKind::nvswitch, root);
    for (const NodeId gpu : gpus) link(gpu, nvswitch, LinkKind::nvlink, description_.nvlink_gbps, 0);
  }

  void network(const std::vector<NodeId>& ends) {
    const NodeId net = add(NodeKind::net_switch, kNoNode);
    topology_.nodes.back().name = "network";
    for (const NodeId end : ends) link(end, net, LinkKind::network, description_.net_gbps, description_.net_latency_us);
  }

  void link(NodeId a, NodeId b, LinkKind kind, double gbps, double latency_us) {
    topology_.links.push_back({a, b, kind, Origin::synthetic, gbps, latency_us});
  }

  const Description& description_;
  Topology topology_;
  std::vector<NodeId> homes_;  // where devices of the machine at hand live
  int next_cpu_ = 0;
};

}  // namespace

Result<Topology> topology_from_synthetic(std::string_view text) {
  auto description = Parser(text).parse();
  if (!description) return std::move(description.error());
  Topology topology = Maker(*description).make();
  if (Status status = check(topology); !status) return bad(status.error().message());
  return topology;
}

}  // namespace tutti
