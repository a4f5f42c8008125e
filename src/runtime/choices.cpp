#include "runtime/choices.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace tutti {
namespace {

constexpr std::array kChoosing{Var::algorithm, Var::algorithm_filter, Var::order, Var::accumulate, Var::prove_ranks};

// The first of the jobs' own algorithms that differs; empty: none does. Both are in order.
std::string difference_of(const std::vector<CustomAlgorithms::Item>& there, const std::vector<CustomAlgorithms::Item>& here) {
  for (std::size_t i = 0; i < std::max(there.size(), here.size()); ++i) {
    if (i == there.size() || (i < here.size() && here[i].what < there[i].what))
      return fmt::format("{} of TUTTI_SCHEDULES or TUTTI_PLUGINS is here but not there", here[i].what);
    if (i == here.size() || there[i].what < here[i].what)
      return fmt::format("{} of TUTTI_SCHEDULES or TUTTI_PLUGINS is there but not here", there[i].what);
    if (there[i].hash != here[i].hash)
      return fmt::format("{} of TUTTI_SCHEDULES or TUTTI_PLUGINS is not the same there as here", here[i].what);
  }
  return "";
}

}  // namespace

Choices Choices::of(std::uint64_t machine, const Config& config, const CustomAlgorithms& custom) {
  Choices choices{.machine = machine, .settings = {}, .own = custom.items()};
  for (const Var var : kChoosing) choices.settings.push_back(config.text(var));
  return choices;
}

void Choices::write(Writer& out) const {
  out.value(machine);
  for (const std::string& setting : settings) out.text(setting);
  out.value(static_cast<std::uint32_t>(own.size()));
  for (const auto& item : own) out.text(item.what).value(item.hash);
}

Choices Choices::read(Reader& in) {
  Choices choices{.machine = in.value<std::uint64_t>(), .settings = {}, .own = {}};
  for (std::size_t i = 0; i < kChoosing.size(); ++i) choices.settings.push_back(in.text());
  for (auto left = in.value<std::uint32_t>(); left > 0 && in.ok(); --left) {
    std::string what = in.text();
    choices.own.push_back({std::move(what), in.value<std::uint64_t>()});
  }
  return choices;
}

std::string difference(const Choices& there, const Choices& here) {
  if (std::string own = difference_of(there.own, here.own); !own.empty()) return own;
  for (std::size_t i = 0; i < kChoosing.size(); ++i)
    if (there.settings[i] != here.settings[i])
      return fmt::format("{}=\"{}\" there, \"{}\" here", config_table()[static_cast<std::size_t>(kChoosing[i])].name,
                         there.settings[i], here.settings[i]);
  return "they see different machines";
}

}  // namespace tutti
