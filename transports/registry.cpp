#include "transports/registry.h"

#include <algorithm>
#include <array>

#include "transports/loopback/loopback.h"

namespace tutti {
namespace {

constexpr std::array kTable = {
    TransportRow{"loopback", [](const TransportOptions& options) { return make_loopback(options); },
                 "queues between threads of one process, for tests"},
};

}  // namespace

std::span<const TransportRow> transport_table() noexcept { return kTable; }

const TransportRow* find_transport(std::string_view name) noexcept {
  const auto row = std::ranges::find(kTable, name, &TransportRow::name);
  return row == kTable.end() ? nullptr : &*row;
}

}  // namespace tutti
