#include "select/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <ranges>

#include "core/config.h"

namespace tutti {

std::string ways_of(const LinkTuning& tuning) {
  std::string ways;
  const auto add = [&](std::size_t from, std::string_view way, const std::string& how = "") {
    if (from != LinkTuning::kNever) ways += fmt::format("{}{} from {}{}", ways.empty() ? "" : ", ", way, format_bytes(from), how);
  };
  std::string handed_back;
  if (tuning.handed_back_below > tuning.mapped_from)
    handed_back = tuning.handed_back_below == LinkTuning::kNever
                      ? " (and handed back)"
                      : fmt::format(" (and handed back below {})", format_bytes(tuning.handed_back_below));
  add(tuning.oldest_first_from, "cells used oldest first");
  add(tuning.past_caches_from, "stored past the caches");
  add(tuning.direct_from, "read from the sender's memory");
  add(tuning.mapped_from, "read in place where memory is of tutti::allocate() or adopted", handed_back);
  add(tuning.placed_from, "results written in place into such memory");
  return ways;
}

std::string_view said(Origin origin) { return origin == Origin::system ? "measured" : name(origin); }

std::string scope_of(const JobMachine& m, std::size_t i) {
  if (i < m.level_names.size() && m.on_gpus && m.level_names[i] == Level::core) return "on one GPU";
  return i < m.level_names.size() ? fmt::format("inside a {}", name(m.level_names[i]))
                                  : std::string(m.level_names.empty() ? "between ranks" : "between the outermost groups");
}

std::string most_of(const Candidate& c, const JobMachine& m) {
  const double most = std::max({c.latency_us, c.bandwidth_us, c.reduction_us, c.contention_us});
  if (most == c.reduction_us && most > 0) return "reductions";
  if (most == c.contention_us && c.bounding_pod > 0)
    return fmt::format("sharing the uplinks of a pod of {} ranks", c.bounding_pod);
  const std::string_view what = most == c.contention_us && most > 0 ? "sharing" : most == c.bandwidth_us ? "bytes" : "latency";
  return fmt::format("{} {}", what, scope_of(m, c.bounding_link));
}

namespace {

// "tcp      eth0 10.0.0.1; not verbs: ..."
std::string carried_by(const LinkCarrier& carrier, bool one_of_several) {
  std::string text = fmt::format("{:<8} ", carrier.transport.empty() ? "nothing" : carrier.transport);
  if (one_of_several) text += fmt::format("{} pair{} of ranks; ", carrier.pairs, carrier.pairs == 1 ? "" : "s");
  if (!carrier.over.empty()) text += carrier.over + "; ";
  return text + carrier.why;
}

std::string measured_column(const Candidate& c, bool just_there) {
  if (!c.measured_us) return fmt::format(" {:>11}", "-");
  return fmt::format(" {:>11}", fmt::format("{}{:.2f}", just_there ? "" : "~", *c.measured_us));
}

std::string reason(const Selection& s, const SelectRequest& request) {
  if (!request.forced.empty())
    return request.forced_by.empty() ? "because it was forced" : fmt::format("because it was forced by {}", request.forced_by);
  return s.winner().measured_us ? "the least time by measurement" : "the least predicted time";
}

// "direct; ring from 512": who wins at which size, and where the next change is.
std::string by_size(const SelectRequest& request, const JobMachine& m) {
  const auto table = crossovers(request, m);
  if (table.size() < 2) return "";
  std::string line, next;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const std::string_view name = table[i].winner.algorithm->name;
    line += i == 0 ? std::string(name) : fmt::format("; {} from {}", name, format_bytes(table[i].from_bytes));
    if (next.empty() && table[i].from_bytes > request.block_bytes)
      next = fmt::format("  the next change: {} from {} bytes on\n", name, format_bytes(table[i].from_bytes));
  }
  return fmt::format("  by size: {}\n{}", line, next);
}

}  // namespace

std::string describe_ranks(const JobMachine& m) {
  std::string text = fmt::format("{} rank{}", m.ranks, m.ranks == 1 ? "" : "s");
  for (std::size_t l = m.levels.size(); l-- > 0;)
    text += fmt::format(", {} {} groups", m.levels[l].groups(), name(m.level_names[l]));
  if (!m.torus.empty()) text += fmt::format(", a torus of {}", fmt::join(m.torus, "x"));
  for (const Pods& pods : m.pods)
    text += fmt::format(", in pods of {} with uplinks for {:.4g} link{}", pods.size, pods.uplinks, pods.uplinks == 1 ? "" : "s");
  if (m.on_gpus)
    return text + fmt::format("; one per GPU, at most {} that share their host's {} link{} to the network", m.ranks_per_host,
                              m.rails_per_host, m.rails_per_host == 1 ? "" : "s");
  text += fmt::format("; at most {} on a host of {} cores", m.ranks_per_host, m.cores_per_host);
  if (m.hosts_share_cores()) text += "; hosts share cores, which are their network, too";
  if (m.oversubscribed())
    text += fmt::format(" (oversubscribed: {} ranks share the cores, every round costs a turn over them)", m.core_sharers);
  return text;
}

std::string render(const Selection& s, const SelectRequest& request, const JobMachine& m) {
  std::string out;
  auto to = std::back_inserter(out);
  fmt::format_to(to, "{} of {} bytes{}, {}\n", name(request.collective), request.block_bytes,
                 request.collective == Collective::all_reduce || request.collective == Collective::broadcast ? "" : " per block",
                 describe_ranks(m));
  for (std::size_t i = 0; i < m.links.size(); ++i)
    fmt::format_to(to, "  {:<30} latency {:>8.3f} us   bandwidth {:>8.2f} GB/s   ({})\n", scope_of(m, i), m.links[i].latency_us,
                   m.links[i].bandwidth_gbps, said(m.links[i].origin));
  for (std::size_t i = 0; i < m.carriers.size(); ++i)
    for (const LinkCarrier& carrier : m.carriers[i])
      fmt::format_to(to, "  {:<30} {}\n", &carrier == m.carriers[i].data() ? scope_of(m, i) : "",
                     carried_by(carrier, m.carriers[i].size() > 1));
  for (std::size_t i = 0; i < m.tuning.size(); ++i)
    if (const std::string ways = ways_of(m.tuning[i]); !ways.empty())
      fmt::format_to(to, "  {:<30} messages {}\n", scope_of(m, i), ways);
  for (const auto line : m.adoption | std::views::split('\n'))
    fmt::format_to(to, "  {:<30} {}\n", "", std::string_view(line.begin(), line.end()));
  fmt::format_to(to, "  one {} reduces {:.1f} GB/s and copies {:.1f} GB/s ({})\n", m.on_gpus ? "GPU" : "core", m.reduce_gbps,
                 m.copy_gbps, said(m.core_origin));
  if (const std::string promise = describe(request.numerics); !promise.empty()) fmt::format_to(to, "  bits: {}\n", promise);
  const bool measured = std::ranges::any_of(s.candidates, [](const Candidate& c) { return c.measured_us.has_value(); });
  const bool just_there = m.measured.has(request.collective, request.block_bytes);
  if (!m.measured.empty())
    fmt::format_to(to, "  {} measurements of whole calls from {}\n", m.measured.all().size(), m.measured.source());
  fmt::format_to(to, "\n  {:<25} {:>6} {:>7} {:>11} {:>11} {:>11} {:>11} {:>11}{}  most of it\n", "algorithm", "pieces", "rounds",
                 "latency us", "bytes us", "reduce us", "sharing us", "total us",
                 measured ? fmt::format(" {:>11}", "measured") : "");
  for (const Candidate& c : s.candidates) {
    if (!c.refused.empty()) {
      fmt::format_to(to, "  {:<25} refused: {}\n", c.algorithm->name, c.refused);
      continue;
    }
    fmt::format_to(to, "{} {:<25} {:>6} {:>7} {:>11.2f} {:>11.2f} {:>11.2f} {:>11.2f} {:>11.2f}{}  {}{}{}\n",
                   &c == &s.winner() ? ">" : " ", name_with_radix(*c.algorithm, c.chunking), c.chunking.pieces, c.rounds,
                   c.latency_us, c.bandwidth_us, c.reduction_us, c.contention_us, c.total_us,
                   measured ? measured_column(c, just_there) : "", most_of(c, m), c.published ? "; published" : "",
                   c.algorithm->origin.empty() ? "" : fmt::format("; from {}", c.algorithm->origin));
  }
  if (measured && !just_there) fmt::format_to(to, "\n  ~: between sizes that were measured, or beside them\n");
  fmt::format_to(to, "\n  sharing: what it costs that ranks share cores and networks\n");
  if (std::ranges::any_of(s.candidates, &Candidate::published))
    fmt::format_to(to, "  published: written once into shared memory, where all other ranks read it\n");
  fmt::format_to(to, "\n  chosen: {}, {}\n", name_with_radix(*s.winner().algorithm, s.winner().chunking), reason(s, request));
  if (request.forced.empty()) out += by_size(request, m);
  return out;
}

std::string to_json(const Selection& s, const SelectRequest& request, const JobMachine& m) {
  using nlohmann::json;
  json links = json::array(), candidates = json::array();
  const auto threshold = [](std::size_t from) { return from == LinkTuning::kNever ? json() : json(from); };
  for (std::size_t i = 0; i < m.links.size(); ++i) {
    links.push_back({{"scope", scope_of(m, i)},
                     {"latency_us", m.links[i].latency_us},
                     {"bandwidth_gbps", m.links[i].bandwidth_gbps},
                     {"origin", said(m.links[i].origin)}});
    if (i < m.tuning.size())
      links.back().update({{"oldest_first_from", threshold(m.tuning[i].oldest_first_from)},
                           {"past_caches_from", threshold(m.tuning[i].past_caches_from)},
                           {"direct_from", threshold(m.tuning[i].direct_from)},
                           {"mapped_from", threshold(m.tuning[i].mapped_from)},
                           {"handed_back_below", threshold(m.tuning[i].handed_back_below)},
                           {"placed_from", threshold(m.tuning[i].placed_from)},
                           {"mapped_saves_us_per_page", m.tuning[i].mapped_saves_us}});
  }
  for (std::size_t i = 0; i < m.carriers.size(); ++i) {
    json& carriers = links[i]["transports"] = json::array();
    for (const LinkCarrier& c : m.carriers[i])
      carriers.push_back({{"transport", c.transport.empty() ? json() : json(c.transport)},
                          {"over", c.over},
                          {"why", c.why},
                          {"pairs", c.pairs == 0 ? json() : json(c.pairs)}});
  }
  for (const Candidate& c : s.candidates) {
    json row{{"algorithm", c.algorithm->name}, {"source", c.algorithm->source}};
    if (!c.algorithm->origin.empty()) row["origin"] = c.algorithm->origin;
    if (c.refused.empty() && c.algorithm->has_radix) row["radix"] = c.chunking.radix;
    if (c.refused.empty())
      row.update({{"pieces", c.chunking.pieces},
                  {"published", c.published},
                  {"rounds", c.rounds},
                  {"latency_us", c.latency_us},
                  {"bandwidth_us", c.bandwidth_us},
                  {"reduction_us", c.reduction_us},
                  {"contention_us", c.contention_us},
                  {"total_us", c.total_us},
                  {"measured_us", c.measured_us ? json(*c.measured_us) : json()},
                  {"bounding_link", scope_of(m, c.bounding_link)},
                  {"bounding_pod", c.bounding_pod}});
    else
      row["refused"] = c.refused;
    candidates.push_back(std::move(row));
  }
  json pods = json::array();
  for (const Pods& of : m.pods) pods.push_back({{"ranks", of.size}, {"uplinks", of.uplinks}});
  json by_size = json::array();
  if (request.forced.empty())
    for (const Crossover& change : crossovers(request, m))
      by_size.push_back({{"from_bytes", change.from_bytes}, {"algorithm", change.winner.algorithm->name}});
  return json{{"collective", name(request.collective)},
              {"block_bytes", request.block_bytes},
              {"ranks", m.ranks},
              {"ranks_per_host", m.ranks_per_host},
              {"core_sharers", m.core_sharers},
              {"cores_per_host", m.cores_per_host},
              {"reduce_gbps", m.reduce_gbps},
              {"core_origin", said(m.core_origin)},
              {"copy_gbps", m.copy_gbps},
              {"links", links},
              {"adoption", m.adoption.empty() ? json() : json(m.adoption)},
              {"torus", m.torus},
              {"pods", pods},
              {"order", name(request.numerics.asked)},
              {"chosen", s.winner().algorithm->name},
              {"forced", !request.forced.empty()},
              {"forced_by", request.forced.empty() ? json(nullptr) : json(request.forced_by)},
              {"filter", request.filter},
              {"filtered_by", request.filtered_by},
              {"candidates", candidates},
              {"by_size", by_size}}
      .dump(2, ' ', false, json::error_handler_t::replace);
}

}  // namespace tutti
