#include "cli/schedule.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <optional>

#include "cli/question.h"
#include "cli/report.h"
#include "cli/usage.h"
#include "schedule/passes.h"

namespace tutti {
namespace {

constexpr int kMostPieces = 1024;

struct Options {
  Question question;
  std::uint32_t pieces = 0, radix = 0;  // 0: not given
  std::optional<Rank> rank;             // none: all
  bool in_place = false, fused = false;
};

// What was asked for, or else 1 for an algorithm that was asked for, or else what comes with the selector's choice.
Chunking chunking_from(const Options& o, const Candidate& chosen) {
  if (o.pieces > 1 && !chosen.algorithm->pipelines)
    leave(fmt::format("--pieces {}: {} {} does not cut what it sends into pieces", o.pieces, name(chosen.algorithm->collective),
                      chosen.algorithm->name),
          kExitUsage);
  if (o.radix > 2 && !chosen.algorithm->has_radix)
    leave(fmt::format("--radix {}: {} {} has no radix", o.radix, name(chosen.algorithm->collective), chosen.algorithm->name),
          kExitUsage);
  Chunking chunking = o.question.algorithm.empty() ? chosen.chunking : Chunking{};
  if (o.pieces > 0) chunking.pieces = o.pieces;
  if (o.radix > 0) chunking.radix = o.radix;
  return chunking;
}

void run(const Options& o) {
  const Answer a = ask(o.question);
  const Algorithm& algorithm = *a.selection.winner().algorithm;
  const Chunking chunking = chunking_from(o, a.selection.winner());
  const Rank ranks = a.machine.ranks;
  if (o.rank && (*o.rank < 0 || *o.rank >= ranks))
    leave(fmt::format("--rank {}: there are ranks 0 to {}", *o.rank, ranks - 1), kExitUsage);
  if (o.question.algorithm.empty())
    fmt::print(stderr, "tutti schedule: {} in {} piece{}, as would be chosen for {} bytes; `tutti explain` says why\n",
               algorithm.name, chunking.pieces, chunking.pieces == 1 ? "" : "s", o.question.bytes);
  fmt::print("# {}\n# To be proved by: tutti verify {}FILE\n", algorithm.summary,
             algorithm.needs.equal_blocks ? "--equal-blocks " : "");
  const Shape shape{.ranks = ranks,
                    .root = o.question.root,
                    .in_place = o.in_place,
                    .levels = a.machine.levels.empty() ? nullptr : &a.machine.levels};
  for (Rank r = o.rank.value_or(0); r < (o.rank ? *o.rank + 1 : ranks); ++r) {
    const Schedule schedule = algorithm.build(r, shape, chunking);
    fmt::print("\n{}", print(o.fused ? fuse(schedule) : schedule));
  }
}

}  // namespace

void add_schedule_command(CLI::App& app) {
  auto o = std::make_shared<Options>();
  auto* command = app.add_subcommand("schedule", "Prints the steps of all ranks as text, to be read, changed and verified");
  add_question(*command, o->question);
  command->add_option("--bytes", o->question.bytes, "Without --algorithm: the size to choose for")
      ->capture_default_str()
      ->excludes(command->get_option("--algorithm"));
  command->add_option("--pieces", o->pieces, "Into how many pieces an algorithm that pipelines cuts what it sends")
      ->check(CLI::Range(1, kMostPieces));
  command->add_option("--radix", o->radix, "Into how many parts groups of ranks split, where the algorithm lets one choose")
      ->check(CLI::Range(2, 1024));
  command->add_option("--rank", o->rank, "Only this rank's (default: all)");
  command->add_flag("--in-place", o->in_place, "Input and output are the same memory");
  command->add_flag("--fused", o->fused, "With the steps fused that the library runs as one");
  command->footer(with_exit_statuses(
      "Example: tutti schedule all_reduce --algorithm ring --ranks 4 >ring.txt; edit it; tutti verify ring.txt\n"));
  command->callback([o] { run(*o); });
}

}  // namespace tutti
