#include "catalog/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <set>
#include <tuple>

#include "catalog/guarded.h"
#include "catalog/machines.h"
#include "schedule/passes.h"
#include "verify/verify.h"

namespace tutti {
namespace {

enum class Place : std::uint8_t { out_of_place, in_place, every_second };

std::string_view name(Place place) {
  switch (place) {
    case Place::out_of_place:
      return "out of place";
    case Place::in_place:
      return "in place";
    case Place::every_second:
      return "every second rank in place";
  }
  return "?";
}

struct Case {
  Shape shape;
  Chunking chunking;
  Place place = Place::out_of_place;
  const Machine* machine = nullptr;
  const MadeUpRoutes* routes = nullptr;
  bool on_torus = false;  // else only what is carried depends on it

  [[nodiscard]] std::string text() const {
    auto text = fmt::format("{} ranks, root {}, {} piece(s), {}", shape.ranks, shape.root, chunking.pieces, name(place));
    if (chunking.radix != 2) text += fmt::format(", radix {}", chunking.radix);
    if (on_torus) text += fmt::format(", torus {}", fmt::join(shape.torus, "x"));
    if (machine != nullptr) text += fmt::format(", {}", machine->name);
    if (routes != nullptr) text += fmt::format(", {}", routes->name);
    return text;
  }
};

std::vector<Schedule> build(const Algorithm& algorithm, const Case& c) {
  std::vector<Schedule> ranks;
  for (Rank r = 0; r < c.shape.ranks; ++r) {
    Shape shape = c.shape;
    shape.in_place = c.place == Place::in_place || (c.place == Place::every_second && r % 2 == 1);
    ranks.push_back(algorithm.build(r, shape, c.chunking));
  }
  return ranks;
}

template <class T>
void compare(std::vector<std::string>& wrong, std::string_view what, T declared, T measured, bool exact) {
  if (exact ? declared != measured : declared < measured)
    wrong.push_back(fmt::format("{}: declared {}, measured {}", what, declared, measured));
}

// What is declared of one level, or of all messages; `where` names it.
template <class Measured>
void compare_traffic(std::vector<std::string>& wrong, std::string_view where, const LevelCost& declared, const Measured& measured,
                     bool exact) {
  const auto named = [&](std::string_view what) { return fmt::format("{}{}", what, where); };
  compare(wrong, named("rounds"), declared.rounds, measured.rounds, exact);
  compare(wrong, named("path"), declared.path, measured.path, exact);
  compare(wrong, named("sent"), declared.sent, measured.sent, exact);
  if (declared.posted > 0) compare(wrong, named("messages posted"), declared.posted, measured.posted, exact);
  if (declared.at_a_time > 0) compare(wrong, named("messages at a time"), declared.at_a_time, measured.at_a_time, exact);
}

void compare_levels(std::vector<std::string>& wrong, const Cost& cost, const std::vector<Schedule>& ranks, const Proof& proof,
                    const std::vector<Grouping>& levels) {
  std::uint64_t reduced = 0;
  LevelCost declared;  // in the end, of the level between the outermost groups
  for (std::size_t l = 0; l < proof.levels.size(); ++l) {
    declared = {};
    for (const LevelCost& level : cost.levels)
      if (level.level == static_cast<int>(l)) declared = level;
    reduced += declared.reduced;
    compare_traffic(wrong, fmt::format(" at level {}", l), declared, proof.levels[l], cost.exact);
  }
  compare(wrong, "reduced", reduced, proof.reduced, cost.exact);
  if (!levels.empty())
    compare(wrong, "leaving a group", declared.leaving > 0 ? declared.leaving : declared.sent, most_leaving(ranks, levels.back()),
            cost.exact);
}

// What one rank sends and takes in all, in chunks.
struct Exchanged {
  std::uint64_t published = 0;  // what goes to several ranks counted once
  std::uint64_t taken = 0;
};

Exchanged exchanged(const Schedule& schedule) {
  Exchanged all;
  std::set<std::tuple<Buffer, std::uint32_t, std::uint32_t>> published;
  for (const Step& step : schedule.steps) {
    if (step.kind == StepKind::recv) all.taken += step.to.count;
    if (step.kind == StepKind::send && published.insert({step.from.buffer, step.from.chunk, step.from.count}).second)
      all.published += step.from.count;
  }
  return all;
}

// Of a flat row: what it publishes, where it does, and what is taken, there and where that is more than is sent.
void compare_exchanged(std::vector<std::string>& wrong, const Cost& cost, const std::vector<Schedule>& ranks) {
  Exchanged most;
  for (const Schedule& s : ranks) {
    const Exchanged of_rank = exchanged(s);
    most = {std::max(most.published, of_rank.published), std::max(most.taken, of_rank.taken)};
  }
  if (cost.published > 0) compare(wrong, "published", cost.published, most.published, cost.exact);
  const std::uint64_t taken = cost.taken > 0 ? cost.taken : cost.levels.front().sent;
  compare(wrong, "taken", taken, most.taken, cost.exact && cost.taken > 0);
}

// Of a flat row.
std::string wrong_leaving(const Cost& cost, const std::vector<Schedule>& ranks, const std::vector<Grouping>* levels) {
  const std::uint64_t declared = cost.levels.front().leaving;
  if (declared == 0) return "";
  std::vector<std::string> wrong;
  compare(wrong, "leaving a group", declared, levels == nullptr || levels->empty() ? 0 : most_leaving(ranks, levels->back()),
          cost.exact);
  return wrong.empty() ? "" : wrong.front();
}

// One price for all of the machine, or at most one for each of its levels.
std::string wrong_levels(const Cost& cost, const Proof& proof) {
  if (cost.levels.empty()) return "no level is declared: declare one, -1, or those that messages cross";
  const auto most = static_cast<int>(proof.levels.size()) - 1;
  std::set<int> seen;
  for (const LevelCost& level : cost.levels) {
    if (!seen.insert(level.level).second) return fmt::format("level {} is declared twice", level.level);
    const bool flat = level.level == -1 && cost.levels.size() == 1;
    if (!flat && (level.level < 0 || level.level > most))
      return fmt::format("level {} is declared; there is -1, alone{}", level.level,
                         most < 0 ? ": these ranks are all alike" : fmt::format(", or 0 to {}", most));
  }
  return "";
}

std::string network(const Shape& shape) {
  return shape.torus.empty() ? fmt::format("from a pod of {}", shape.pod)
                             : fmt::format("over a torus of {}", fmt::join(shape.torus, "x"));
}

Status check_cost(const Cost& cost, const Shape& shape, const std::vector<Schedule>& ranks, const Proof& proof) {
  if (auto why = wrong_levels(cost, proof); !why.empty())
    return Error(Code::invalid_argument, fmt::format("wrong cost: {}", why));
  std::vector<std::string> wrong;
  compare(wrong, "chunks per block", cost.chunks_per_block, ranks.front().chunks_per_block, true);
  if (cost.levels.front().level == -1) {
    const LevelCost& flat = cost.levels.front();
    compare_traffic(wrong, "", flat, proof, cost.exact);
    compare(wrong, "reduced", flat.reduced, proof.reduced, cost.exact);
    if (flat.carried > 0) compare(wrong, "carried " + network(shape), flat.carried, proof.carried, cost.exact);
    compare_exchanged(wrong, cost, ranks);
    if (auto leaving = wrong_leaving(cost, ranks, shape.levels); !leaving.empty()) wrong.push_back(std::move(leaving));
  } else {
    compare_levels(wrong, cost, ranks, proof, *shape.levels);
  }
  if (wrong.empty()) return {};
  return Error(Code::invalid_argument, fmt::format("wrong cost: {}", fmt::join(wrong, "; ")));
}

class Check {
 public:
  Check(const Algorithm& algorithm, Rank ranks, const CatalogOptions& options)
      : algorithm_(algorithm), options_(options), tori_(made_up_tori(ranks)) {
    if (algorithm.needs.levels && options.levels == nullptr) machines_ = made_up_machines(ranks);
    if (algorithm.needs.routes != RouteKind::none) routes_ = made_up_routes(ranks);
    if (!algorithm.needs.levels && options.levels == nullptr && algorithm.cost) hosts_ = made_up_machines(ranks);
    std::erase_if(hosts_, [&](const Machine& machine) {
      const Cost cost = algorithm.cost({.ranks = ranks, .levels = &machine.levels}, {});
      return cost.levels.empty() || cost.levels.front().leaving == 0;
    });
    add_cases(ranks);
  }
  Check(const Algorithm& algorithm, const Shape& shape, const Chunking& chunking, const CatalogOptions& options)
      : algorithm_(algorithm), options_(options) {
    summary_.roots = 1;
    for (const Place place : {Place::out_of_place, Place::in_place, Place::every_second})
      cases_.push_back({.shape = shape, .chunking = chunking, .place = place});
  }

  Result<CatalogSummary> run() {
    for (const Case& c : cases_)
      if (auto status = check(c); !status)
        return status.because(fmt::format("{} {}, {}", tutti::name(algorithm_.collective), algorithm_.name, c.text()));
    return summary_;
  }

 private:
  void add_cases(Rank p) {
    const std::set<Rank> roots = roots_of(p);
    summary_.roots = roots.size();
    const std::vector<Place> places = places_of(p);
    std::vector<const Machine*> machines{nullptr};
    if (!machines_.empty()) {
      machines.clear();
      for (const Machine& m : machines_) machines.push_back(&m);
    }
    std::vector<const MadeUpRoutes*> routes;
    for (const MadeUpRoutes& r : routes_) routes.push_back(&r);
    if (routes.empty()) routes.push_back(nullptr);
    for (const Machine* machine : machines)
      for (const Rank root : roots)
        for (const Chunking chunking : chunkings(static_cast<std::uint32_t>(p)))
          for (const Place place : places)
            for (const MadeUpRoutes* some : routes) {
              const Shape shape{.ranks = p,
                                .root = root,
                                .in_place = place == Place::in_place,
                                .levels = machine == nullptr ? options_.levels : &machine->levels,
                                .routes = some == nullptr ? nullptr : &some->routes};
              if (!algorithm_.refuses || algorithm_.refuses(shape).empty())
                cases_.push_back({shape, chunking, place, machine, some});
            }
    lay_networks(p);
    if (!algorithm_.uses_torus) return;
    for (std::size_t t = 0; t < tori_.size(); ++t) {
      const Place place = places[t % places.size()];
      const Shape shape{.ranks = p, .in_place = place == Place::in_place, .torus = tori_[t]};
      cases_.push_back({shape, {}, place, nullptr, nullptr, true});
    }
  }

  [[nodiscard]] std::set<Rank> roots_of(Rank p) const {
    if (!has_root(algorithm_.collective)) return {0};
    std::set<Rank> roots{0, 1 % p, p / 2, p - 1};
    if (!options_.roots.empty()) roots.clear();
    for (const Rank r : options_.roots) roots.insert(r % p);
    if (options_.roots.empty() && p <= options_.all_roots_up_to)
      for (Rank r = 0; r < p; ++r) roots.insert(r);
    return roots;
  }

  [[nodiscard]] std::vector<Place> places_of(Rank p) const {
    switch (options_.places) {
      case Places::out_of_place:
        return {Place::out_of_place};
      case Places::in_place:
        return {Place::in_place};
      case Places::every_second:
        return {Place::every_second};
      case Places::both:
        if (p > options_.all_roots_up_to) return {Place::out_of_place, Place::in_place};
        return {Place::out_of_place, Place::in_place, Place::every_second};
    }
    return {};
  }

  // Pods and tori in turn, for what rows declare that they carry.
  void lay_networks(Rank p) {
    for (std::size_t i = 0; i < cases_.size(); ++i)
      if (i % 2 == 0 || algorithm_.uses_torus)
        cases_[i].shape.pod = made_up_pod(p);
      else
        cases_[i].shape.torus = tori_[i / 2 % tori_.size()];
  }

  // Each once: parameters that a row does not have stay as they are, and groups cannot split into more parts than ranks.
  [[nodiscard]] std::set<Chunking> chunkings(std::uint32_t ranks) const {
    std::set<Chunking> all;
    for (const auto pieces : options_.pieces)
      for (const auto radix : options_.radices)
        all.insert({.pieces = algorithm_.pipelines ? pieces : 1,
                    .radix = algorithm_.has_radix ? std::min(radix, std::max(2U, ranks)) : 2});
    return all;
  }

  Status check(const Case& c) {
    auto ranks = build(algorithm_, c);
    const Cost cost = algorithm_.cost ? algorithm_.cost(c.shape, c.chunking) : Cost{};
    const VerifyOptions options{
        .ordered = reduces(algorithm_.collective) && !algorithm_.needs.commutative,
        .equal_blocks = algorithm_.needs.equal_blocks,
        .levels = c.shape.levels,
        .torus = c.shape.torus,
        .pod = c.shape.pod,
        .at_a_time = std::ranges::any_of(cost.levels, [](const LevelCost& level) { return level.at_a_time > 0; })};
    const auto proof = verify(ranks, options);
    if (!proof) return proof.error().clone();
    ++summary_.sets;
    summary_.schedules += ranks.size();
    summary_.steps += proof->steps;
    if (algorithm_.cost) {
      if (auto status = check_cost(cost, c.shape, ranks, *proof); !status) return status;
      if (auto status = check_hosts(c, ranks); !status) return status;
    }
    if (!options_.fused) return {};
    bool differs = false;
    for (Schedule& s : ranks) {
      Schedule fused = fuse(s);
      differs |= fused != s;
      s = std::move(fused);
    }
    if (!differs) return check_order(c, proof->order);  // proved already
    auto fused = verify(ranks, {.ordered = options.ordered, .equal_blocks = options.equal_blocks});
    if (!fused) return fused.because("after fusing");
    ++summary_.sets;
    summary_.schedules += ranks.size();
    return check_order(c, fused->order);
  }

  // What is declared of the order, as the schedules are run.
  [[nodiscard]] Status check_order(const Case& c, const ReductionOrder& order) const {
    if (!reduces(algorithm_.collective)) return {};
    if (algorithm_.meets_at_once && !order.at_once)
      return Error(Code::invalid_argument, "wrong order: contributions are declared to meet in one step, and do not");
    if (is_canonical(algorithm_, c.shape, c.chunking) && !order.canonical)
      return Error(Code::invalid_argument, "wrong order: contributions are declared to meet in the canonical tree, and do not");
    return {};
  }

  // What a flat row says of made-up hosts, which its schedules know nothing of.
  [[nodiscard]] Status check_hosts(const Case& c, const std::vector<Schedule>& ranks) const {
    Shape shape = c.shape;
    for (const Machine& machine : hosts_) {
      shape.levels = &machine.levels;
      if (auto wrong = wrong_leaving(algorithm_.cost(shape, c.chunking), ranks, shape.levels); !wrong.empty())
        return Error(Code::invalid_argument, fmt::format("wrong cost: {} on {}", wrong, machine.name));
    }
    return {};
  }

  const Algorithm& algorithm_;
  const CatalogOptions& options_;
  std::vector<Machine> machines_, hosts_;
  std::vector<MadeUpRoutes> routes_;
  std::vector<std::vector<Rank>> tori_;
  std::vector<Case> cases_;
  CatalogSummary summary_;
};

template <class Checks>
Result<CatalogSummary> guarded_checks(const Algorithm& algorithm, Rank ranks, Checks checks) {
  return guarded(checks, [&](const std::string& thrown) -> Result<CatalogSummary> {
    return Error(Code::invalid_argument,
                 fmt::format("{} {}, {} ranks, {}", name(algorithm.collective), algorithm.name, ranks, thrown));
  });
}

}  // namespace

bool applies(const Algorithm& algorithm, Rank ranks) noexcept {
  const Requirements& needs = algorithm.needs;
  return ranks >= std::max<Rank>(1, needs.min_ranks) && (!needs.even || ranks % 2 == 0) &&
         (!needs.power_of_two || std::has_single_bit(static_cast<std::uint32_t>(ranks)));
}

Result<CatalogSummary> verify_algorithm(const Algorithm& algorithm, Rank ranks, const CatalogOptions& options) {
  if (!applies(algorithm, ranks))
    return Error(Code::invalid_argument,
                 fmt::format("{} {} is not made for {} ranks", name(algorithm.collective), algorithm.name, ranks));
  return guarded_checks(algorithm, ranks, [&] { return Check(algorithm, ranks, options).run(); });
}

Result<CatalogSummary> verify_cut(const Algorithm& algorithm, const Shape& shape, const Chunking& chunking) {
  return guarded_checks(algorithm, shape.ranks, [&] { return Check(algorithm, shape, chunking, {}).run(); });
}

}  // namespace tutti
