#include <fmt/format.h>

#include "select/select.h"

namespace tutti {

Result<AlgorithmOverrides> AlgorithmOverrides::parse(std::string_view text, const AlgorithmTable& table) {
  AlgorithmOverrides overrides;
  overrides.by_collective_.resize(kCollectives);
  for (std::string_view rest = text; !rest.empty();) {
    const auto comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
    const auto colon = item.find(':');
    const std::string_view algorithm = colon == std::string_view::npos ? item : item.substr(colon + 1);
    const auto only = colon == std::string_view::npos ? std::optional<Collective>{} : parse_collective(item.substr(0, colon));
    if (colon != std::string_view::npos && !only)
      return Error(Code::environment, fmt::format("\"{}\": there is no collective \"{}\"", text, item.substr(0, colon)));
    bool known = false;
    std::string names;
    for (const Algorithm* a : table.rows()) {
      if (only && a->collective != *only) continue;
      names += fmt::format("{}{}:{}", names.empty() ? "" : ", ", name(a->collective), a->name);
      if (a->name != algorithm) continue;
      known = true;
      overrides.by_collective_[static_cast<std::size_t>(a->collective)] = algorithm;
    }
    if (!known)
      return Error(Code::environment, fmt::format("\"{}\": there is no algorithm \"{}\"; there are {}", text, algorithm, names));
  }
  return overrides;
}

std::string_view AlgorithmOverrides::forced(Collective collective) const {
  const auto i = static_cast<std::size_t>(collective);
  return i < by_collective_.size() ? std::string_view(by_collective_[i]) : std::string_view{};
}

}  // namespace tutti
