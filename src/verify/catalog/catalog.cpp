#include "catalog/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>
#include <set>

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

void compare_levels(std::vector<std::string>& wrong, const Cost& cost, const Proof& proof) {
  std::uint64_t reduced = 0;
  for (std::size_t l = 0; l < proof.levels.size(); ++l) {
    LevelCost declared;
    for (const LevelCost& level : cost.levels)
      if (level.level == static_cast<int>(l)) declared = level;
    reduced += declared.reduced;
    const Traffic& measured = proof.levels[l];
    compare(wrong, fmt::format("rounds at level {}", l), declared.rounds, measured.rounds, cost.exact);
    compare(wrong, fmt::format("path at level {}", l), declared.path, measured.path, cost.exact);
    compare(wrong, fmt::format("sent at level {}", l), declared.sent, measured.sent, cost.exact);
  }
  compare(wrong, "reduced", reduced, proof.reduced, cost.exact);
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
  if (auto levels = wrong_levels(cost, proof); !levels.empty())
    return Error(Code::invalid_argument, fmt::format("wrong cost: {}", levels));
  std::vector<std::string> wrong;
  compare(wrong, "chunks per block", cost.chunks_per_block, ranks.front().chunks_per_block, true);
  if (cost.levels.front().level == -1) {
    const LevelCost& flat = cost.levels.front();
    compare(wrong, "rounds", flat.rounds, proof.rounds, cost.exact);
    compare(wrong, "path", flat.path, proof.path, cost.exact);
    compare(wrong, "sent", flat.sent, proof.sent, cost.exact);
    compare(wrong, "reduced", flat.reduced, proof.reduced, cost.exact);
    if (flat.carried > 0) compare(wrong, "carried " + network(shape), flat.carried, proof.carried, cost.exact);
  } else {
    compare_levels(wrong, cost, proof);
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
    std::set<Rank> roots{0};
    if (has_root(algorithm_.collective)) {
      roots = {0, 1 % p, p / 2, p - 1};
      if (p <= options_.all_roots_up_to)
        for (Rank r = 0; r < p; ++r) roots.insert(r);
    }
    summary_.roots = roots.size();
    std::vector<Place> places;
    if (options_.places != Places::in_place) places.push_back(Place::out_of_place);
    if (options_.places != Places::out_of_place) places.push_back(Place::in_place);
    if (options_.places == Places::both && p <= options_.all_roots_up_to) places.push_back(Place::every_second);
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

  // Pods and tori in turn, for what rows declare that they carry.
  void lay_networks(Rank p) {
    for (std::size_t i = 0; i < cases_.size(); ++i)
      if (i % 2 == 0 || algorithm_.uses_torus)
        cases_[i].shape.pod = made_up_pod(p);
      else
        cases_[i].shape.torus = tori_[i / 2 % tori_.size()];
  }

  [[nodiscard]] std::vector<Chunking> chunkings(std::uint32_t ranks) const {
    std::vector<Chunking> all;
    for (const auto pieces : options_.pieces)
      for (const auto radix : options_.radices)
        if ((pieces == 1 || algorithm_.pipelines) && (radix == 2 || (algorithm_.has_radix && radix <= ranks)))
          all.push_back({pieces, radix});
    return all;
  }

  Status check(const Case& c) {
    auto ranks = build(algorithm_, c);
    const VerifyOptions options{.ordered = reduces(algorithm_.collective) && !algorithm_.needs.commutative,
                                .equal_blocks = algorithm_.needs.equal_blocks,
                                .levels = c.shape.levels,
                                .torus = c.shape.torus,
                                .pod = c.shape.pod};
    const auto proof = verify(ranks, options);
    if (!proof) return proof.error().clone();
    ++summary_.sets;
    summary_.schedules += ranks.size();
    summary_.steps += proof->steps;
    if (algorithm_.cost)
      if (auto status = check_cost(algorithm_.cost(c.shape, c.chunking), c.shape, ranks, *proof); !status) return status;
    if (!options_.fused) return {};
    for (Schedule& s : ranks) s = fuse(s);
    auto fused = verify(ranks, {.ordered = options.ordered, .equal_blocks = options.equal_blocks});
    if (!fused) return fused.because("after fusing");
    ++summary_.sets;
    summary_.schedules += ranks.size();
    return {};
  }

  const Algorithm& algorithm_;
  const CatalogOptions& options_;
  std::vector<Machine> machines_;
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
