#include "custom/plugins.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <map>
#include <mutex>
#include <utility>

#include "algorithms/registry.h"
#include "catalog/catalog.h"
#include "catalog/guarded.h"
#include "core/file.h"
#include "custom/measure.h"
#include "custom/names.h"
#include "schedule/hash_shape.h"
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
  if (row.publishes) return refused("which publishes: only the library's rows may, say publishes = false");
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
  mutable std::map<std::uint64_t, Cost> costs = {};            // by hash_of(shape, chunking)
  mutable std::map<std::uint64_t, std::string> refusals = {};  // the same; empty: proved
};

// Of what the functions of a row give for a shape and a chunking, which is always the same.
template <class Value, class Make>
Value remembered(const PluginRow& row, std::map<std::uint64_t, Value>& known, const Shape& shape, const Chunking& chunking,
                 Make make) {
  const std::lock_guard lock(row.mutex);
  const auto key = hash_of(shape, chunking);
  auto found = known.find(key);
  if (found == known.end()) found = known.emplace(key, make()).first;
  return found->second;
}

// Of what is wrong, and so refused when it would be used: dearer than all that is right.
Cost no_cost() { return {.levels = {{.level = -1, .rounds = UINT32_MAX}}}; }

Cost declared_or_measured(const Algorithm& given, const Shape& shape, const Chunking& chunking) {
  if (given.cost) {
    Cost cost = given.cost(shape, chunking);
    return cost.levels.empty() || cost.chunks_per_block == 0 ? no_cost() : cost;
  }
  std::vector<Schedule> ranks;
  for (Rank r = 0; r < shape.ranks; ++r) ranks.push_back(given.build(r, shape, chunking));
  auto cost = measure_cost(ranks, shape.levels);
  return cost ? std::move(*cost) : no_cost();
}

Cost cost(const void* state, const Shape& shape, const Chunking& chunking) {
  const auto& row = *static_cast<const PluginRow*>(state);
  return remembered(row, row.costs, shape, chunking, [&] {
    return guarded([&] { return declared_or_measured(row.given, shape, chunking); },
                   [](const std::string& /*its proof says it*/) { return no_cost(); });
  });
}

std::string refuses(const void* state, const Shape& shape) {
  const auto& row = *static_cast<const PluginRow*>(state);
  if (!row.unproved.empty()) return row.unproved;
  if (!row.given.refuses) return "";
  return guarded([&] { return row.given.refuses(shape); },
                 [&](const std::string& what) { return fmt::format("what refuses in '{}' {}", row.file, what); });
}

std::string refuses_cut(const void* state, const Shape& shape, const Chunking& chunking) {
  const auto& row = *static_cast<const PluginRow*>(state);
  return remembered(row, row.refusals, shape, chunking, [&] {
    const auto text = [&](const std::string& why) { return fmt::format("'{}' is wrong there: {}", row.file, why); };
    const auto given = [&] { return row.given.refuses_cut ? row.given.refuses_cut(shape, chunking) : ""; };
    if (auto why = guarded(given, text); !why.empty()) return why;
    const auto proof = verify_cut(row.given, shape, chunking);
    return proof ? "" : text(proof.error().to_string());
  });
}

}  // namespace

std::uint64_t hash_of(const Shape& shape, const Chunking& chunking) {
  Hasher hasher;
  hasher.value(shape.ranks).value(shape.root).value(chunking.pieces).value(chunking.radix);
  if (shape.levels != nullptr) add_groups(hasher, *shape.levels, shape.ranks);
  if (shape.routes != nullptr) add_routes(hasher, *shape.routes);
  for (const Rank size : shape.torus) hasher.value(size);
  hasher.value(shape.pod);
  return hasher.result();
}

Result<PluginAlgorithms> open_plugin(const std::string& file) {
  auto content = read_file(file, kMostBytes);
  if (!content) return content.because("plugin");
  // A name without a slash would be looked for where libraries are.
  void* handle = dlopen((file.find('/') == std::string::npos ? "./" + file : file).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return bad(file, "cannot be loaded: {}", dlerror());
  const auto entry = reinterpret_cast<const Plugin* (*)()>(dlsym(handle, kEntry));
  if (entry == nullptr) return bad(file, "has no function {}: extern \"C\" const tutti::Plugin* {}()", kEntry, kEntry);
  std::string thrown;
  const Plugin* plugin = guarded(entry, [&](std::string what) -> const Plugin* {
    thrown = std::move(what);
    return nullptr;
  });
  if (!thrown.empty()) return bad(file, "cannot be asked: {} {}", kEntry, thrown);
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
  state->row.cost = {at, cost};
  state->row.refuses = {at, refuses};
  state->row.refuses_cut = {at, refuses_cut};
  state->row.origin = state->file;
  return std::shared_ptr<const Algorithm>(state, &state->row);
}

}  // namespace tutti
