// Why two ranks are joined by one transport and not by another, for people.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "runtime/connections.h"
#include "transports/registry.h"

namespace tutti {
namespace {

struct Seen {
  std::size_t a, b;  // the first such pair
  std::uint64_t pairs = 0;
};

std::size_t shared_level(std::span<const Grouping> levels, std::size_t a, std::size_t b) {
  std::size_t l = 0;
  while (l < levels.size() && levels[l].group_of(static_cast<Rank>(a)) != levels[l].group_of(static_cast<Rank>(b))) ++l;
  return l;
}

}  // namespace

std::string Connections::why_not(std::size_t row, std::size_t a, std::size_t b) const {
  for (const std::size_t r : {a, b}) {
    const Offer& offer = offers_[r][row];
    if (!offer.domain.empty()) continue;
    if (!offer.about.empty()) return fmt::format("rank {}: {}", r, offer.about);
    return static_cast<Rank>(r) == rank_ && !setting_.empty() ? setting_ + " leaves it out"
                                                              : fmt::format("TUTTI_TRANSPORT of rank {} leaves it out", r);
  }
  if (offers_[a][row].domain != offers_[b][row].domain)
    return transport_table()[row].by_memory
               ? "not one host, user and network namespace"
               : fmt::format("rank {} offers {}, rank {} {}", a, offers_[a][row].domain, b, offers_[b][row].domain);
  for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)})
    if (const auto known = unreached_.find({static_cast<Rank>(to), row});
        static_cast<Rank>(from) == rank_ && known != unreached_.end())
      return fmt::format("from rank {}: {}", from, known->second);
  return fmt::format("ranks {} and {} do not reach each other (TUTTI_LOG=info says why)", a, b);
}

LinkCarrier Connections::carrier(int row, std::size_t a, std::size_t b) const {
  LinkCarrier found;
  std::vector<std::string> reasons, order;
  const auto asked = [&](std::size_t t) {
    const Offer &one = offers_[a][t], &other = offers_[b][t];
    return !transport_table()[t].only_named || !(one.domain + one.about + other.domain + other.about).empty();
  };
  for (std::size_t t = 0; t < transport_table().size(); ++t) {
    const TransportRow& other = transport_table()[t];
    if (asked(t)) order.emplace_back(other.name);
    const bool before = row < 0 || t < static_cast<std::size_t>(row) || (prefers_measured(a, b) && t == *preferred_row_);
    if (asked(t) && before && static_cast<int>(t) != row)
      reasons.push_back(fmt::format("not {}: {}", other.name, why_not(t, a, b)));
  }
  // What would reach other hosts, too, if somebody asked for it.
  for (std::size_t t = 0; t < transport_table().size(); ++t)
    if (row >= 0 && !transport_table()[static_cast<std::size_t>(row)].by_memory && !transport_table()[t].by_memory && !asked(t))
      reasons.push_back(fmt::format("not {}: nobody has named it (TUTTI_TRANSPORT)", transport_table()[t].name));
  if (prefers_measured(a, b) && static_cast<int>(*preferred_row_) == row) reasons = {preferred_->to_string()};
  if (row >= 0) {
    const auto t = static_cast<std::size_t>(row);
    found.transport = transport_table()[t].name;
    found.over = offers_[a][t].about;
    if (reasons.empty()) reasons.push_back(fmt::format("the first that both have, in the order {}", fmt::join(order, ", ")));
  }
  found.why = fmt::format("{}", fmt::join(reasons, "; "));
  return found;
}

std::vector<std::vector<LinkCarrier>> Connections::carriers(std::span<const Grouping> levels) const {
  std::vector<std::map<int, Seen>> seen(levels.size() + 1);
  for (std::size_t a = 0; a < offers_.size(); ++a)
    for (std::size_t b = a + 1; b < offers_.size(); ++b)
      ++seen[shared_level(levels, a, b)].try_emplace(best_between(a, b), Seen{a, b}).first->second.pairs;
  std::vector<std::vector<LinkCarrier>> found;
  for (const auto& of_level : seen) {
    auto& carriers = found.emplace_back();
    for (const auto& [row, first] : of_level) {
      carriers.push_back(carrier(row, first.a, first.b));
      carriers.back().pairs = first.pairs;
    }
    std::ranges::stable_sort(carriers, std::ranges::greater(), &LinkCarrier::pairs);
  }
  return found;
}

}  // namespace tutti
