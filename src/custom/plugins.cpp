#include "custom/plugins.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <map>
#include <mutex>
#include <tuple>

#include "algorithms/registry.h"
#include "catalog/catalog.h"
#include "core/file.h"
#include "core/hash.h"
#include "custom/measure.h"
#include "custom/names.h"
#include "tutti/plugin.h"

namespace tutti {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 30;
constexpr std::uint32_t kMostRows = 1000;
constexpr const char* kEntry = "tutti_plugin";

template <class... Arguments>
Error bad(const std::string& file, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  return {Code::invalid_argument,
          fmt::format("plugin '{}' {}", file, fmt::format(format, std::forward<Arguments>(arguments)...))};
}

Status check_layout(const std::string& file, const Plugin& plugin) {
  constexpr std::string_view kBuildAnew = "compile it with this version's headers";
  if (plugin.layout.version != kPluginVersion)
    return bad(file, "is made for version {} of plugins; this library takes version {}: {}", plugin.layout.version,
               kPluginVersion, kBuildAnew);
  if (plugin.layout != PluginLayout{})
    return bad(file, "has types of other sizes than this library (a row has {} bytes there, {} here; a schedule {} and {}): {}",
               plugin.layout.algorithm_bytes, sizeof(Algorithm), plugin.layout.schedule_bytes, sizeof(Schedule), kBuildAnew);
  if (plugin.algorithms == nullptr || plugin.count == 0) return bad(file, "offers no algorithm");
  if (plugin.count > kMostRows) return bad(file, "offers {} algorithms; at most {} are taken", plugin.count, kMostRows);
  return {};
}

Status check_row(const std::string& file, std::span<const Algorithm> rows, std::size_t i) {
  const Algorithm& row = rows[i];
  if (static_cast<unsigned>(row.collective) >= kCollectives || row.collective == Collective::send_recv)
    return bad(file, "has a row, the {}th, of no collective that has algorithms", i + 1);
  if (!is_algorithm_name(row.name))
    return bad(file, "calls a row of {} \"{}\"; {}", name(row.collective), row.name, kNamesAreMadeOf);
  const auto refused = [&](std::string_view why) { return bad(file, "offers {} {}, {}", name(row.collective), row.name, why); };
  if (!row.build) return refused("which has no builder");
  if (row.needs.min_ranks < 1) return refused("which needs less than one rank");
  if (find_algorithm(row.collective, row.name) != nullptr)
    return refused("but the library has one of this name: give it another");
  for (std::size_t other = 0; other < i; ++other)
    if (rows[other].collective == row.collective && rows[other].name == row.name) return refused("twice");
  return {};
}

// ---- rows

struct PluginRow {
  Algorithm given, row;
  std::string file, unproved;
  mutable std::mutex mutex;
  mutable std::map<std::tuple<Rank, Rank, std::uint32_t, std::uint32_t>, Cost> costs = {};  // ranks, root, pieces, radix
};

Cost measured(const PluginRow& row, const Shape& shape, const Chunking& chunking) {
  std::vector<Schedule> ranks;
  for (Rank r = 0; r < shape.ranks; ++r) ranks.push_back(row.given.build(r, shape, chunking));
  auto cost = measure_cost(ranks, shape.levels);
  if (cost) return std::move(*cost);
  return {.levels = {{.level = -1, .rounds = UINT32_MAX}}};  // wrong in so many pieces: never to be chosen
}

Cost cost(const void* state, const Shape& shape, const Chunking& chunking) {
  const auto& row = *static_cast<const PluginRow*>(state);
  const std::lock_guard lock(row.mutex);
  const auto key = std::tuple(shape.ranks, shape.root, chunking.pieces, chunking.radix);
  auto found = row.costs.find(key);
  if (found == row.costs.end()) found = row.costs.emplace(key, measured(row, shape, chunking)).first;
  return found->second;
}

std::string refuses(const void* state, const Shape& shape) {
  const auto& row = *static_cast<const PluginRow*>(state);
  if (!row.unproved.empty()) return row.unproved;
  return row.given.refuses ? row.given.refuses(shape) : "";
}

}  // namespace

Result<PluginAlgorithms> open_plugin(const std::string& file) {
  auto content = read_file(file, kMostBytes);
  if (!content) return content.because("plugin");
  // A name without a slash would be looked for where libraries are.
  void* handle = dlopen((file.find('/') == std::string::npos ? "./" + file : file).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return bad(file, "cannot be loaded: {}", dlerror());
  const auto entry = reinterpret_cast<const Plugin* (*)()>(dlsym(handle, kEntry));
  if (entry == nullptr) return bad(file, "has no function {}: extern \"C\" const tutti::Plugin* {}()", kEntry, kEntry);
  const Plugin* plugin = entry();
  if (plugin == nullptr) return bad(file, "gives a null pointer");
  if (auto s = check_layout(file, *plugin); !s) return std::move(s.error());
  const std::span rows(plugin->algorithms, plugin->count);
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (auto s = check_row(file, rows, i); !s) return std::move(s.error());
  return PluginAlgorithms{.file = file, .rows = rows, .hash = Hasher().text(*content).result()};
}

Status prove_plugin_row(const Algorithm& row, Rank ranks, const std::vector<Grouping>* levels) {
  if (!applies(row, ranks) || (row.needs.levels && levels == nullptr)) return {};
  const CatalogOptions options{.all_roots_up_to = 4, .levels = levels};
  if (auto proof = verify_algorithm(row, ranks, options); !proof) return std::move(proof.error());
  return {};
}

std::shared_ptr<const Algorithm> plugin_row(const Algorithm& given, const std::string& file, std::string unproved) {
  auto state = std::make_shared<PluginRow>(given, given, file, std::move(unproved));
  const void* at = state.get();
  if (!given.cost) state->row.cost = {at, cost};
  state->row.refuses = {at, refuses};
  state->row.origin = state->file;
  return std::shared_ptr<const Algorithm>(state, &state->row);
}

}  // namespace tutti
