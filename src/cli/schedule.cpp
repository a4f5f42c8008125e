#include "cli/schedule.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <map>
#include <tuple>

#include "cli/draw.h"
#include "cli/question.h"
#include "cli/report.h"
#include "cli/usage.h"
#include "core/file.h"
#include "core/printable.h"
#include "custom/names.h"
#include "schedule/passes.h"
#include "verify/verify.h"

namespace tutti {
namespace {

// What the parser of the text form takes.
constexpr std::size_t kMostShown = std::size_t{1} << 22, kMostSchedules = std::size_t{1} << 17;

struct ScheduleOptions {
  Question question;
  std::uint32_t pieces = 0, radix = 0;  // 0: not given
  bool in_place = false;
  bool named = false;    // an algorithm, by --algorithm
  bool renamed = false;  // by --name
  ScheduleView view;
};

// What was asked for, or else one piece and radix 2 for an algorithm that was asked for, or else what comes with the selector's
// choice.
Chunking chunking_from(const ScheduleOptions& o, const Candidate& chosen) {
  check_pieces(*chosen.algorithm, o.pieces);
  check_radix(*chosen.algorithm, o.radix);
  Chunking chunking = chosen.chunking;
  if (o.named) {
    const auto forced = ForcedAlgorithm::parse(o.question.algorithm);  // as it has been parsed before
    chunking = {.pieces = std::max(1U, forced->pieces), .radix = std::max(2U, forced->radix)};
  }
  if (o.pieces > 0) chunking.pieces = o.pieces;
  if (o.radix > 0) chunking.radix = o.radix;
  return chunking;
}

// Among algorithms that have these parameters, where none is named.
void ask_for_parameters(ScheduleOptions& o) {
  o.named = !o.question.algorithm.empty();
  if (o.named) return;
  if (o.pieces > 1) o.question.algorithm += fmt::format("/pieces={}", o.pieces);
  if (o.radix > 2) o.question.algorithm += fmt::format("/radix={}", o.radix);
  if (!o.question.algorithm.empty()) o.question.forced_by = "--pieces and --radix";
}

// What TUTTI_SCHEDULES would refuse later.
void check_name(const ScheduleOptions& o) {
  const std::string& chosen = o.view.name;
  if (!is_algorithm_name(chosen)) leave(fmt::format("--name \"{}\": {}", printable(chosen), kNamesAreMadeOf), kExitUsage);
  const Collective collective = collective_of(o.question.collective);
  if (find_algorithm(collective, chosen) == nullptr) return;
  leave(fmt::format("--name {} is taken by the library; for {} these names are: {}", chosen, name(collective),
                    AlgorithmTable().names(collective)),
        kExitUsage);
}

void run(ScheduleOptions& o) {
  if (!o.view.file.empty()) return show_file(o.view);
  if (o.renamed) check_name(o);
  ask_for_parameters(o);
  const Answer a = ask(o.question);
  const Algorithm& algorithm = *a.selection.winner().algorithm;
  const Chunking chunking = chunking_from(o, a.selection.winner());
  const Rank ranks = a.machine.ranks;
  check_view(o.view, ranks);
  if (!o.named)
    fmt::print(stderr, "tutti schedule: {} in {} piece{}, as would be chosen for {} bytes; `tutti explain` says why\n",
               name_with_radix(algorithm, chunking), chunking.pieces, chunking.pieces == 1 ? "" : "s", o.question.bytes);
  const Shape shape = shape_on(a.machine, o.question.root, o.in_place);
  show_schedules(algorithm, shape, chunking, o.view);
}

std::string title_of(const Schedule& s) {
  return fmt::format("{} {} of {} ranks{}{}", name(s.collective), printable(s.algorithm), s.ranks,
                     has_root(s.collective) ? fmt::format(" with root {}", s.root) : "", s.in_place ? " in place" : "");
}

// One set, which may be the worse for an edit, unless there are more schedules than its ranks: then by what they are for.
std::vector<std::vector<Schedule>> sets_of(std::vector<Schedule> schedules) {
  if (schedules.size() <= static_cast<std::size_t>(schedules.front().ranks)) return {std::move(schedules)};
  std::map<std::tuple<Collective, std::string, Rank, Rank, bool>, std::vector<Schedule>> sets;
  for (Schedule& s : schedules) sets[{s.collective, s.algorithm, s.ranks, s.root, s.in_place}].push_back(std::move(s));
  std::vector<std::vector<Schedule>> all;
  for (auto& [key, set] : sets) all.push_back(std::move(set));
  return all;
}

// Why this cannot be meant for one set, by its names alone; empty: it can.
std::string confusion_in(const std::vector<Schedule>& set) {
  for (std::size_t i = 1; i < set.size(); ++i) {
    const Schedule &a = set[i - 1], &b = set[i];
    if (a.collective != b.collective || a.algorithm != b.algorithm)
      return fmt::format("rank {} has {} {}, rank {} has {} {}: give the schedules of all ranks one name", a.rank,
                         name(a.collective), printable(a.algorithm), b.rank, name(b.collective), printable(b.algorithm));
    if (a.rank == b.rank)
      return fmt::format("{} stands twice for rank {}: take one out, or give one set another name", title_of(a), a.rank);
  }
  return "";
}

void show_drawing(const std::vector<Schedule>& schedules, const ScheduleView& view) {
  std::size_t steps = 0;
  for (const Schedule& s : schedules) steps += s.steps.size();
  if (auto s = check_drawable(static_cast<Rank>(schedules.size()), steps); !s) leave(s.error());
  // A picture is no proof: where blocks must have one size, it need not be said.
  const auto proof = verify(schedules, {.equal_blocks = true, .timeline = true});
  if (!proof) leave("refused: " + proof.error().to_string(), kExitFailed);
  const std::string picture = draw(schedules, *proof);
  if (view.svg_file.empty()) return fmt::print("{}", picture);
  if (auto s = replace_file(view.svg_file, picture); !s) leave(s.error());
}

}  // namespace

std::vector<std::vector<Schedule>> read_schedules(const std::string& path) {
  auto text = read_schedule_text(path);
  if (!text) leave(text.error());
  auto schedules = parse_schedules(*text);
  if (!schedules) leave(schedules.because(path == "-" ? "the standard input" : path).to_string(), kExitUsage);
  std::ranges::stable_sort(*schedules, {}, &Schedule::rank);
  auto sets = sets_of(*std::move(schedules));
  for (const auto& set : sets)
    if (const std::string why = confusion_in(set); !why.empty())
      leave(fmt::format("{}: {}", path == "-" ? "the standard input" : path, why), kExitUsage);
  return sets;
}

void check_view(const ScheduleView& view, Rank ranks) {
  if (view.rank && (*view.rank < 0 || *view.rank >= ranks))
    leave(fmt::format("--rank {}: there are ranks 0 to {}", *view.rank, ranks - 1), kExitUsage);
  if (!view.svg) return;
  if (auto s = check_drawable(ranks, 0); !s) leave(s.error());
}

void check_pieces(const Algorithm& algorithm, std::uint32_t pieces) {
  if (pieces > 1 && !algorithm.pipelines)
    leave(fmt::format("--pieces {}: {} {} does not cut what it sends into pieces", pieces, name(algorithm.collective),
                      algorithm.name),
          kExitUsage);
}

void check_radix(const Algorithm& algorithm, std::uint32_t radix) {
  if (radix > 2 && !algorithm.has_radix)
    leave(fmt::format("--radix {}: {} {} has no radix", radix, name(algorithm.collective), algorithm.name), kExitUsage);
}

void show_file(const ScheduleView& view) {
  std::error_code none;
  if (std::filesystem::equivalent(view.svg_file, view.file, none))
    leave(fmt::format("--svg {}: the drawing would replace the schedules in it", view.svg_file), kExitUsage);
  const auto sets = read_schedules(view.file);
  if (sets.size() == 1) return show_drawing(sets.front(), view);
  std::string all;
  for (const auto& set : sets) all += (all.empty() ? "" : ", ") + title_of(set.front());
  leave(fmt::format("--file {} has {} sets of schedules ({}): a drawing shows one, so put that into a file of its own", view.file,
                    sets.size(), all),
        kExitUsage);
}

void show_schedules(const Algorithm& algorithm, const Shape& shape, const Chunking& chunking, const ScheduleView& view) {
  const auto build = [&](Rank r) {
    Schedule schedule = algorithm.build(r, shape, chunking);
    if (!view.name.empty()) schedule.algorithm = view.name;
    return view.fused ? fuse(schedule) : schedule;
  };
  if (view.svg) {
    std::vector<Schedule> schedules;
    for (Rank r = 0; r < shape.ranks; ++r) schedules.push_back(build(r));
    return show_drawing(schedules, view);
  }
  const auto check = [&](std::size_t schedules, std::size_t steps) {
    if (schedules <= kMostSchedules && steps <= kMostShown) return;
    leave(fmt::format("{} {} of {} ranks has more schedules or steps than can be read again (at most {} and {}): take fewer "
                      "--ranks, or one rank's by `tutti schedule --rank`",
                      name(algorithm.collective), algorithm.name, shape.ranks, kMostSchedules, kMostShown),
          kExitUsage);
  };
  if (!view.rank) check(static_cast<std::size_t>(shape.ranks), 0);
  std::string text;
  std::size_t steps = 0;
  for (Rank r = view.rank.value_or(0); r < (view.rank ? *view.rank + 1 : shape.ranks); ++r) {
    const Schedule schedule = build(r);
    steps += schedule.steps.size();
    if (!view.rank) check(0, steps);
    text += '\n' + print(schedule);
  }
  fmt::print("# {}\n# To be proved by: tutti verify {}FILE\n{}", algorithm.summary,
             algorithm.needs.equal_blocks ? "--equal-blocks " : "", text);
}

void add_drawing_options(CLI::App& command, ScheduleView& view, const std::vector<std::string>& without) {
  auto* svg = command.add_option_function<std::string>(
      "--svg",
      [&view](const std::string& path) {
        view.svg = true;
        view.svg_file = path;
      },
      "Draw the steps of all ranks instead, into this file (default: the standard output)");
  svg->expected(0, 1)->type_name("[FILE]");
  auto* file = command.add_option("--file", view.file, "Draw the schedules in this file, instead of an algorithm's")
                   ->check(file_name())
                   ->needs(svg);
  for (const std::string& option : without) command.get_option(option)->excludes(file);
}

void add_schedule_command(CLI::App& app) {
  auto o = std::make_shared<ScheduleOptions>();
  auto* command =
      app.add_subcommand("schedule", "Prints the steps of all ranks as text, to be read, changed and verified, or draws them");
  add_question(*command, o->question);
  command->add_option("--bytes", o->question.bytes, "Without --algorithm: the size to choose for")
      ->capture_default_str()
      ->excludes(command->get_option("--algorithm"));
  command->add_option("--pieces", o->pieces, "Into how many pieces an algorithm that pipelines cuts what it sends")
      ->check(number<std::uint32_t>(1U, kMostPieces));
  command->add_option("--radix", o->radix, "Into how many parts groups of ranks split, where the algorithm lets one choose")
      ->check(number<std::uint32_t>(2U, kMostRadix));
  command->add_option("--name", o->view.name, "Call it so, to be used beside the library's own: TUTTI_SCHEDULES=FILE");
  auto* rank = command->add_option("--rank", o->view.rank, "Only this rank's (default: all)")->check(number<Rank>());
  command->add_flag("--in-place", o->in_place, "Input and output are the same memory");
  command->add_flag("--fused", o->view.fused, "With the steps fused that the library runs as one");
  add_drawing_options(*command, o->view,
                      {"collective", "--ranks", "--topology", "--root", "--algorithm", "--bytes", "--pieces", "--radix", "--rank",
                       "--in-place", "--fused", "--name", "--filter", "--schedules", "--plugins"});
  rank->excludes(command->get_option("--svg"));
  command->footer(with_exit_statuses(
      "Examples: tutti schedule all_reduce --algorithm ring --ranks 4 >ring.txt; edit it; tutti verify ring.txt\n"
      "          tutti schedule all_reduce --algorithm ring --ranks 4 --svg ring.svg\n"
      "          tutti schedule --file ring.txt --svg ring.svg\n"));
  command->callback([o, command] {
    o->renamed = command->count("--name") > 0;
    run(*o);
  });
}

}  // namespace tutti
