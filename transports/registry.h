// All transports of the library, in order of preference.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "tutti/result.h"
#include "tutti/transport.h"

namespace tutti {

struct TransportRow {
  std::string_view name;
  std::unique_ptr<Transport> (*make)(const TransportOptions& options);
  std::string_view help;
  bool only_named = false;  // not used unless it is named, or measured to be the fastest
  bool by_memory = false;   // whom it reaches is on the same host
};

[[nodiscard]] std::span<const TransportRow> transport_table() noexcept;
// The row of this name, or null.
[[nodiscard]] const TransportRow* find_transport(std::string_view name) noexcept;
// Those that `spec` allows: "shm,tcp" or "^shm"; empty: all that need not be named. Code::environment, with where the setting
// comes from, where it names none, or nothing that is known.
[[nodiscard]] Result<std::vector<const TransportRow*>> choose_transports(std::string_view spec, std::string_view source);
[[nodiscard]] bool has_row(std::span<const TransportRow* const> rows, std::string_view name) noexcept;

}  // namespace tutti
