#include "transports/tcp/interfaces.h"

#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>
#include <tuple>

namespace tutti {
namespace {

// One item of the list: a name (or the beginning of one), or a network.
struct Item {
  bool excludes = false;
  bool exact = false;
  std::string name;                      // used when there is no network
  std::optional<SocketAddress> network;  // an address is a network of all its bits
  int prefix_bits = 0;
};

Error malformed(std::string_view spec, std::string_view why) {
  return {Code::invalid_argument,
          fmt::format("interface list '{}': {}; expected names or their beginnings, addresses or networks separated by commas "
                      "('eth0', '=eth0', '^docker', '10.0.0.0/24', 'fe80::/10')",
                      spec, why)};
}

Result<Item> parse_network(std::string_view spec, std::string_view text, Item item) {
  const std::size_t slash = text.find('/');
  auto address = SocketAddress::parse(text.substr(0, slash));
  if (!address) return malformed(spec, address.error().message());
  const int bits = address->family() == AF_INET ? 32 : 128;
  item.prefix_bits = bits;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), item.prefix_bits);
    if (failed != std::errc() || end != digits.data() + digits.size() || item.prefix_bits < 0 || item.prefix_bits > bits)
      return malformed(spec, fmt::format("'{}' needs a prefix length from 0 to {} after its slash", text, bits));
  }
  item.network = *address;
  return item;
}

Result<Item> parse_item(std::string_view spec, std::string_view text, bool all_exclude, bool all_exact) {
  Item item{.excludes = all_exclude, .exact = all_exact, .name = {}, .network = {}, .prefix_bits = 0};
  if (text.starts_with('^')) {
    item.excludes = true;
    text.remove_prefix(1);
  }
  if (text.starts_with('=')) {
    item.exact = true;
    text.remove_prefix(1);
  }
  if (text.empty()) return malformed(spec, "an item is empty");
  const bool is_network = text.find('/') != std::string_view::npos || text.find('%') != std::string_view::npos ||
                          static_cast<bool>(SocketAddress::parse(text));
  if (is_network) return parse_network(spec, text, std::move(item));
  if (text.find_first_of(" \t^=") != std::string_view::npos)
    return malformed(spec, fmt::format("'{}' is not the name of an interface", text));
  if (text.size() >= IF_NAMESIZE)
    return malformed(spec, fmt::format("'{}' is longer than a name can be ({} characters)", text, IF_NAMESIZE - 1));
  item.name = text;
  return item;
}

Result<std::vector<Item>> parse_spec(std::string_view spec) {
  std::vector<Item> items;
  std::string_view rest = spec;
  if (rest.empty()) return items;
  const bool all_exclude = rest.starts_with('^');
  if (all_exclude) rest.remove_prefix(1);
  const bool all_exact = rest.starts_with('=');
  if (all_exact) rest.remove_prefix(1);
  if (rest.starts_with('^') || rest.starts_with('=')) return malformed(spec, "'^' and '=' stand once, in this order");
  while (true) {
    const std::size_t comma = rest.find(',');
    auto item = parse_item(spec, rest.substr(0, comma), all_exclude, all_exact);
    if (!item) return std::move(item.error());
    items.push_back(*std::move(item));
    if (comma == std::string_view::npos) return items;
    rest.remove_prefix(comma + 1);
  }
}

bool matches(const Item& item, const InterfaceAddress& candidate) {
  if (item.network) {
    const std::uint32_t scope = item.network->scope();
    return candidate.address.in_network(*item.network, item.prefix_bits) && (scope == 0 || scope == candidate.address.scope());
  }
  return item.exact ? candidate.name == item.name : candidate.name.starts_with(item.name);
}

bool is_container_bridge(std::string_view name) {
  constexpr std::array<std::string_view, 3> kPrefixes{"docker", "virbr", "br-"};
  return std::ranges::any_of(kPrefixes, [&](std::string_view prefix) { return name.starts_with(prefix); });
}

int address_class(const SocketAddress& address) {
  return (address.family() == AF_INET ? 0 : 1) + (address.is_link_local() ? 2 : 0);
}

// Which of the includes it satisfies, the earlier the better; nothing when it is excluded.
std::optional<std::size_t> preference(const std::vector<Item>& items, const InterfaceAddress& candidate) {
  bool any_include = false, any_exclude = false;
  std::optional<std::size_t> first;
  for (std::size_t i = 0; i < items.size(); ++i) {
    (items[i].excludes ? any_exclude : any_include) = true;
    if (!matches(items[i], candidate)) continue;
    if (items[i].excludes) return std::nullopt;
    if (!first) first = i;
  }
  if (any_include) return first;
  // Who excludes by hand has looked at the list.
  if (!any_exclude && is_container_bridge(candidate.name)) return std::nullopt;
  return 0;
}

std::string list_of(std::span<const InterfaceAddress> available) {
  std::string text;
  for (const InterfaceAddress& each : available)
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", each.to_string(), each.up ? "" : " (down)");
  return text.empty() ? "none with an address" : text;
}

}  // namespace

std::string InterfaceAddress::to_string() const { return name + " " + address.host(); }

Result<std::vector<InterfaceAddress>> list_interfaces() {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return system_error(errno, "listing the network interfaces");
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(first, freeifaddrs);
  std::vector<InterfaceAddress> all;
  for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
    const SocketAddress address(each->ifa_addr);
    if (address.family() == AF_UNSPEC) continue;
    const unsigned flags = each->ifa_flags;
    all.push_back({each->ifa_name, address, (flags & IFF_UP) != 0, (flags & IFF_RUNNING) != 0, (flags & IFF_LOOPBACK) != 0});
  }
  return all;
}

Result<InterfaceAddress> choose_interface(std::string_view spec) {
  auto available = list_interfaces();
  if (!available) return std::move(available.error());
  return choose_interface(spec, *available);
}

Result<InterfaceAddress> choose_interface(std::string_view spec, std::span<const InterfaceAddress> available) {
  auto items = parse_spec(spec);
  if (!items) return std::move(items.error());
  using Key = std::tuple<std::size_t, bool, bool, bool, int>;
  std::optional<Key> best;
  const InterfaceAddress* chosen = nullptr;
  for (const InterfaceAddress& each : available) {
    const auto wish = each.up ? preference(*items, each) : std::nullopt;
    if (!wish) continue;
    // A whole name beats the beginning of a longer one: eth1 is not eth10.
    const bool only_begins = !items->empty() && !(*items)[*wish].network && (*items)[*wish].name != each.name;
    const Key key{*wish, only_begins, each.loopback, !each.running, address_class(each.address)};
    if (best && *best <= key) continue;
    best = key;
    chosen = &each;
  }
  if (chosen != nullptr) return *chosen;
  if (spec.empty()) return Error(Code::environment, fmt::format("no network interface is up; there are: {}", list_of(available)));
  return Error(Code::environment,
               fmt::format("no network interface that is up matches '{}'; there are: {}", spec, list_of(available)));
}

}  // namespace tutti
