#include "transports/verbs/ports.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/config.h"
#include "transports/verbs/networks.h"

namespace tutti::verbs {
namespace {

struct Item {
  std::string_view name;
  int port = 0;  // 0: any
  bool exact = false;
  bool exclude = false;

  [[nodiscard]] bool matches(const Port& p) const {
    return (exact ? p.device == name : p.device.starts_with(name)) && (port == 0 || port == p.number);
  }
};

Error bad_spec(std::string_view spec, std::string_view item) {
  return {
      Code::invalid_argument,
      fmt::format(
          "TUTTI_IB_DEVICES=\"{}\": \"{}\" is no device; write names or prefixes separated by commas (mlx5_0), perhaps with a "
          "port (mlx5_0:1), =name for an exact one, ^name to exclude it",
          spec, item)};
}

Result<Item> parse_item(std::string_view spec, std::string_view text, bool exclude, bool exact) {
  Item item;
  item.exact = exact;
  item.exclude = exclude;
  std::string_view rest = text;
  const auto begins_with = [&rest](char mark) {
    const bool begins = rest.starts_with(mark);
    if (begins) rest.remove_prefix(1);
    return begins;
  };
  item.exclude |= begins_with('^');
  item.exact |= begins_with('=');
  const auto colon = rest.find(':');
  item.name = rest.substr(0, colon);
  if (colon != std::string_view::npos) {
    const std::string_view port = rest.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), item.port);
    if (error != std::errc{} || end != port.data() + port.size() || item.port < 1 || item.port > 255) return bad_spec(spec, text);
  }
  if (item.name.empty()) return bad_spec(spec, text);
  return item;
}

// The items point into `words`.
Result<std::vector<Item>> parse(std::string_view spec, const std::vector<std::string>& words) {
  const bool exclude = spec.starts_with('^'), exact = spec.substr(exclude ? 1 : 0).starts_with('=');
  std::vector<Item> items;
  for (const std::string& word : words) {
    auto item = parse_item(spec, word, exclude, exact);
    if (!item) return std::move(item.error());
    items.push_back(*item);
  }
  return items;
}

bool wanted(const std::vector<Item>& items, const Port& port) {
  const auto matches = [&](const Item& item) { return item.matches(port); };
  const bool only_excludes = std::ranges::all_of(items, &Item::exclude);
  bool named = only_excludes;
  for (const Item& item : items)
    if (matches(item)) {
      if (item.exclude) return false;
      named = true;
    }
  return named;
}

std::string states_of(std::span<const Port> ports, const std::vector<std::size_t>& which) {
  std::vector<std::string> texts;
  texts.reserve(which.size());
  for (const std::size_t i : which) texts.push_back(fmt::format("{} is {}", ports[i].to_string(), name(ports[i].state)));
  return fmt::format("{}", fmt::join(texts, ", "));
}

Fabric fabric_of(const Port& port, const ibv_gid_entry& entry) {
  if (!port.ethernet) return Fabric::infiniband;
  if (entry.gid_type != IBV_GID_TYPE_ROCE_V2) return Fabric::roce_v1;
  return is_ipv4(entry.gid) ? Fabric::roce_ipv4 : Fabric::roce_ipv6;
}

// The lower the better.
int rank_of(const Port& port, const ibv_gid_entry& entry) {
  switch (fabric_of(port, entry)) {
    case Fabric::roce_ipv4:
      return 0;
    case Fabric::roce_ipv6:
      return is_link_local(entry.gid) ? 2 : 1;
    case Fabric::roce_v1:
      return 3;
    case Fabric::infiniband:
    case Fabric::none:
      break;
  }
  return 0;
}

std::string gids_of(const Port& port) {
  std::vector<std::string> texts;
  texts.reserve(port.gids.size());
  for (const ibv_gid_entry& entry : port.gids)
    texts.push_back(fmt::format("{} ({}, {})", entry.gid_index, to_string(entry.gid), kind(fabric_of(port, entry))));
  return texts.empty() ? "none" : fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace

std::string_view kind(Fabric fabric) noexcept {
  switch (fabric) {
    case Fabric::none:
      return "nothing";
    case Fabric::infiniband:
      return "InfiniBand";
    case Fabric::roce_ipv4:
      return "RoCE v2 over IPv4";
    case Fabric::roce_ipv6:
      return "RoCE v2 over IPv6";
    case Fabric::roce_v1:
      return "RoCE v1";
  }
  return "?";
}

std::string_view name(ibv_port_state state) noexcept {
  switch (state) {
    case IBV_PORT_DOWN:
      return "down";
    case IBV_PORT_INIT:
      return "waiting for a subnet manager";
    case IBV_PORT_ARMED:
      return "armed";
    case IBV_PORT_ACTIVE:
      return "active";
    default:
      return "in no known state";
  }
}

std::string Port::to_string() const { return fmt::format("port {} of {}", number, device); }

std::string to_string(const ibv_gid& gid) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  return inet_ntop(AF_INET6, gid.raw, text.data(), text.size()) != nullptr ? text.data() : "?";
}

// Source: InfiniBand Architecture Specification 1, PortInfo (LinkSpeedActive, LinkWidthActive).
std::uint32_t megabits(const ibv_port_attr& attributes) noexcept {
  struct Row {
    unsigned value;
    std::uint32_t number;
  };
  constexpr std::array kSpeeds{Row{1, 2500},   Row{2, 5000},   Row{4, 10000},  Row{8, 10000},
                               Row{16, 14000}, Row{32, 25000}, Row{64, 50000}, Row{128, 100000}};
  constexpr std::array kWidths{Row{1, 1}, Row{2, 4}, Row{4, 8}, Row{8, 12}, Row{16, 2}};
  const auto speed = std::ranges::find(kSpeeds, unsigned{attributes.active_speed}, &Row::value);
  const auto width = std::ranges::find(kWidths, unsigned{attributes.active_width}, &Row::value);
  return (speed == kSpeeds.end() ? kSpeeds.front() : *speed).number * (width == kWidths.end() ? 1 : width->number);
}

Result<std::vector<std::size_t>> choose_ports(std::string_view spec, std::span<const Port> ports) {
  const std::vector<std::string> words = split_list(spec);
  auto items = parse(spec, words);
  if (!items) return std::move(items.error());
  if (ports.empty()) return Error(Code::environment, "there is no RDMA device");
  std::vector<std::size_t> all, named, active;
  for (std::size_t i = 0; i < ports.size(); ++i) {
    all.push_back(i);
    if (!wanted(*items, ports[i])) continue;
    named.push_back(i);
    if (ports[i].state == IBV_PORT_ACTIVE) active.push_back(i);
  }
  if (named.empty())
    return Error(Code::environment, fmt::format("TUTTI_IB_DEVICES=\"{}\" leaves no port of an RDMA device; there are: {}", spec,
                                                states_of(ports, all)));
  if (active.empty()) return Error(Code::environment, states_of(ports, named));
  return active;
}

Status check_spec(std::string_view spec) {
  const std::vector<std::string> words = split_list(spec);
  auto items = parse(spec, words);
  return items ? Status{} : std::move(items.error());
}

std::vector<std::string> unmatched(std::string_view spec, std::span<const Port> ports) {
  std::vector<std::string> words = split_list(spec);
  const auto items = parse(spec, words);
  std::vector<std::string> none;
  for (std::size_t i = 0; items && i < items->size(); ++i)
    if (std::ranges::none_of(ports, [&](const Port& port) { return (*items)[i].matches(port); })) none.push_back(words[i]);
  return none;
}

Status choose_gid(Port& port, int index) {
  const ibv_gid_entry* best = nullptr;
  for (const ibv_gid_entry& entry : port.gids) {
    const bool eligible = index < 0 || entry.gid_index == static_cast<std::uint32_t>(index);
    if (eligible && (best == nullptr || rank_of(port, entry) < rank_of(port, *best))) best = &entry;
  }
  if (best == nullptr && index >= 0)
    return Error(Code::environment,
                 fmt::format("TUTTI_IB_GID_INDEX={}: {} has no such GID; there are: {}", index, port.to_string(), gids_of(port)));
  if (best == nullptr) return Error(Code::environment, fmt::format("{} has no GID, that is, no address", port.to_string()));
  port.gid = *best;
  port.fabric = fabric_of(port, *best);
  return {};
}

namespace {

void put_near_first(std::vector<Port>& ports, std::span<const std::string> near) {
  const auto is_near = [&](const Port& port) { return std::ranges::find(near, port.pci) != near.end(); };
  if (std::ranges::none_of(ports, is_near)) return;
  for (Port& port : ports) port.near = is_near(port);
  std::ranges::stable_partition(ports, &Port::near);
}

}  // namespace

Result<UsedPorts> used_ports(std::string_view spec, int gid_index, std::span<const std::string> near,
                             std::span<const Port> ports) {
  auto chosen = choose_ports(spec, ports);
  if (!chosen) return std::move(chosen.error());
  UsedPorts used;
  for (const std::size_t i : *chosen) {
    Port port = ports[i];
    if (Status has_gid = choose_gid(port, gid_index); has_gid)
      used.ports.push_back(std::move(port));
    else if (gid_index >= 0)
      return std::move(has_gid.error());
    else
      used.left_out.push_back(std::move(has_gid.error()));
  }
  if (used.ports.empty()) return std::move(used.left_out.front());
  if (spec.empty() || spec.starts_with('^')) put_near_first(used.ports, near);
  used.ports.resize(std::min(used.ports.size(), kMostRails));
  return used;
}

}  // namespace tutti::verbs
