#include "simulate/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "select/cost.h"

namespace tutti::simulate {

const Grouping* host_groups(const JobMachine& machine) {
  const Grouping* hosts = nullptr;
  for (std::size_t l = 0; l < machine.level_names.size(); ++l)
    if (machine.level_names[l] <= Level::host) hosts = &machine.levels[l];
  return machine.ranks > machine.ranks_per_host ? hosts : nullptr;
}

Time from_microseconds(double us) noexcept {
  const double ps = us * static_cast<double>(kPerMicrosecond);
  return ps < static_cast<double>(kMostTime) ? static_cast<Time>(std::llround(ps)) : kMostTime;
}

Network::Network(const JobMachine& machine, const Switches& switches)
    : machine_(machine), switches_(switches), slower_(static_cast<std::size_t>(machine.ranks), 1.0F) {
  const auto ranks = static_cast<std::size_t>(machine.ranks);
  const Grouping* hosts = host_groups(machine);
  int count = machine.ranks > machine.ranks_per_host ? machine.ranks : 1;
  if (hosts != nullptr) count = hosts->groups();
  for (Rank r = 0; r < machine.ranks; ++r) {
    host_of_.push_back(hosts != nullptr ? hosts->group_of(r) : count > 1 ? r : 0);
    index_on_host_.push_back(hosts != nullptr ? hosts->index_in_group(r) : 0);
  }
  out_ = add(ranks);
  in_ = add(ranks);
  if (count == 1) return;
  network_out_ = add(ranks);
  network_in_ = add(ranks);
  if (!machine.torus.empty()) {
    torus_ = add(ranks * 2 * machine.torus.size());
    return;
  }
  const auto rails = static_cast<std::size_t>(count) * static_cast<std::size_t>(machine.rails_per_host);
  host_out_ = add(rails);
  host_in_ = add(rails);
  for (const Pods& pods : machine.pods) {
    const std::size_t number = (ranks + static_cast<std::size_t>(pods.size) - 1) / static_cast<std::size_t>(pods.size);
    pods_up_.push_back(add(number, pods.uplinks));
    pods_down_.push_back(add(number, pods.uplinks));
  }
}

Network::Range Network::add(std::size_t count, double links) {
  const Range range{.first = wires_.size(), .count = count, .links = links};
  wires_.resize(wires_.size() + count);
  return range;
}

const LinkParameters& Network::link_between(Rank a, Rank b) const noexcept {
  std::size_t level = 0;
  while (level < machine_.levels.size() && machine_.levels[level].group_of(a) != machine_.levels[level].group_of(b)) ++level;
  return machine_.links[std::min(level, machine_.links.size() - 1)];
}

Time Network::enter(const Hop& hop, std::uint64_t bytes, Time at) noexcept {
  Wire& w = wires_[hop.link];
  const Time begun = std::max(at, w.free);
  w.free = later(begun, hop.occupied);
  w.busy = later(w.busy, hop.occupied);
  w.bytes += bytes;
  return begun;
}

void Network::cross_network(Rank from, Rank to, Time occupied, std::vector<Hop>& way) const {
  const auto add = [&](std::size_t link, double links = 1) {
    way.push_back({static_cast<std::uint32_t>(link), static_cast<Time>(static_cast<double>(occupied) / links)});
  };
  const auto link_of = [&](const Range& range, Rank r) {
    const auto at = static_cast<std::size_t>(r), rails = static_cast<std::size_t>(machine_.rails_per_host);
    return range.first + static_cast<std::size_t>(host_of_[at]) * rails + static_cast<std::size_t>(index_on_host_[at]) % rails;
  };
  add(link_of(host_out_, from));
  std::size_t crossed = 0;  // pods that the two do not share
  for (; crossed < pods_up_.size() && from / machine_.pods[crossed].size != to / machine_.pods[crossed].size; ++crossed)
    add(pods_up_[crossed].first + static_cast<std::size_t>(from / machine_.pods[crossed].size), pods_up_[crossed].links);
  while (crossed-- > 0)
    add(pods_down_[crossed].first + static_cast<std::size_t>(to / machine_.pods[crossed].size), pods_down_[crossed].links);
  add(link_of(host_in_, to));
}

void Network::cross_torus(Rank from, Rank to, Time occupied, std::vector<Hop>& way) const {
  const std::size_t dimensions = machine_.torus.size();
  Rank at = from, stride = 1;
  for (std::size_t d = dimensions; d-- > 0; stride *= machine_.torus[d]) {
    const Rank size = machine_.torus[d];
    const Rank away = ((to / stride) % size - (at / stride) % size + size) % size;
    const bool upward = 2 * away <= size;
    for (Rank hops = upward ? away : size - away; hops > 0; --hops) {
      const std::size_t link = static_cast<std::size_t>(at) * 2 * dimensions + 2 * d + (upward ? 1 : 0);
      way.push_back({static_cast<std::uint32_t>(torus_.first + link), occupied});
      const Rank here = (at / stride) % size, next = (here + (upward ? 1 : size - 1)) % size;
      at += (next - here) * stride;
    }
  }
}

void Network::route(Rank from, Rank to, std::uint64_t bytes, std::vector<Hop>& way) const {
  const auto port = [&](const Range& ports, Rank r, double us) {
    const auto at = static_cast<std::size_t>(r);
    way.push_back({static_cast<std::uint32_t>(ports.first + at), from_microseconds(us * slower_[at])});
  };
  way.clear();
  if (std::max(from, to) >= machine_.ranks) {
    const double us = static_cast<double>(bytes) / (switches_.gbps * 1e3);
    return from < to ? port(out_, from, us) : port(in_, to, us);
  }
  const LinkParameters& link = link_between(from, to);
  const double us = static_cast<double>(bytes) / (link.bandwidth_gbps * 1e3);
  if (host_of_[static_cast<std::size_t>(from)] == host_of_[static_cast<std::size_t>(to)]) {
    port(out_, from, us);
    return port(in_, to, us);
  }
  const double port_us = std::max(link.latency_us * kNetworkGap, us);  // at least the gap that a rank needs between two messages
  port(network_out_, from, port_us);
  if (torus_.count > 0)
    cross_torus(from, to, from_microseconds(us), way);
  else
    cross_network(from, to, from_microseconds(us), way);
  port(network_in_, to, port_us);
}

std::string Network::name_of(std::size_t wire) const {
  const auto at = [&](const Range& range) { return wire - range.first; };
  const auto in = [&](const Range& range) { return wire >= range.first && at(range) < range.count; };
  const auto rails = static_cast<std::size_t>(machine_.rails_per_host);
  const auto of_host = [&](const Range& range, std::string_view way) {
    const std::string which = rails > 1 ? fmt::format(" {}", at(range) % rails) : "";
    return fmt::format("link{} {} host {}", which, way, at(range) / rails);
  };
  if (in(out_)) return fmt::format("port out of rank {}", at(out_));
  if (in(in_)) return fmt::format("port into rank {}", at(in_));
  if (in(network_out_)) return fmt::format("network port out of rank {}", at(network_out_));
  if (in(network_in_)) return fmt::format("network port into rank {}", at(network_in_));
  if (in(host_out_)) return of_host(host_out_, "out of");
  if (in(host_in_)) return of_host(host_in_, "into");
  for (std::size_t p = 0; p < pods_up_.size(); ++p)
    for (const auto& [range, way] : {std::pair(&pods_up_[p], "up from"), std::pair(&pods_down_[p], "down to")})
      if (in(*range)) return fmt::format("links {} pod {} of {} ranks", way, at(*range), machine_.pods[p].size);
  const std::size_t dimensions = machine_.torus.size();
  const std::size_t link = at(torus_) % (2 * dimensions);
  return fmt::format("link from node {} along dimension {}, {}", at(torus_) / (2 * dimensions), link / 2,
                     link % 2 == 1 ? "up" : "down");
}

std::vector<Network::Load> Network::busiest(std::size_t most) const {
  std::vector<std::size_t> order;
  for (std::size_t w = 0; w < wires_.size(); ++w)
    if (wires_[w].busy > 0) order.push_back(w);
  most = std::min(most, order.size());
  std::ranges::partial_sort(order, order.begin() + static_cast<std::ptrdiff_t>(most), [this](std::size_t a, std::size_t b) {
    return wires_[a].busy != wires_[b].busy ? wires_[a].busy > wires_[b].busy : a < b;
  });
  order.resize(most);
  std::vector<Load> loads;
  loads.reserve(most);
  for (const std::size_t w : order) loads.push_back({.link = name_of(w), .bytes = wires_[w].bytes, .busy = wires_[w].busy});
  return loads;
}

}  // namespace tutti::simulate
