// Variables of launchers: lines of NAME=VALUE.
#include "bootstrap/launcher.h"

#include <map>

#include "tests/fuzz/fuzz.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  std::map<std::string, std::string> variables;
  for (std::string_view rest = text_of(input); !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (const auto equals = line.find('='); equals != std::string_view::npos)
      variables[std::string(line.substr(0, equals))] = line.substr(equals + 1);
  }
  static const Config kDefaults = Config::from_environment().value_or_throw();
  Config config = kDefaults;
  for (const ConfigRow& row : config_table())
    if (const auto at = variables.find(std::string(row.name)); at != variables.end() && !config.set(row.var, at->second)) return;
  const auto launch = detect_launcher(config, [&](const char* name) -> std::optional<std::string> {
    const auto at = variables.find(name);
    return at == variables.end() ? std::nullopt : std::optional(at->second);
  });
  if (!parsed(launch)) return;
  const bool told_later = launch->size == 0;
  promise(told_later || (launch->rank >= 0 && launch->rank < launch->size && launch->size <= kMaxRanks),
          "a rank is one of the ranks");
}

}  // namespace tutti::fuzz
