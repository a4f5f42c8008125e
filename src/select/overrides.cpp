#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/config.h"
#include "select/select.h"

namespace tutti {
namespace {

// "all_reduce:ring/pieces=4": what an item of a list says, and of which collective; none: of all that have it.
struct Item {
  std::optional<Collective> only;
  std::string_view what;
};

Result<Item> item_of(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return Item{.only = {}, .what = text};
  const auto only = parse_collective(text.substr(0, colon));
  if (!only) return Error(Code::invalid_argument, fmt::format("there is no collective \"{}\"", text.substr(0, colon)));
  return Item{.only = only, .what = text.substr(colon + 1)};
}

// At least one, or an error that lists those that there are.
Result<std::vector<const Algorithm*>> rows_named(const AlgorithmTable& table, const Item& item, std::string_view name) {
  std::vector<const Algorithm*> rows;
  std::string names;
  for (const Algorithm* a : table.rows()) {
    if (item.only && a->collective != *item.only) continue;
    names += fmt::format("{}{}:{}", names.empty() ? "" : ", ", tutti::name(a->collective), a->name);
    if (a->name == name) rows.push_back(a);
  }
  if (rows.empty()) return Error(Code::invalid_argument, fmt::format("there is no algorithm \"{}\"; there are {}", name, names));
  return rows;
}

// "radix=4", "pieces=8", "published", "sent"
Status add_parameter(ForcedAlgorithm& forced, std::string_view parameter) {
  const auto bad = [](std::string message) { return Error(Code::invalid_argument, std::move(message)); };
  if (parameter == "published" || parameter == "sent") {
    (parameter == "sent" ? forced.sent : forced.published) = true;
    return {};
  }
  const bool radix = parameter.starts_with("radix=");
  if (!radix && !parameter.starts_with("pieces="))
    return bad(fmt::format("\"{}\" is no parameter; expected NAME, NAME/radix=4, NAME/pieces=8, NAME/published or NAME/sent",
                           parameter));
  const std::string_view what = radix ? "the radix" : "the number of pieces";
  const std::string_view digits = parameter.substr(parameter.find('=') + 1);
  const std::uint32_t least = radix ? 2 : 1, most = radix ? kMostRadix : kMostPieces;
  std::uint32_t& value = radix ? forced.radix : forced.pieces;
  if (value > 0) return bad(fmt::format("it says twice what {} is", what));
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || stop != digits.data() + digits.size() || value < least || value > most)
    return bad(fmt::format("{} is a number from {} to {}, not \"{}\"", what, least, most, digits));
  return {};
}

}  // namespace

Result<ForcedAlgorithm> ForcedAlgorithm::parse(std::string_view text) {
  const auto slash = text.find('/');
  ForcedAlgorithm forced{.name = text.substr(0, slash)};
  for (std::string_view rest = slash == std::string_view::npos ? "" : text.substr(slash); !rest.empty();) {
    const auto end = rest.find('/', 1);
    const std::string_view parameter = rest.substr(1, end == std::string_view::npos ? end : end - 1);
    rest = end == std::string_view::npos ? "" : rest.substr(end);
    if (auto s = add_parameter(forced, parameter); !s)
      return Error(Code::invalid_argument, fmt::format("\"{}\": {}", text, s.error().message()));
  }
  if (forced.published && (forced.sent || forced.pieces > 0))
    return Error(Code::invalid_argument, fmt::format("\"{}\": what is published is not sent, and not cut into pieces", text));
  return forced;
}

std::string ForcedAlgorithm::misfit(const Algorithm& a) const {
  if (radix > 2 && !a.has_radix) return "has no radix";
  if (published && !a.publishes) return "does not publish";
  if (pieces > 1 && !a.pipelines) return "does not cut what it sends into pieces";
  return "";
}

Result<AlgorithmOverrides> AlgorithmOverrides::parse(std::string_view text, const AlgorithmTable& table) {
  AlgorithmOverrides overrides;
  overrides.by_collective_.resize(kCollectives);
  const auto add = [&](std::string_view one) -> Status {
    auto item = item_of(one);
    if (!item) return std::move(item.error());
    auto forced = ForcedAlgorithm::parse(item->what);
    if (!forced) return std::move(forced.error());
    auto rows = rows_named(table, *item, forced->name);
    if (!rows) return std::move(rows.error());
    std::string misfit;
    bool fits = false;
    for (const Algorithm* a : *rows) {
      if (auto why = forced->misfit(*a); !why.empty()) {
        misfit = fmt::format("{} {} {}", name(a->collective), a->name, why);
        continue;
      }
      fits = true;
      overrides.by_collective_[static_cast<std::size_t>(a->collective)] = item->what;
    }
    return fits ? Status{} : Error(Code::invalid_argument, misfit);
  };
  for (const std::string& one : split_list(text))
    if (auto s = add(one); !s) return Error(Code::environment, fmt::format("\"{}\": {}", text, s.error().message()));
  return overrides;
}

std::string_view AlgorithmOverrides::forced(Collective collective) const {
  const auto i = static_cast<std::size_t>(collective);
  return i < by_collective_.size() ? std::string_view(by_collective_[i]) : std::string_view{};
}

Result<AlgorithmFilter> AlgorithmFilter::parse(std::string_view text, const AlgorithmTable& table) {
  AlgorithmFilter filter;
  const auto add = [&](std::string_view one) -> Status {
    auto item = item_of(one);
    if (!item) return std::move(item.error());
    const bool without = item->what.starts_with('^');
    auto rows = rows_named(table, *item, without ? item->what.substr(1) : item->what);
    if (!rows) return std::move(rows.error());
    for (const Algorithm* a : *rows) {
      (without ? filter.without_ : filter.only_).push_back(a);
      if (!without) filter.listed_[static_cast<std::size_t>(a->collective)] = true;
    }
    return {};
  };
  for (const std::string& one : split_list(text))
    if (auto s = add(one); !s) return Error(Code::invalid_argument, fmt::format("\"{}\": {}", text, s.error().message()));
  return filter;
}

bool AlgorithmFilter::leaves(const Algorithm& a) const {
  if (std::ranges::find(without_, &a) != without_.end()) return false;
  return !listed_[static_cast<std::size_t>(a.collective)] || std::ranges::find(only_, &a) != only_.end();
}

}  // namespace tutti
