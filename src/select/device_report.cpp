#include "select/device_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "select/render.h"

namespace tutti {
namespace {

using Text = std::back_insert_iterator<std::string>;

std::string name_of(const DeviceWay& way) {
  if (way.one_pass) return "one pass for all ranks";
  return way.protocol ? fmt::format("kernel, {}", name(*way.protocol)) : "operations of streams";
}

std::string_view kind_of(const DeviceWay& way) { return way.one_pass ? kOnePassName : way.protocol ? "kernel" : "streams"; }

double launch_of(const DeviceWay& way) { return way.protocol ? launch_us(*way.protocol) : 0; }

// Ranks on each device.
std::vector<std::vector<Rank>> ranks_on(const DeviceLayout& layout) {
  std::vector<std::vector<Rank>> ranks(layout.gpus.size());
  for (std::size_t r = 0; r < layout.device_of.size(); ++r)
    ranks[layout.device(static_cast<Rank>(r))].push_back(static_cast<Rank>(r));
  return ranks;
}

// Pairs of devices between which lies the same.
struct Alike {
  GpuPath path;
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
};
std::vector<Alike> paths_of(const DeviceLayout& layout) {
  std::vector<Alike> all;
  const auto ranks = ranks_on(layout);
  for (std::size_t a = 0; a < layout.gpus.size(); ++a)
    for (std::size_t b = ranks[a].size() > 1 ? a : a + 1; b < layout.gpus.size(); ++b) {
      const GpuPath& path = layout.path(a, b);
      const auto same = std::ranges::find_if(all, [&](const Alike& known) {
        return known.path.kind == path.kind && known.path.bandwidth_gbps == path.bandwidth_gbps &&
               known.path.latency_us == path.latency_us && known.path.origin == path.origin;
      });
      if (same == all.end())
        all.push_back({path, {{a, b}}});
      else
        same->pairs.emplace_back(a, b);
    }
  std::ranges::stable_sort(all, {}, [](const Alike& one) { return one.path.kind; });
  return all;
}

std::string pairs_of(const Alike& alike, const DeviceLayout& layout) {
  constexpr std::size_t kMost = 3;
  const auto ranks = ranks_on(layout);
  const auto device = [&](std::size_t d) { return layout.devices[static_cast<std::size_t>(ranks[d].front())]; };
  std::string text;
  for (std::size_t i = 0; i < std::min(kMost, alike.pairs.size()); ++i) {
    const auto [a, b] = alike.pairs[i];
    text += fmt::format("{}{}", i == 0 ? "" : ", ", a == b ? device(a) : fmt::format("{} - {}", device(a), device(b)));
  }
  return alike.pairs.size() > kMost ? fmt::format("{} and {} more", text, alike.pairs.size() - kMost) : text;
}

void add_machine(Text to, const DeviceLayout& layout) {
  for (const Alike& alike : paths_of(layout))
    fmt::format_to(to, "  {:<24} latency {:>8.3f} us   bandwidth {:>8.2f} GB/s   ({})   {}\n", description(alike.path.kind),
                   alike.path.latency_us, alike.path.bandwidth_gbps, said(alike.path.origin), pairs_of(alike, layout));
  for (const SharedWay& way : layout.ways_out)
    fmt::format_to(to, "  {} ranks at a time share one way to the others, of {:.2f} GB/s\n", way.size, way.gbps);
  const auto ranks = ranks_on(layout);
  if (layout.gpus.size() == layout.device_of.size()) return;
  for (std::size_t d = 0; d < ranks.size(); ++d)
    fmt::format_to(to, "  {}: rank{} {}\n", layout.devices[static_cast<std::size_t>(ranks[d].front())],
                   ranks[d].size() == 1 ? "" : "s", fmt::join(ranks[d], ", "));
}

void add_ways(Text to, const DeviceExplanation& e) {
  fmt::format_to(to, "\n  {:<22} {:>8}  {:<25} {:>6} {:>6} {:>11} {:>11} {:>11} {:>11} {:>6} {:>10} {:>11}  most of it\n", "way",
                 "channels", "algorithm", "pieces", "rounds", "latency us", "bytes us", "reduce us", "sharing us", "turns",
                 "launch us", "total us");
  for (const ExplainedWay& one : e.ways) {
    const DeviceWay& way = one.way;
    Candidate c = way.candidate;
    c.latency_us *= way.turns;
    if (!way.refused.empty()) {
      fmt::format_to(to, "  {:<22} refused: {}\n", name_of(way), way.refused);
      continue;
    }
    if (way.one_pass) {
      fmt::format_to(to, "{} {:<22} one rank reads every input and writes every output once: {:.2f} us\n",
                     &one == e.chosen() ? ">" : " ", name_of(way), way.us);
      continue;
    }
    fmt::format_to(
        to, "{} {:<22} {:>8}  {:<25} {:>6} {:>6} {:>11.2f} {:>11.2f} {:>11.2f} {:>11.2f} {:>6.0f} {:>10.2f} {:>11.2f}  {}\n",
        &one == e.chosen() ? ">" : " ", name_of(way), way.protocol ? std::to_string(way.channels) : "-",
        name_with_radix(*c.algorithm, c.chunking), c.chunking.pieces, c.rounds, c.latency_us, c.bandwidth_us, c.reduction_us,
        c.contention_us, way.turns, launch_of(way), way.us, most_of(c, one.machine));
  }
}

// Of each way the times of all algorithms; and once those that no way has.
void add_algorithms(Text to, const DeviceExplanation& e) {
  std::vector<std::pair<std::string_view, std::string_view>> refused;
  fmt::format_to(to, "\n  all algorithms, us, as if each call were one turn, and without its launch:\n");
  for (const ExplainedWay& one : e.ways) {
    if (one.selection.candidates.empty()) continue;
    std::string line;
    for (const Candidate& c : one.selection.candidates) {
      if (c.refused.empty())
        line += fmt::format("{}{} {:.2f}", line.empty() ? "" : ", ", c.algorithm->name, c.total_us);
      else if (std::ranges::find(refused, c.algorithm->name, [](const auto& r) { return r.first; }) == refused.end())
        refused.emplace_back(c.algorithm->name, c.refused);
    }
    fmt::format_to(to, "  {:<22} {}\n", name_of(one.way), line);
  }
  for (const auto& [algorithm, why] : refused) fmt::format_to(to, "  {:<22} refused: {}\n", algorithm, why);
}

nlohmann::json json_of(const Candidate& c) {
  if (!c.refused.empty()) return {{"algorithm", c.algorithm->name}, {"refused", c.refused}};
  nlohmann::json row{{"algorithm", c.algorithm->name},   {"pieces", c.chunking.pieces},    {"rounds", c.rounds},
                     {"latency_us", c.latency_us},       {"bandwidth_us", c.bandwidth_us}, {"reduction_us", c.reduction_us},
                     {"contention_us", c.contention_us}, {"total_us", c.total_us}};
  if (c.algorithm->has_radix) row["radix"] = c.chunking.radix;
  return row;
}

nlohmann::json json_of(const ExplainedWay& one) {
  const DeviceWay& way = one.way;
  nlohmann::json row{{"way", kind_of(way)}};
  if (way.protocol) row["protocol"] = name(*way.protocol);
  if (!way.refused.empty()) {
    row["refused"] = way.refused;
    return row;
  }
  if (way.one_pass) {
    row["total_us"] = way.us;
    return row;
  }
  if (way.protocol) row["channels"] = way.channels;
  nlohmann::json candidates = nlohmann::json::array(), links = nlohmann::json::array();
  for (const Candidate& c : one.selection.candidates) candidates.push_back(json_of(c));
  for (std::size_t l = 0; l < one.machine.links.size(); ++l)
    links.push_back({{"scope", scope_of(one.machine, l)},
                     {"latency_us", one.machine.links[l].latency_us},
                     {"bandwidth_gbps", one.machine.links[l].bandwidth_gbps}});
  row.update({{"algorithm", json_of(way.candidate)},
              {"turns", way.turns},
              {"launch_us", launch_of(way)},
              {"total_us", way.us},
              {"links", links},
              {"candidates", candidates}});
  return row;
}

nlohmann::json paths_as_json(const DeviceLayout& layout) {
  nlohmann::json paths = nlohmann::json::array();
  for (const Alike& alike : paths_of(layout))
    for (const auto& [a, b] : alike.pairs)
      paths.push_back({{"from", a},
                       {"to", b},
                       {"kind", name(alike.path.kind)},
                       {"bandwidth_gbps", alike.path.bandwidth_gbps},
                       {"latency_us", alike.path.latency_us},
                       {"origin", said(alike.path.origin)}});
  return paths;
}

}  // namespace

std::string render(const DeviceExplanation& e) {
  std::string out;
  const Text to = std::back_inserter(out);
  const bool whole = e.request.collective == Collective::all_reduce || e.request.collective == Collective::broadcast;
  fmt::format_to(to, "{} of {} bytes{} in the memory of devices, {} rank{}", name(e.request.collective), e.request.block_bytes,
                 whole ? "" : " per block", e.ranks, e.ranks == 1 ? "" : "s");
  if (e.layout != nullptr) {
    fmt::format_to(to, " on {} GPU{}\n", e.layout->gpus.size(), e.layout->gpus.size() == 1 ? "" : "s");
    add_machine(to, *e.layout);
  } else {
    out += '\n';
  }
  const ExplainedWay* chosen = e.chosen();
  if (chosen == nullptr) {
    fmt::format_to(to, "\n  chosen: the host, through pinned memory, piece by piece: {}\n", e.left_to_host);
    return out;
  }
  add_ways(to, e);
  add_algorithms(to, e);
  fmt::format_to(to, "\n  turns: pieces that follow each other, each with a latency\n  chosen: {} by {}, {}\n",
                 chosen->way.one_pass ? std::string("as it is defined")
                                      : name_with_radix(*chosen->way.candidate.algorithm, chosen->way.candidate.chunking),
                 name_of(chosen->way),
                 e.request.forced.empty() ? "the least predicted time"
                                          : fmt::format("whose algorithm was forced by {}", e.request.forced_by));
  return out;
}

std::string to_json(const DeviceExplanation& e) {
  using nlohmann::json;
  json ways = json::array(), shared = json::array(), devices = json::array(), paths = json::array();
  for (const ExplainedWay& one : e.ways) ways.push_back(json_of(one));
  if (e.layout != nullptr) {
    paths = paths_as_json(*e.layout);
    for (const SharedWay& way : e.layout->ways_out) shared.push_back({{"ranks", way.size}, {"bandwidth_gbps", way.gbps}});
    for (const auto& ranks : ranks_on(*e.layout))
      devices.push_back({{"name", e.layout->devices[static_cast<std::size_t>(ranks.front())]}, {"ranks", ranks}});
  }
  const ExplainedWay* chosen = e.chosen();
  json chosen_way =
      chosen == nullptr
          ? json{{"way", "host"}, {"why", e.left_to_host}}
          : json{{"way", kind_of(chosen->way)}, {"algorithm", chosen->way.algorithm()}, {"total_us", chosen->way.us}};
  if (chosen != nullptr && chosen->way.protocol)
    chosen_way.update({{"protocol", name(*chosen->way.protocol)}, {"channels", chosen->way.channels}});
  return json{{"collective", name(e.request.collective)},
              {"block_bytes", e.request.block_bytes},
              {"buffers", "cuda"},
              {"ranks", e.ranks},
              {"devices", devices},
              {"paths", paths},
              {"shared_ways", shared},
              {"chosen", chosen_way},
              {"forced", !e.request.forced.empty()},
              {"forced_by", e.request.forced.empty() ? json(nullptr) : json(e.request.forced_by)},
              {"ways", ways}}
      .dump(2, ' ', false, json::error_handler_t::replace);
}

}  // namespace tutti
