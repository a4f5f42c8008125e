#include "custom/custom.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <set>

#include "core/file.h"
#include "custom/plugins.h"

namespace tutti {
namespace {

constexpr std::uint64_t kMostTextBytes = std::uint64_t{256} << 20;

std::string what(Collective collective, std::string_view name) { return fmt::format("{} {}", tutti::name(collective), name); }

}  // namespace

struct CustomAlgorithms::Loaded {
  std::vector<std::shared_ptr<const TextAlgorithm>> texts;
  std::vector<PluginAlgorithms> plugins;
  mutable std::mutex mutex;                         // communicators of one process start side by side
  mutable std::set<std::uint64_t> proved_for = {};  // jobs that all plugins' rows have been proved for

  Status prove_plugins(Rank ranks, const std::vector<Grouping>* levels) const {
    const std::lock_guard lock(mutex);
    const std::uint64_t job = hash_of({.ranks = ranks, .levels = levels});
    if (proved_for.contains(job)) return {};
    for (const PluginAlgorithms& plugin : plugins)
      for (const Algorithm& row : plugin.rows)
        if (auto s = prove_plugin_row(row, ranks, levels); !s) return s.because(fmt::format("plugin '{}'", plugin.file));
    proved_for.insert(job);
    return {};
  }
};

CustomAlgorithms::CustomAlgorithms() : loaded_(std::make_shared<const Loaded>()) {}

Result<CustomAlgorithms> CustomAlgorithms::load(std::span<const ScheduleText> texts, std::span<const std::string> plugins) {
  auto loaded = std::make_shared<Loaded>();
  auto proved = prove_texts(texts);
  if (!proved) return std::move(proved.error());
  for (TextAlgorithm& text : *proved) loaded->texts.push_back(std::make_shared<const TextAlgorithm>(std::move(text)));
  for (const std::string& file : plugins) {
    auto plugin = open_plugin(file);
    if (!plugin) return std::move(plugin.error());
    loaded->plugins.push_back(std::move(*plugin));
  }
  CustomAlgorithms custom;
  custom.loaded_ = std::move(loaded);
  // Of names that two of them have a job of any size would complain: one that proves nothing is enough to hear it.
  if (auto table = custom.table(1, nullptr, 0); !table) return std::move(table.error());
  return custom;
}

Result<CustomAlgorithms> CustomAlgorithms::load_files(std::span<const std::string> texts, std::span<const std::string> plugins) {
  std::vector<ScheduleText> read;
  for (const auto files : {texts, plugins})
    for (const std::string& file : files) {
      if (file == "-") return Error(Code::invalid_argument, "'-': the standard input is not every rank's; name a file");
      std::error_code none;
      if (std::filesystem::exists(file, none) && !std::filesystem::is_regular_file(file, none))
        return Error(Code::invalid_argument, fmt::format("'{}' is not a regular file", file));
    }
  for (const std::string& file : texts) {
    auto text = read_file(file, kMostTextBytes);
    if (!text) return std::move(text.error());
    read.push_back({file, std::move(*text)});
  }
  return load(read, plugins);
}

Result<AlgorithmTable> CustomAlgorithms::table(Rank ranks, const std::vector<Grouping>* levels, Rank prove_up_to) const {
  AlgorithmTable table;
  for (const auto& text : loaded_->texts) {
    auto row = text_row(text, ranks, levels);
    if (!row) return std::move(row.error());
    if (auto s = table.add(std::move(*row)); !s) return std::move(s.error());
  }
  const bool proves = ranks <= prove_up_to;
  if (proves)
    if (auto s = loaded_->prove_plugins(ranks, levels); !s) return std::move(s.error());
  const std::string unproved =
      proves ? ""
             : fmt::format("is proved for up to {} ranks only; there are {}: TUTTI_PROVE_RANKS={} proves it for these",
                           prove_up_to, ranks, ranks);
  for (const PluginAlgorithms& plugin : loaded_->plugins)
    for (const Algorithm& row : plugin.rows)
      if (auto s = table.add(plugin_row(row, plugin.file, unproved)); !s)
        return s.because(fmt::format("plugin '{}'", plugin.file));
  return table;
}

std::vector<const Algorithm*> CustomAlgorithms::plugin_rows() const {
  std::vector<const Algorithm*> rows;
  for (const PluginAlgorithms& plugin : loaded_->plugins)
    for (const Algorithm& row : plugin.rows) rows.push_back(&row);
  return rows;
}

std::vector<CustomAlgorithms::Item> CustomAlgorithms::items() const {
  std::vector<Item> items;
  for (const auto& text : loaded_->texts) items.push_back({what(text->collective, text->name), text->hash});
  for (const PluginAlgorithms& plugin : loaded_->plugins)
    for (const Algorithm& row : plugin.rows) items.push_back({what(row.collective, row.name), plugin.hash});
  std::ranges::sort(items, {}, &Item::what);
  return items;
}

}  // namespace tutti
