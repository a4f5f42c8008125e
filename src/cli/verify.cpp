#include "cli/verify.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <iterator>
#include <memory>
#include <set>

#include "catalog/catalog.h"
#include "cli/own.h"
#include "cli/question.h"
#include "cli/report.h"
#include "cli/schedule.h"
#include "cli/usage.h"
#include "core/clock.h"
#include "verify/verify.h"

namespace tutti {
namespace {

constexpr int kMaxRanks = 1 << 16;
constexpr int kMaxPieces = 1 << 10;

struct CommandOptions {
  std::string collective, algorithm, file;
  std::string ranks = "1..64";
  std::string pieces = "1,2";
  bool in_place = false;
  bool ordered = false;
  bool equal_blocks = false;
  OwnAlgorithms own;
};

// "1..64", "8", "1,2,4..6"
Result<std::vector<int>> parse_numbers(std::string_view option, std::string_view text, int most) {
  const auto bad = [&] {
    return Error(Code::invalid_argument,
                 fmt::format("{} is '{}'; expected numbers from 1 to {} such as 4, 1..8 or 1,2,4..6", option, text, most));
  };
  const auto number = [&](std::string_view digits) {
    int value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc{} && end == digits.data() + digits.size() && value <= most ? value : 0;
  };
  std::set<int> numbers;
  for (std::size_t at = 0; at <= text.size();) {
    const auto comma = std::min(text.size(), text.find(',', at));
    const auto part = text.substr(at, comma - at);
    const auto dots = part.find("..");
    const int first = number(part.substr(0, dots));
    const int last = dots == std::string_view::npos ? first : number(part.substr(dots + 2));
    if (first < 1 || last < first) return bad();
    for (int n = first; n <= last; ++n) numbers.insert(n);
    at = comma + 1;
  }
  return std::vector<int>(numbers.begin(), numbers.end());
}

std::string_view order_text(const ReductionOrder& order) {
  if (order.canonical) return order.at_once ? "combined in the canonical tree, at once" : "combined in the canonical tree";
  return order.at_once ? "combined at once, in an order of its own" : "combined in an order of its own";
}

void verify_set(const std::vector<Schedule>& schedules, const CommandOptions& options) {
  if (schedules.front().collective == Collective::send_recv)
    leave("refused: send_recv is between two ranks of a caller's choice: a schedule of it does nothing that could be proved",
          kExitFailed);
  const auto proof = verify(schedules, {.ordered = options.ordered, .equal_blocks = options.equal_blocks});
  if (!proof) leave("refused: " + proof.error().to_string(), kExitFailed);
  const Schedule& first = schedules.front();
  fmt::print("{} {} of {} ranks is right: {} steps, {} messages, {} rounds, {} chunks on the heaviest chain, ",
             name(first.collective), first.algorithm, first.ranks, proof->steps, proof->messages, proof->rounds, proof->path);
  fmt::print("at most {} sent and {} combined by a rank{}\n", proof->sent, proof->reduced,
             reduces(first.collective) ? fmt::format("; {}", order_text(proof->order)) : "");
}

void verify_file(const CommandOptions& options) {
  for (const auto& set : read_schedules(options.file)) verify_set(set, options);
}

// The library's and plugins'; texts of schedules are proved when they are read.
std::vector<const Algorithm*> rows(const CustomAlgorithms& own, std::string_view collective, std::string_view algorithm) {
  const AlgorithmTable library;
  std::vector<const Algorithm*> all(library.rows().begin(), library.rows().end()), found;
  std::ranges::copy(own.plugin_rows(), std::back_inserter(all));
  for (const Algorithm* a : all)
    if ((collective.empty() || name(a->collective) == collective) && (algorithm.empty() || a->name == algorithm))
      found.push_back(a);
  return found;
}

// "none", "8", "7,9", "1..64 (64)", "2..64 (32)"
std::string counted(const std::vector<int>& ranks) {
  constexpr std::size_t kFew = 4;
  if (ranks.empty()) return "none";
  const bool gaps = static_cast<std::size_t>(ranks.back() - ranks.front()) + 1 > ranks.size();
  if (ranks.size() == 1 || (gaps && ranks.size() <= kFew)) return fmt::format("{}", fmt::join(ranks, ","));
  return fmt::format("{}..{} ({})", ranks.front(), ranks.back(), ranks.size());
}

// Says now and then, on the standard error stream, how far a row is that takes long.
class Progress {
 public:
  explicit Progress(std::size_t numbers) : numbers_(numbers) {}
  void proved(int ranks, std::size_t numbers) {
    constexpr double kEverySeconds = 5;
    if (seconds_since(last_) < kEverySeconds) return;
    last_ = Clock::now();
    fmt::print(stderr, "  {} ranks proved, {} of {} numbers of ranks, {:.0f} s\n", ranks, numbers, numbers_,
               seconds_since(start_));
  }

 private:
  std::size_t numbers_;
  TimePoint start_ = Clock::now(), last_ = start_;
};

enum class Verdict : std::uint8_t { proved, refused, serves_none };

// One line of the table, for all of these numbers of ranks that the row serves.
Verdict verify_row(const Algorithm& row, const std::vector<int>& ranks, const CatalogOptions& options) {
  CatalogSummary sum;
  std::vector<int> done;
  const auto start = Clock::now();
  Status status;
  std::vector<int> served;
  std::ranges::copy_if(ranks, std::back_inserter(served), [&](int p) { return applies(row, p); });
  Progress progress(served.size());
  for (const int p : served) {
    auto summary = verify_algorithm(row, p, options);
    if (!summary) {
      status = std::move(summary.error());
      break;
    }
    done.push_back(p);
    progress.proved(p, done.size());
    sum.roots = std::max(sum.roots, summary->roots);
    sum.sets += summary->sets;
    sum.schedules += summary->schedules;
    sum.steps += summary->steps;
  }
  fmt::print("{:<15} {:<26} {:>14} {:>6} {:>9} {:>10} {:>8.2f}  {}\n", name(row.collective), row.name, counted(done), sum.roots,
             sum.sets, sum.schedules, seconds_since(start),
             !status        ? "refused"
             : done.empty() ? "serves none of these numbers of ranks"
                            : "proved");
  std::fflush(stdout);
  if (!status) fmt::print(stderr, "tutti: refused: {}\n", status.error().to_string());
  return !status ? Verdict::refused : done.empty() ? Verdict::serves_none : Verdict::proved;
}

void verify_catalog(const CommandOptions& options) {
  if (options.collective == name(Collective::send_recv))
    leave("send_recv is between two ranks: there are no algorithms to prove; `tutti algorithms` lists those of other collectives",
          kExitUsage);
  if (!options.collective.empty()) (void)collective_of(options.collective);  // leaves where there is none
  const auto ranks = parse_numbers("--ranks", options.ranks, kMaxRanks);
  if (!ranks) leave(ranks.error());
  const auto pieces = parse_numbers("--pieces", options.pieces, kMaxPieces);
  if (!pieces) leave(pieces.error());
  const CustomAlgorithms own = load_own(options.own);
  const auto found = rows(own, options.collective, options.algorithm);
  if (found.empty())
    leave(
        fmt::format("there is no algorithm '{}'{}; there are {}", options.algorithm,
                    options.collective.empty() ? "" : " for " + options.collective, names_of(rows(own, options.collective, ""))),
        kExitUsage);

  CatalogOptions checks{.pieces = {pieces->begin(), pieces->end()}, .places = options.in_place ? Places::in_place : Places::both};
  fmt::print("{:<15} {:<26} {:>14} {:>6} {:>9} {:>10} {:>8}\n", "collective", "algorithm", "ranks", "roots", "sets", "schedules",
             "seconds");
  std::size_t proved = 0, refused = 0, at = 0;
  for (const Algorithm* row : found) {
    fmt::print(stderr, "[{}/{}] {} {}\n", ++at, found.size(), name(row->collective), row->name);
    const Verdict verdict = verify_row(*row, *ranks, checks);
    proved += verdict == Verdict::proved ? 1 : 0;
    refused += verdict == Verdict::refused ? 1 : 0;
  }
  fmt::print("{} of {} algorithms proved\n", proved, found.size());
  if (refused > 0) throw CLI::RuntimeError(kExitFailed);
  if (proved == 0) leave(fmt::format("--ranks {}: none of these algorithms serves any of them", options.ranks), kExitUsage);
}

}  // namespace

void add_verify_command(CLI::App& app) {
  auto options = std::make_shared<CommandOptions>();
  CLI::App* command = app.add_subcommand("verify", "Proves the algorithms of the library, or the schedules in a file, right");
  command->add_option("--collective", options->collective, "Only the algorithms of this collective")->check(not_empty());
  command->add_option("--algorithm", options->algorithm, "Only algorithms of this name")->check(not_empty());
  command->add_option("--ranks", options->ranks, "Numbers of ranks: 4, 1..64 or 1,2,4..6")->capture_default_str();
  command->add_option("--pieces", options->pieces, "Into how many pieces algorithms that pipeline cut")->capture_default_str();
  command->add_flag("--in-place", options->in_place, "In place only, instead of in and out of place");
  command->add_option("--plugins", options->own.plugins, "Also the algorithms of these libraries, as in TUTTI_PLUGINS")
      ->check(file_name());
  auto* file = command
                   ->add_option("FILE", options->file,
                                "Schedules of all ranks as text, instead of the library's algorithms; - is the standard input")
                   ->check(not_empty());
  command->add_flag("--ordered", options->ordered, "FILE: contributions must be combined in the order of ranks")->needs(file);
  command->add_flag("--equal-blocks", options->equal_blocks, "FILE: all blocks have one size")->needs(file);
  for (const char* name : {"--collective", "--algorithm", "--ranks", "--pieces", "--in-place", "--plugins"})
    command->get_option(name)->excludes(file);
  command->footer(with_exit_statuses(
      "Examples: tutti verify --collective all_reduce --ranks 1..16\n          tutti verify my_schedule.txt\n"));
  command->callback([options] { options->file.empty() ? verify_catalog(*options) : verify_file(*options); });
}

}  // namespace tutti
