#include "transports/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/config.h"
#include "transports/loopback/loopback.h"
#include "transports/shm/shm_transport.h"
#include "transports/tcp/tcp_transport.h"
#include "transports/ucx/ucx_transport.h"
#include "transports/verbs/verbs_transport.h"

namespace tutti {
namespace {

constexpr std::array kTable = {
    TransportRow{"shm", make_shm, "shared memory between ranks of one machine", false, true},
    TransportRow{"verbs", make_verbs, "RDMA over InfiniBand and RoCE, on one or several ports"},
    TransportRow{"tcp", make_tcp, "TCP over a chosen interface, IPv4 and IPv6"},
    // Only where it is named, or where somebody has measured it to be the fastest (tutti tune --transports): it reaches what the
    // transports above reach. Nor is it even loaded before, as it starts threads, takes signals and looks at every device.
    TransportRow{"ucx", make_ucx, "UCX (libucp.so.0), with the networks and memory that it knows", true},
    TransportRow{"loopback", [](const TransportOptions& options) { return make_loopback(options); },
                 "queues between threads of one process, for tests", true, true},
};

// A test's tool, which only joins threads of one process.
constexpr std::string_view kForThreads = "loopback";

std::string known_names() {
  std::string known;
  for (const TransportRow& row : kTable)
    if (row.name != kForThreads) known += (known.empty() ? "" : ", ") + std::string(row.name);
  return known;
}

}  // namespace

std::span<const TransportRow> transport_table() noexcept { return kTable; }

const TransportRow* find_transport(std::string_view name) noexcept {
  const auto row = std::ranges::find(kTable, name, &TransportRow::name);
  return row == kTable.end() ? nullptr : &*row;
}

bool has_row(std::span<const TransportRow* const> rows, std::string_view name) noexcept {
  return std::ranges::find(rows, name, &TransportRow::name) != rows.end();
}

Result<std::vector<const TransportRow*>> choose_transports(std::string_view spec, std::string_view source) {
  const bool exclude = spec.starts_with('^');
  const std::vector<std::string> names = split_list(exclude ? spec.substr(1) : spec);
  if (exclude && names.empty()) return Error(Code::environment, fmt::format("{}=\"{}\" excludes no transport", source, spec));
  for (const std::string& name : names)
    if (find_transport(name) == nullptr)
      return Error(Code::environment,
                   fmt::format("{}=\"{}\": there is no transport \"{}\"; there are {}", source, spec, name, known_names()));
  std::vector<const TransportRow*> rows;
  for (const TransportRow& row : kTable) {
    const bool named = std::ranges::find(names, row.name) != names.end();
    if ((named || !row.only_named) && (names.empty() || named != exclude)) rows.push_back(&row);
  }
  if (rows.empty()) return Error(Code::environment, fmt::format("{}=\"{}\" leaves no transport", source, spec));
  return rows;
}

}  // namespace tutti
