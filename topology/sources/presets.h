// Hosts that are known by name: "dgx-h100".
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tutti {

struct Preset {
  std::string_view name;
  std::string_view host;  // in the synthetic language; several of them are joined by one rail for each NIC
};

[[nodiscard]] std::span<const Preset> presets();
[[nodiscard]] std::string known_hosts();  // "dgx-2, ..."
// Null: there is none of this name (in small letters).
[[nodiscard]] const Preset* find_preset(std::string_view name);

}  // namespace tutti
