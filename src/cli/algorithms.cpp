#include "cli/algorithms.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "algorithms/registry.h"
#include "cli/question.h"
#include "cli/report.h"
#include "cli/schedule.h"
#include "cli/usage.h"

namespace tutti {
namespace {

constexpr Rank kUsualRanks = 8;

struct TableOptions {
  std::string collective;
  Rank ranks = kUsualRanks;
  bool json = false;
  OwnAlgorithms own;
};

struct ShowOptions {
  std::string algorithm, collective;
  Rank ranks = kUsualRanks, root = 0;
  std::uint32_t pieces = 1, radix = 2;
  ScheduleView view;
  OwnAlgorithms own;
};

// Made up: so many ranks, in two groups of neighbours where that can be.
JobMachine two_groups(Rank ranks) {
  JobMachine machine;
  machine.ranks = ranks;
  if (ranks % 2 != 0) return machine;
  std::vector<int> group_of(static_cast<std::size_t>(ranks));
  std::fill(group_of.begin() + ranks / 2, group_of.end(), 1);
  machine.levels = {Grouping(group_of)};
  return machine;
}

std::string refusal(const Algorithm& a, const JobMachine& machine) {
  if (a.needs.levels && machine.levels.empty())
    return fmt::format("needs ranks in groups: two equal ones cannot be made of {}", machine.ranks);
  if (a.needs.routes != RouteKind::none) return "";  // made up as well: see Shape::routes
  return refusal(a, SelectRequest{.collective = a.collective}, machine);
}

Shape shape_for(const Algorithm& a, const JobMachine& machine, Rank root) {
  return {.ranks = machine.ranks, .root = root, .levels = a.needs.levels ? &machine.levels : nullptr};
}

// ---- the table

struct Row {
  const Algorithm* algorithm;
  std::string refused;  // empty: there is a cost
  Cost cost = {};       // levels: of all messages, or of those within groups, then of those between them
};

// The cost of one level, whether the algorithm uses it or not.
LevelCost at_level(const Cost& cost, int level) {
  const auto found = std::ranges::find(cost.levels, level, &LevelCost::level);
  return found == cost.levels.end() ? LevelCost{.level = level} : *found;
}

std::vector<Row> rows_of(const AlgorithmTable& table, const std::string& collective, const JobMachine& machine) {
  std::vector<Row> rows;
  for (const Algorithm* a : table.rows()) {
    if (!collective.empty() && name(a->collective) != collective) continue;
    Row row{.algorithm = a, .refused = refusal(*a, machine)};
    if (row.refused.empty()) row.cost = a->cost(shape_for(*a, machine, 0), {});
    if (row.refused.empty() && a->needs.levels) row.cost.levels = {at_level(row.cost, 0), at_level(row.cost, 1)};
    rows.push_back(std::move(row));
  }
  return rows;
}

// In blocks; those of a barrier are empty.
double sent(const Row& row, const LevelCost& level) {
  if (row.algorithm->collective == Collective::barrier) return 0;
  return static_cast<double>(level.sent) / row.cost.chunks_per_block;
}

std::vector<std::string> needs(const Requirements& r) {
  std::vector<std::string> words;
  if (r.power_of_two) words.emplace_back("power of two");
  if (r.even) words.emplace_back("even");
  if (r.commutative) words.emplace_back("commutative");
  if (r.levels) words.emplace_back("levels");
  if (r.routes != RouteKind::none) words.emplace_back("routes");
  if (r.equal_blocks) words.emplace_back("equal blocks");
  if (r.min_ranks > 1) words.push_back(fmt::format("{} ranks", r.min_ranks));
  if (words.empty()) words.emplace_back("-");
  return words;
}

std::string_view parameters(const Algorithm& a) {
  return a.pipelines && a.has_radix ? "pieces, radix" : a.pipelines ? "pieces" : a.has_radix ? "radix" : "-";
}

// How contributions to a result meet, for any radix and the machine of the table.
std::string_view order(const Row& row, const JobMachine& machine) {
  const Algorithm& a = *row.algorithm;
  if (!reduces(a.collective)) return "-";
  if (a.meets_at_once) return "at once";
  if (a.needs.levels && machine.levels.empty()) return "-";
  const Shape shape = shape_for(a, machine, 0);
  const bool some = a.canonical && std::ranges::any_of(kRadices, [&](std::uint32_t k) { return a.canonical(shape, {1, k}); });
  return some ? "canonical" : "own";
}

void print_row(const Row& row, const JobMachine& machine) {
  const Algorithm& a = *row.algorithm;
  std::vector<std::string> rounds, blocks;
  for (const LevelCost& level : row.cost.levels) {
    rounds.push_back(fmt::format("{}", level.rounds));
    blocks.push_back(fmt::format("{:.3f}", sent(row, level)));
  }
  fmt::print("  {:<22} {:>7} {:>13}  {:<13}  {:<9}  {:<9}  {}\n", a.name,
             rounds.empty() ? "-" : fmt::format("{}", fmt::join(rounds, "+")),
             blocks.empty() ? "-" : fmt::format("{}", fmt::join(blocks, "+")), parameters(a), a.publishes ? "yes" : "-",
             order(row, machine), fmt::join(needs(a.needs), ", "));
  if (!row.refused.empty()) fmt::print("      no figures: {}\n", row.refused);
  fmt::print("      {}\n      {}\n", a.summary, a.source);
}

void print_table(const std::vector<Row>& rows, const JobMachine& machine) {
  const Rank ranks = machine.ranks;
  const Algorithm* before = nullptr;
  for (const Row& row : rows) {
    if (before == nullptr || before->collective != row.algorithm->collective)
      fmt::print("{}{}, {} rank{}\n  {:<22} {:>7} {:>13}  {:<13}  {:<9}  {:<9}  needs\n", before == nullptr ? "" : "\n",
                 name(row.algorithm->collective), ranks, ranks == 1 ? "" : "s", "algorithm", "rounds", "sent", "parameters",
                 "published", "order");
    before = row.algorithm;
    print_row(row, machine);
  }
  fmt::print(
      "\nrounds      messages on the longest chain; within groups + between them, where ranks are in two groups (levels)\n"
      "sent        what the rank that sends most sends, in blocks (or vectors, where there are no blocks), without pieces\n"
      "parameters  pieces: what is sent can be cut into pieces that follow each other; radix: groups of ranks split into so "
      "many\n"
      "published   on shared memory a rank can write what it sends once, where all the others read it\n"
      "order       how contributions to a result meet: in one step (at once), in the canonical tree, which is the same of all "
      "that\n            have it (canonical), or in one of its own\n"
      "needs       of the number of ranks, the operator, the machine, the sizes of blocks\n");
}

// Totals are null where there is no cost. Those of two levels are upper bounds: a rank may be the busiest of one level only.
nlohmann::ordered_json to_json(const Row& row, const JobMachine& machine) {
  const Algorithm& a = *row.algorithm;
  nlohmann::ordered_json json{{"collective", name(a.collective)},
                              {"name", a.name},
                              {"pipelines", a.pipelines},
                              {"has_radix", a.has_radix},
                              {"publishes", a.publishes},
                              {"order", order(row, machine)},
                              {"needs",
                               {{"power_of_two", a.needs.power_of_two},
                                {"even", a.needs.even},
                                {"commutative", a.needs.commutative},
                                {"levels", a.needs.levels},
                                {"routes", a.needs.routes != RouteKind::none},
                                {"equal_blocks", a.needs.equal_blocks},
                                {"min_ranks", a.needs.min_ranks}}},
                              {"ranks", machine.ranks},
                              {"rounds", nullptr},
                              {"sent_blocks", nullptr},
                              {"levels", nlohmann::ordered_json::array()},
                              {"no_cost", nullptr},
                              {"summary", a.summary},
                              {"source", a.source}};
  if (!a.origin.empty()) json["origin"] = a.origin;
  if (!row.refused.empty()) {
    json["no_cost"] = row.refused;
    return json;
  }
  std::uint64_t rounds = 0;
  double blocks = 0;
  for (const LevelCost& level : row.cost.levels) {
    rounds += level.rounds;
    blocks += sent(row, level);
    json["levels"].push_back({{"messages", level.level < 0    ? "all"
                                           : level.level == 0 ? "within groups"
                                                              : "between groups"},
                              {"rounds", level.rounds},
                              {"sent_blocks", sent(row, level)}});
  }
  json["rounds"] = rounds;
  json["sent_blocks"] = blocks;
  return json;
}

void run_table(const TableOptions& o) {
  if (!o.collective.empty()) (void)collective_of(o.collective);  // leaves where there is none
  const AlgorithmTable table = table_for(o.own, o.ranks, {});
  const JobMachine machine = two_groups(o.ranks);
  const auto rows = rows_of(table, o.collective, machine);
  if (!o.json) return print_table(rows, machine);
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Row& row : rows) all.push_back(to_json(row, machine));
  fmt::print("{}\n", all.dump(2));
}

// ---- one algorithm

const Algorithm& algorithm_from(const AlgorithmTable& table, const ShowOptions& o) {
  if (o.algorithm.empty()) leave("which algorithm? `tutti algorithms` lists them", kExitUsage);
  if (!o.collective.empty()) {
    const Collective collective = collective_of(o.collective);
    if (const Algorithm* found = table.find(collective, o.algorithm)) return *found;
    leave(
        fmt::format("there is no algorithm \"{}\" for {}; there are {}", o.algorithm, name(collective), table.names(collective)),
        kExitUsage);
  }
  std::vector<const Algorithm*> found;
  std::ranges::copy_if(table.rows(), std::back_inserter(found), [&](const Algorithm* a) { return a->name == o.algorithm; });
  if (found.size() == 1) return *found.front();
  if (found.empty())
    leave(fmt::format("there is no algorithm \"{}\"; there are {}", o.algorithm, names_of(table.rows())), kExitUsage);
  std::string collectives;
  for (const Algorithm* a : found) collectives += (collectives.empty() ? "" : ", ") + std::string(name(a->collective));
  leave(fmt::format("which collective? There is a {} for {}: say --collective", o.algorithm, collectives), kExitUsage);
}

void run_show(const ShowOptions& o) {
  if (!o.view.file.empty()) return show_file(o.view);
  const AlgorithmTable table = table_for(o.own, o.ranks, {});
  const Algorithm& algorithm = algorithm_from(table, o);
  const JobMachine machine = two_groups(o.ranks);
  if (const auto why = refusal(algorithm, machine); !why.empty())
    leave(fmt::format("{} {} {}", name(algorithm.collective), algorithm.name, why), kExitUsage);
  check_root(o.root, o.ranks);
  check_pieces(algorithm, o.pieces);
  check_radix(algorithm, o.radix);
  check_view(o.view, o.ranks);
  show_schedules(algorithm, shape_for(algorithm, machine, o.root), {o.pieces, o.radix}, o.view);
}

void add_show_command(CLI::App& algorithms_command) {
  auto o = std::make_shared<ShowOptions>();
  auto* command = algorithms_command.add_subcommand(
      "show",
      "Prints what each rank does in one of them, or draws it, as `tutti schedule` does, but never by the machine at hand: ranks "
      "are in two groups where the algorithm needs groups");
  command->add_option("name", o->algorithm, "Its name: ring, knomial, ...");
  command->add_option("--collective", o->collective, "Its collective, where several have one of this name: all_reduce, ...");
  command->add_option("--ranks", o->ranks, "Number of ranks")->capture_default_str()->check(number<Rank>(1, kMostRanks));
  command->add_option("--pieces", o->pieces, "Into how many pieces an algorithm that pipelines cuts what it sends")
      ->capture_default_str()
      ->check(number<std::uint32_t>(1U, kMostPieces));
  command->add_option("--radix", o->radix, "Into how many parts groups of ranks split, where the algorithm lets one choose")
      ->capture_default_str()
      ->check(number<std::uint32_t>(2U, kMostRadix));
  command->add_option("--root", o->root, "Root, for collectives that have one")->capture_default_str()->check(number<Rank>());
  add_own_options(*command, o->own);
  add_drawing_options(*command, o->view,
                      {"name", "--collective", "--ranks", "--pieces", "--radix", "--root", "--schedules", "--plugins"});
  command->footer(with_exit_statuses("Example: tutti algorithms show ring --collective all_reduce --ranks 4 --svg ring.svg\n"));
  // Options of the table, which come before `show`, would be lost here.
  command->callback([o, table = &algorithms_command] {
    for (const char* option : {"collective", "--ranks", "--json", "--schedules", "--plugins"})
      if (table->count(option) > 0) leave(fmt::format("{} goes with the table, not with `show`", option), kExitUsage);
    run_show(*o);
  });
}

}  // namespace

void add_algorithms_command(CLI::App& app) {
  auto o = std::make_shared<TableOptions>();
  auto* command = app.add_subcommand("algorithms", "Lists the algorithms of the library, what they need and cost, or shows one");
  command->add_option("collective", o->collective, "Only those of all_reduce, all_gather, broadcast, ...");
  command->add_option("--ranks", o->ranks, "Rounds and blocks for so many ranks")
      ->capture_default_str()
      ->check(number<Rank>(1, kMostRanks));
  command->add_flag("--json", o->json, "For programs: a list with one object for each algorithm");
  add_own_options(*command, o->own);
  command->footer(
      with_exit_statuses("Examples: tutti algorithms all_reduce --ranks 16\n"
                         "          tutti algorithms show ring --collective all_reduce --ranks 4\n"));
  add_show_command(*command);
  command->callback([o, command] {
    if (command->get_subcommands().empty()) run_table(*o);
  });
}

}  // namespace tutti
