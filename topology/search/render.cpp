#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "tutti/route_search.h"

namespace tutti {
namespace {

constexpr std::size_t kRowsShown = 16, kRanksShown = 24;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

std::string plural(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string label(const Topology& topology, NodeId id) {
  const Node& node = topology.nodes[at(id)];
  if (!node.name.empty()) return node.name;
  return node.pci_bus_id.empty() ? fmt::format("{} {}", name(node.kind), id) : node.pci_bus_id;
}

std::string through(const Topology& topology, NodeId port) {
  return port == kNoNode ? "" : fmt::format(" through {}", label(topology, port));
}

template <class T>
std::string list(const std::vector<T>& all) {
  const std::size_t shown = std::min(all.size(), kRanksShown);
  return fmt::format("{}{}", fmt::join(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(shown), " "),
                     shown < all.size() ? " ..." : "");
}

double ratio(double reached, double bound) { return bound > 0 ? reached / bound : 0; }

std::string sum(std::string_view what, std::size_t count, double reached, double bound) {
  if (count == 0) return fmt::format("{}s: none (at most {:.4g} GB/s)\n", what, bound);
  return fmt::format("{}: {:.4g} GB/s of at most {:.4g} ({:.0f} %)\n", plural(count, what), reached, bound,
                     100 * ratio(reached, bound));
}

// Rows of equal kind, the first ones only.
template <class Found, class Row>
std::string rows(const std::vector<Found>& all, Row row) {
  std::string text;
  for (std::size_t i = 0; i < std::min(all.size(), kRowsShown); ++i) text += "  " + row(all[i]) + "\n";
  if (all.size() > kRowsShown) text += fmt::format("  ... and {} more\n", all.size() - kRowsShown);
  return text;
}

std::string describe(const LevelGroups& level) {
  std::map<int, std::size_t> size;
  for (const int group : level.group_of) ++size[group];
  std::size_t least = level.group_of.size(), most = 0;
  for (const auto& [group, ranks] : size) {
    least = std::min(least, ranks);
    most = std::max(most, ranks);
  }
  return fmt::format("{:<8} {} of {} ranks", name(level.level), plural(size.size(), "group"),
                     least == most ? fmt::format("{}", most) : fmt::format("{} to {}", least, most));
}

std::string_view words(Nearness nearness) {
  switch (nearness) {
    case Nearness::pci_switch:
      return "on their PCIe switch";
    case Nearness::package:
      return "at their package";
    case Nearness::host:
      return "at another package";
  }
  return "?";
}

struct Served {
  NodeId nic = kNoNode;
  Nearness nearness = Nearness::host;
  double gbps = 0;
  std::vector<Rank> ranks;
};

// By NIC, in the order of their first ranks.
std::vector<Served> served(const RouteSearch& search) {
  std::vector<Served> result;
  std::map<NodeId, std::size_t> place;
  for (std::size_t r = 0; r < search.rails.size(); ++r) {
    const Rail& rail = search.rails[r];
    if (rail.nic == kNoNode) continue;
    const auto [found, fresh] = place.try_emplace(rail.nic, result.size());
    if (fresh) result.push_back({rail.nic, rail.nearness, rail.gbps, {}});
    Served& nic = result[found->second];
    nic.nearness = std::max(nic.nearness, rail.nearness);
    nic.gbps = std::min(nic.gbps, rail.gbps);
    nic.ranks.push_back(static_cast<Rank>(r));
  }
  return result;
}

std::string describe(const Topology& topology, const Served& nic) {
  return fmt::format("{:<8} {:>7.4g} GB/s  {} {}, {}{}", label(topology, nic.nic), nic.gbps,
                     nic.ranks.size() == 1 ? "rank" : "ranks", list(nic.ranks), words(nic.nearness),
                     nic.ranks.size() > 1 ? fmt::format(", shared by {}", nic.ranks.size()) : "");
}

// ---- as JSON

using Json = nlohmann::ordered_json;

Json node_json(const Topology& topology, NodeId id) { return id == kNoNode ? Json() : Json(label(topology, id)); }

// What was found of a kind, and how near that is to what the links allow.
Json found_json(double gbps, double bound_gbps, Json found) {
  return {{"gbps", gbps}, {"bound_gbps", bound_gbps}, {"ratio", ratio(gbps, bound_gbps)}, {"found", std::move(found)}};
}

Json rings_json(const RouteSearch& search, const Topology& topology) {
  Json found = Json::array();
  for (const FoundRing& ring : search.rings)
    found.push_back({{"gbps", ring.gbps}, {"port", node_json(topology, ring.port)}, {"order", ring.order}});
  return found_json(search.ring_gbps(), search.ring_bound_gbps, std::move(found));
}

Json trees_json(const RouteSearch& search, const Topology& topology) {
  Json found = Json::array();
  for (const FoundTree& tree : search.trees)
    found.push_back(
        {{"gbps", tree.gbps}, {"depth", tree.depth}, {"port", node_json(topology, tree.port)}, {"parent", tree.parent}});
  return found_json(search.tree_gbps(), search.tree_bound_gbps, std::move(found));
}

Json levels_json(const RouteSearch& search) {
  Json levels = Json::array();
  for (const LevelGroups& level : search.levels) levels.push_back({{"level", name(level.level)}, {"group_of", level.group_of}});
  return levels;
}

Json rails_json(const RouteSearch& search, const Topology& topology) {
  Json rails = Json::array();
  for (const Rail& rail : search.rails)
    rails.push_back({{"nic", node_json(topology, rail.nic)},
                     {"nearness", rail.nic == kNoNode ? Json() : Json(name(rail.nearness))},
                     {"gbps", rail.gbps},
                     {"sharers", rail.sharers}});
  return rails;
}

}  // namespace

std::string_view name(Nearness nearness) noexcept {
  switch (nearness) {
    case Nearness::pci_switch:
      return "pci_switch";
    case Nearness::package:
      return "package";
    case Nearness::host:
      return "host";
  }
  return "?";
}

std::string render(const RouteSearch& search, const Topology& topology) {
  const NodeKind kind = topology.nodes[at(search.ends.front())].kind;
  const std::string_view seat = kind == NodeKind::gpu ? "GPU" : kind == NodeKind::machine ? "host" : "core";
  std::string out = fmt::format("{}, one per {}\n", plural(search.ends.size(), "rank"), seat);
  if (search.ends.size() > 1) {
    out += sum("ring", search.rings.size(), search.ring_gbps(), search.ring_bound_gbps);
    out += rows(search.rings, [&](const FoundRing& ring) {
      return fmt::format("{:>7.4g} GB/s{}: {}", ring.gbps, through(topology, ring.port), list(ring.order));
    });
    out += sum("tree", search.trees.size(), search.tree_gbps(), search.tree_bound_gbps);
    out += rows(search.trees, [&](const FoundTree& tree) {
      return fmt::format("{:>7.4g} GB/s{}, {} deep, parents of ranks 1, 2, ...: {}", tree.gbps, through(topology, tree.port),
                         tree.depth, list(std::vector<Rank>(tree.parent.begin() + 1, tree.parent.end())));
    });
  }
  if (!search.levels.empty()) out += "levels, innermost first\n";
  out += rows(search.levels, [](const LevelGroups& level) { return describe(level); });
  const std::vector<Served> nics = served(search);
  if (!nics.empty()) out += "rails\n";
  out += rows(nics, [&](const Served& nic) { return describe(topology, nic); });
  return out;
}

std::string to_json(const RouteSearch& search, const Topology& topology) {
  const Json root = {{"ranks", search.ends.size()},
                     {"ends", search.ends},
                     {"rings", rings_json(search, topology)},
                     {"trees", trees_json(search, topology)},
                     {"levels", levels_json(search)},
                     {"rails", rails_json(search, topology)},
                     {"steps", search.steps}};
  return root.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tutti
