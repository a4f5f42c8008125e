#include "cli/simulate.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/question.h"
#include "cli/report.h"
#include "cli/sizes.h"
#include "cli/usage.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/file.h"
#include "select/render.h"
#include "simulate/in_switch.h"
#include "simulate/measured.h"
#include "simulate/trace.h"

namespace tutti {
namespace {

using simulate::Conditions;
using simulate::Outcome;
using simulate::Program;

constexpr double kMostFactor = 1e6;

struct SimulateOptions {
  Question question;
  std::vector<std::string> slow_ranks, slow_links, lost;
  std::string eager = "32K", memory = "8G", measured, trace, svg;
  double delay_us = 0, switch_gbps = 0, switch_latency_us = 0;
  std::uint64_t seed = 1;
  bool all = false, json = false, progress = false;
};

std::uint64_t bytes_from(const std::string& text, std::string_view option) {
  auto bytes = parse_bytes(text);
  if (!bytes) leave(bytes.because(std::string(option)));
  return *bytes;
}

// "RANK=NUMBER"
std::pair<Rank, double> of_rank(const std::string& text, std::string_view option, Rank ranks) {
  const auto equals = text.find('=');
  const std::string left = text.substr(0, equals), right = equals == std::string::npos ? "" : text.substr(equals + 1);
  if (const std::string wrong = number<Rank>(0, ranks - 1)(left); !wrong.empty())
    leave(fmt::format("{} {}: {} (RANK=NUMBER, with ranks 0 to {})", option, text, wrong, ranks - 1), kExitUsage);
  if (const std::string wrong = number<double>(0, 1e15)(right); !wrong.empty())
    leave(fmt::format("{} {}: {} (RANK=NUMBER)", option, text, wrong), kExitUsage);
  return {static_cast<Rank>(std::stol(left)), std::stod(right)};
}

std::vector<Conditions::Rate> rates_from(const std::vector<std::string>& texts, std::string_view option, Rank ranks) {
  std::vector<Conditions::Rate> rates;
  for (const std::string& text : texts) {
    const auto [rank, factor] = of_rank(text, option, ranks);
    if (factor < 1 / kMostFactor || factor > kMostFactor)
      leave(fmt::format("{} {}: so many times as long must be between {} and {}", option, text, 1 / kMostFactor, kMostFactor),
            kExitUsage);
    rates.push_back({rank, factor});
  }
  return rates;
}

Conditions conditions_from(const SimulateOptions& o, Rank ranks) {
  Conditions c{.eager_bytes = bytes_from(o.eager, "--eager"),
               .slow_ranks = rates_from(o.slow_ranks, "--slow-rank", ranks),
               .slow_links = rates_from(o.slow_links, "--slow-link", ranks),
               .lost = {},
               .delay_us = o.delay_us,
               .seed = o.seed};
  for (const std::string& text : o.lost) {
    const auto [rank, us] = of_rank(text, "--lost", ranks);
    c.lost.push_back({rank, simulate::from_microseconds(us)});
  }
  return c;
}

struct Simulated {
  Candidate candidate;
  Outcome outcome;
  double seconds = 0;  // that the simulation took
  std::size_t steps = 0;
};

// What is asked, and what is known of switches that combine.
struct Case {
  Answer answer;
  simulate::Switches switches;
  std::shared_ptr<const Algorithm> in_switch;  // the row, where there are such switches
};

// A line on the standard error output that says how far a run is: at once, and then every second.
class ProgressLine {
 public:
  ProgressLine(bool shown, std::string what) : shown_(shown), terminal_(isatty(STDERR_FILENO) == 1), what_(std::move(what)) {}
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine() {
    if (terminal_ && last_) fmt::print(stderr, "\r\033[K");
  }

  void say(const simulate::Progress& p) {
    const TimePoint now = Clock::now();
    if (!shown_ || (last_ && now - *last_ < std::chrono::seconds(1))) return;
    last_ = now;
    fmt::print(stderr, "{}{}: {} events, {:.0f} % of {} messages sent, {:.2f} us of virtual time{}", terminal_ ? "\r\033[K" : "",
               what_, p.events, 100 * static_cast<double>(p.sent) / static_cast<double>(std::max<std::uint64_t>(p.messages, 1)),
               p.messages, simulate::microseconds(p.now), terminal_ ? "" : "\n");
  }

 private:
  bool shown_, terminal_;
  std::string what_;
  std::optional<TimePoint> last_;
};

// Code::resource where it would need more memory than it may have.
Result<Simulated> simulate_one(const Candidate& candidate, const Case& one, const SimulateOptions& o,
                               const Conditions& conditions, const std::function<void(const simulate::Span&)>& watch = {}) {
  const Answer& a = one.answer;
  const std::uint64_t most = bytes_from(o.memory, "--memory");
  const simulate::Switches switches = candidate.algorithm == one.in_switch.get() ? one.switches : simulate::Switches{};
  const Program::Size size = Program::forecast(candidate, a.request, a.machine, switches);
  const std::uint64_t needed = simulate::memory_forecast(size);
  if (needed > most)
    return Error(Code::resource,
                 fmt::format("{} of {} ranks would need about {} of memory, and --memory allows {}: allow more, simulate fewer "
                             "ranks or another algorithm",
                             candidate.algorithm->name, a.machine.ranks,
                             format_bytes(std::max<std::uint64_t>(needed >> 20 << 20, 1 << 20)), format_bytes(most)));
  const TimePoint start = Clock::now();
  auto program = Program::of(candidate, a.request, a.machine, size, switches);
  if (!program) return std::move(program.error());
  ProgressLine line(o.progress, std::string(candidate.algorithm->name));
  auto outcome = simulate::run(*program, a.machine, conditions, watch, [&](const simulate::Progress& p) { line.say(p); });
  if (!outcome) return std::move(outcome.error());
  return Simulated{candidate, std::move(*outcome), seconds_since(start), program->steps()};
}

std::string stuck_text(const Outcome& outcome, Rank ranks) {
  constexpr std::size_t kShown = 8;
  std::string text =
      fmt::format("the call never ends: {} of {} ranks wait for others, or are lost\n", outcome.stuck.size(), ranks);
  for (std::size_t i = 0; i < std::min(kShown, outcome.stuck.size()); ++i) {
    const simulate::Stuck& s = outcome.stuck[i];
    text += s.waits_for == kNoRank ? fmt::format("  rank {} is lost\n", s.rank)
                                   : fmt::format("  rank {} waits for {}\n", s.rank, simulate::label_of(s.waits_for, ranks));
  }
  return text + (outcome.stuck.size() > kShown ? "  ...\n" : "");
}

std::string call_of(const Answer& a) {
  return fmt::format("{} of {} bytes{}, {}", name(a.request.collective), a.request.block_bytes,
                     has_blocks(a.request.collective) ? " per block" : "", describe_ranks(a.machine));
}

void print_one(const Simulated& s, const Answer& a) {
  const Outcome& r = s.outcome;
  fmt::print("{}: {}", call_of(a), name_with_radix(*s.candidate.algorithm, s.candidate.chunking));
  if (s.candidate.chunking.pieces > 1) fmt::print(", {} pieces", s.candidate.chunking.pieces);
  fmt::print("\n");
  if (a.machine.oversubscribed()) fmt::print("  ranks that share cores are simulated as if each had its own\n");
  if (!r.stuck.empty()) return fmt::print("  {}", stuck_text(r, a.machine.ranks));
  fmt::print("  simulated                {:>12.2f} us   rank {} is the last; rank {} was done at {:.2f} us\n",
             simulate::microseconds(r.end), r.last, r.first, simulate::microseconds(r.first_end));
  fmt::print("  by the cost model        {:>12.2f} us   ({})\n", s.candidate.total_us, most_of(s.candidate, a.machine));
  fmt::print("  {} messages, {} steps, {} events in {:.2f} s, {} of memory\n  links that were busy longest:\n", r.messages,
             s.steps, r.events, s.seconds, format_bytes(r.memory_bytes >> 10 << 10));
  for (const auto& load : r.busiest)
    fmt::print("    {:<44} {:>12.2f} us {:>5.0f} %  {:>14} bytes\n", load.link, simulate::microseconds(load.busy),
               100 * static_cast<double>(load.busy) / static_cast<double>(std::max<simulate::Time>(r.end, 1)), load.bytes);
}

nlohmann::json to_json(const Simulated& s, const Answer& a) {
  const Outcome& r = s.outcome;
  nlohmann::json busiest = nlohmann::json::array(), stuck = nlohmann::json::array();
  for (const auto& load : r.busiest)
    busiest.push_back({{"link", load.link}, {"busy_us", simulate::microseconds(load.busy)}, {"bytes", load.bytes}});
  for (const auto& one : r.stuck)
    stuck.push_back(
        {{"rank", one.rank}, {"waits_for", one.waits_for == kNoRank ? nlohmann::json() : nlohmann::json(one.waits_for)}});
  return {{"algorithm", s.candidate.algorithm->name},
          {"published", s.candidate.published},
          {"pieces", s.candidate.chunking.pieces},
          {"radix", s.candidate.chunking.radix},
          {"ranks", a.machine.ranks},
          {"block_bytes", a.request.block_bytes},
          {"simulated_us", r.stuck.empty() ? nlohmann::json(simulate::microseconds(r.end)) : nlohmann::json()},
          {"model_us", s.candidate.total_us},
          {"last_rank", r.last},
          {"events", r.events},
          {"messages", r.messages},
          {"seconds", s.seconds},
          {"memory_bytes", r.memory_bytes},
          {"busiest", busiest},
          {"stuck", stuck}};
}

void print_all(std::span<const Simulated> all, const Answer& a, const std::string& left_out) {
  fmt::print("{}\n  {:<28} {:>7} {:>14} {:>14} {:>8}  busiest link\n", call_of(a), "algorithm", "pieces", "simulated us",
             "model us", "ratio");
  for (const Simulated& s : all) {
    const double us = simulate::microseconds(s.outcome.end);
    const bool ends = s.outcome.stuck.empty();
    fmt::print("{} {:<28} {:>7} {:>14} {:>14.2f} {:>8}  {}\n",
               s.candidate.algorithm == a.selection.winner().algorithm ? ">" : " ",
               name_with_radix(*s.candidate.algorithm, s.candidate.chunking), s.candidate.chunking.pieces,
               ends ? fmt::format("{:.2f}", us) : "never", s.candidate.total_us,
               ends ? fmt::format("{:.2f}", us / std::max(s.candidate.total_us, 1e-9)) : "-",
               s.outcome.busiest.empty() ? "-" : s.outcome.busiest.front().link);
  }
  fmt::print("\n  > what the selector chooses\n{}", left_out.empty() ? "" : "\n  left out:\n" + left_out);
}

Candidate in_switch_candidate(const Case& one, std::uint32_t pieces) {
  const Answer& a = one.answer;
  const std::uint32_t cut = pieces > 0 ? pieces : simulate::usual_pieces(a.request, a.machine);
  return simulate::in_switch(*one.in_switch, a.request, a.machine, one.switches, cut);
}

// All algorithms that can serve the call, each as the model would use it.
void run_all(const SimulateOptions& o, const Case& one, const Conditions& conditions) {
  const Answer& a = one.answer;
  std::vector<Simulated> all;
  std::string left_out;
  std::vector<Candidate> candidates = a.selection.candidates;
  if (one.in_switch) candidates.push_back(in_switch_candidate(one, 0));
  for (const Candidate& c : candidates) {
    if (!c.refused.empty()) continue;
    auto simulated = simulate_one(c, one, o, conditions);
    if (simulated)
      all.push_back(std::move(*simulated));
    else
      left_out += fmt::format("  {}\n", simulated.error().to_string());
  }
  std::ranges::stable_sort(all, {},
                           [](const Simulated& s) { return s.outcome.stuck.empty() ? s.outcome.end : simulate::kMostTime; });
  if (o.json) {
    nlohmann::json rows = nlohmann::json::array();
    for (const Simulated& s : all) {
      rows.push_back(to_json(s, a));
      rows.back()["chosen"] = s.candidate.algorithm == a.selection.winner().algorithm;
    }
    fmt::print("{}\n", rows.dump(2));
  } else {
    print_all(all, a, left_out);
  }
  if (std::ranges::any_of(all, [](const Simulated& s) { return !s.outcome.stuck.empty(); }))
    leave("some ranks never end", kExitFailed);
}
void check_files(const SimulateOptions& o, const Answer& a) {
  for (const std::string* path : {&o.trace, &o.svg})
    if (!path->empty())
      if (auto s = check_writable(*path); !s) leave(s.error());
  if (!o.svg.empty() && a.machine.ranks > simulate::kMostDrawnRanks)
    leave(fmt::format("--svg: {} ranks; a drawing has at most {}", a.machine.ranks, simulate::kMostDrawnRanks), kExitUsage);
}

void write_files(const SimulateOptions& o, const Case& one, const Simulated& s, std::span<const simulate::Span> spans) {
  const Answer& a = one.answer;
  const Rank switches = s.candidate.algorithm == one.in_switch.get() ? one.switches.count : 0;
  const std::size_t most = o.svg.empty() ? simulate::kMostTraced : simulate::kMostDrawnSpans;
  if (spans.size() >= most)
    leave(fmt::format("{}: more than {} messages and steps; simulate fewer ranks", o.svg.empty() ? "--trace" : "--svg", most - 1),
          kExitUsage);
  const auto write = [](const std::string& path, const std::string& text) {
    if (path.empty()) return;
    if (auto written = replace_file(path, text); !written) leave(written.error());
  };
  if (!o.trace.empty()) write(o.trace, simulate::to_perfetto(spans, a.machine.ranks, switches));
  const std::string title = fmt::format("{} of {} bytes by {}: {:.4g} us", name(a.request.collective), a.request.block_bytes,
                                        s.candidate.algorithm->name, simulate::microseconds(s.outcome.end));
  if (!o.svg.empty()) write(o.svg, simulate::draw_timeline(spans, a.machine.ranks, s.outcome.end, title, switches));
}

// With what a job has measured, where that is given.
void take_measured(Answer& a, const SimulateOptions& o) {
  if (o.measured.empty()) return;
  constexpr std::uint64_t kMostText = std::uint64_t{16} << 20;
  auto text = read_regular_file(o.measured, kMostText);
  if (!text) leave(text.error());
  if (auto s = simulate::take_measured(a.machine, *text); !s) leave(s.because(fmt::format("--measured {}", o.measured)));
  auto selection = select(a.request, a.machine);
  if (!selection) leave(selection.error());
  a.selection = std::move(*selection);
}

// Only the simulator knows this algorithm, so that the selector is not asked for it.
Case ask(SimulateOptions& o) {
  const auto forced = ForcedAlgorithm::parse(o.question.algorithm);
  const bool wanted = forced && forced->name == simulate::kInSwitch;
  if (wanted && o.switch_gbps <= 0) leave("--algorithm in_switch: say how fast the switches are (--in-switch)", kExitUsage);
  const std::string asked = o.question.algorithm;
  if (wanted) o.question.algorithm.clear();
  Case one{ask(o.question), {}, nullptr};
  take_measured(one.answer, o);
  if (o.switch_gbps <= 0) return one;
  Answer& a = one.answer;
  if (a.request.collective != Collective::all_reduce || !a.request.commutative)
    leave("--in-switch: only all_reduce with a commutative operator is known", kExitUsage);
  if (a.request.numerics.at_once || a.request.numerics.order == OrderClass::placement_free)
    leave("--in-switch: a switch adds up in an order of its own; ask for --order same_layout or fast", kExitUsage);
  auto switches = simulate::reducing_switches(a.machine, o.switch_gbps, o.switch_latency_us);
  if (!switches) leave(switches.because("--in-switch"));
  one.switches = *switches;
  one.in_switch = simulate::in_switch_row(a.machine);
  if (wanted) a.selection.candidates.assign(1, in_switch_candidate(one, ForcedAlgorithm::parse(asked)->pieces));
  return one;
}

void run(SimulateOptions& o) {
  o.progress = o.progress || isatty(STDERR_FILENO) == 1;
  const Case one = ask(o);
  const Answer& a = one.answer;
  const Conditions conditions = conditions_from(o, a.machine.ranks);
  if (o.all && (!o.trace.empty() || !o.svg.empty())) leave("--all: --trace and --svg show one algorithm; name it", kExitUsage);
  check_files(o, a);
  if (o.all) return run_all(o, one, conditions);
  std::vector<simulate::Span> spans;
  std::function<void(const simulate::Span&)> watch;
  if (!o.trace.empty() || !o.svg.empty())
    watch = [&](const simulate::Span& span) {
      if (spans.size() < simulate::kMostTraced) spans.push_back(span);
    };
  auto simulated = simulate_one(a.selection.winner(), one, o, conditions, watch);
  if (!simulated) leave(simulated.error());
  const Simulated& s = *simulated;
  if (watch) write_files(o, one, s, spans);
  if (o.json)
    fmt::print("{}\n", to_json(s, a).dump(2));
  else
    print_one(s, a);
  if (!s.outcome.stuck.empty()) leave("some ranks never end", kExitFailed);
}

}  // namespace

void add_simulate_command(CLI::App& app) {
  auto o = std::make_shared<SimulateOptions>();
  auto* command =
      app.add_subcommand("simulate",
                         "Runs a call in virtual time on a machine that is only described, with all its ranks and the "
                         "links that they share: how long it takes, and what holds it up");
  add_question(*command, o->question);
  command->add_option("--bytes", o->question.bytes, "Size of the larger side, as in tutti perf")->capture_default_str();
  command->add_flag("--all", o->all, "All algorithms that can serve the call, beside what the cost model says");
  command->add_option("--slow-rank", o->slow_ranks, "RANK=FACTOR: its core takes so many times as long; may be repeated");
  command->add_option("--slow-link", o->slow_links, "RANK=FACTOR: its port takes so many times as long; may be repeated");
  command->add_option("--lost", o->lost, "RANK=MICROSECONDS: it does nothing from then on; may be repeated");
  command->add_option("--delay", o->delay_us, "Each rank begins up to so many microseconds late, at random")
      ->capture_default_str()
      ->check(number<double>(0, 1e12));
  command->add_option("--seed", o->seed, "Of what is random; the same one gives the same times")
      ->capture_default_str()
      ->check(number<std::uint64_t>());
  command
      ->add_option("--measured", o->measured,
                   "Take latencies and rates from this file: what tutti explain --json, started by mpirun, has printed")
      ->check(file_name());
  command
      ->add_option("--in-switch", o->switch_gbps,
                   "Switches combine and copy, one for the ranks of each host, at so many GB/s between each rank and its switch: "
                   "adds the algorithm in_switch, which only the simulator knows")
      ->check(number<double>(1e-6, 1e6));
  command
      ->add_option("--in-switch-latency", o->switch_latency_us,
                   "Microseconds from a rank to its switch (default: half the way to a neighbour)")
      ->check(number<double>(1e-6, 1e6));
  command->add_option("--eager", o->eager, "Larger messages wait until their receiver is ready")->capture_default_str();
  command->add_option("--memory", o->memory, "That the simulation may use")->capture_default_str();
  command->add_option("--trace", o->trace, "Write what happened to this file, for ui.perfetto.dev")->check(file_name());
  command->add_option("--svg", o->svg, "Draw what happened into this file")->check(file_name());
  command->add_flag("--json", o->json, "For programs");
  command->add_flag("--progress", o->progress, "Say every second how far it is, where the error output is no terminal, too");
  command->footer(with_exit_statuses(
      "Times and rates are those of tutti explain. Left out: switches have memory for all that waits in them, messages that "
      "share a\n"
      "link take turns in eighths or larger parts, what would be published is sent, ranks that share cores have each its own.\n\n"
      "Examples: tutti simulate all_reduce --bytes 64M --topology \"node:64 core:8\" --all\n"
      "          tutti simulate all_reduce --bytes 1G --topology dgx-h100:16 --algorithm ring --trace ring.json\n"
      "          tutti simulate all_reduce --bytes 1G --topology dgx-h100:1 --in-switch 310 --all\n"
      "          tutti simulate all_gather --ranks 8 --slow-rank 3=2 --svg gather.svg\n"));
  command->callback([o] { run(*o); });
}

}  // namespace tutti
