#include "simulate/measured.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "select/render.h"

namespace tutti::simulate {
namespace {

using nlohmann::json;

std::optional<double> positive(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  const auto value = found->get<double>();
  return std::isfinite(value) && value > 0 ? std::optional(value) : std::nullopt;
}

Error wrong(std::string_view what) {
  return {Code::invalid_argument, fmt::format("this is not what tutti explain --json prints: {}", what)};
}

}  // namespace

Status take_measured(JobMachine& machine, std::string_view text) {
  const json all = json::parse(text, nullptr, false);
  if (!all.is_object()) return wrong("it is no JSON object");
  const auto links = all.find("links");
  if (links == all.end() || !links->is_array()) return wrong("it has no \"links\"");
  const auto reduces = positive(all, "reduce_gbps"), copies = positive(all, "copy_gbps");
  if (!reduces || !copies) return wrong("\"reduce_gbps\" and \"copy_gbps\" must be positive numbers");
  if (links->size() != machine.links.size())
    return Error(Code::invalid_argument,
                 fmt::format("it was measured where ranks have {} kinds of links between each other; this "
                             "machine has {}",
                             links->size(), machine.links.size()));
  // Where ranks shared cores they were measured while all talked, and then as if each had had a core; here they have what they
  // had.
  const double sharers = positive(all, "core_sharers").value_or(1), cores = positive(all, "cores_per_host").value_or(1);
  const double crowd = std::max(1.0, sharers / cores);
  // But not between hosts that have cores of their own.
  const double here = positive(all, "ranks_per_host").value_or(1), ranks = positive(all, "ranks").value_or(1);
  const bool own_network = ranks > here && sharers <= here;
  std::vector<LinkParameters> taken;
  for (const json& link : *links) {
    if (link.is_object() && link.value("origin", json()) != said(Origin::system))
      return wrong("a link was not measured; start tutti explain by mpirun");
    const auto latency = link.is_object() ? positive(link, "latency_us") : std::nullopt;
    const auto bandwidth = link.is_object() ? positive(link, "bandwidth_gbps") : std::nullopt;
    if (!latency || !bandwidth) return wrong("\"latency_us\" and \"bandwidth_gbps\" of each link must be positive numbers");
    const double crowded = own_network && &link == &links->back() ? 1 : crowd;
    taken.push_back({*latency * crowded, *bandwidth / crowded, Origin::system});
  }
  machine.links = std::move(taken);
  machine.reduce_gbps = *reduces;
  machine.copy_gbps = *copies;
  machine.core_origin = Origin::system;
  return {};
}

}  // namespace tutti::simulate
