#include "cli/tune.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/launcher_watch.h"
#include "cli/perf_plan.h"
#include "cli/question.h"
#include "cli/report.h"
#include "cli/started_by.h"
#include "cli/usage.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/file.h"
#include "runtime/tuner.h"
#include "transports/registry.h"

namespace tutti {
namespace {

struct TuneCommand {
  std::vector<std::string> collectives;
  std::string min_bytes = "8", max_bytes = "4M", transport, transports, output, json;
  double factor = 4, seconds = 60;
  bool every_variant = false;
};

TuneOptions options_from(const TuneCommand& o) {
  TuneOptions options;
  options.seconds = o.seconds;
  options.every_variant = o.every_variant;
  PerfOptions sizes;
  sizes.collective = "all";
  sizes.min_bytes = o.min_bytes;
  sizes.max_bytes = o.max_bytes;
  sizes.factor = o.factor;
  auto plan = make_plan(sizes);
  if (!plan) leave(plan.error());
  options.sizes = std::move(plan->sizes);
  for (const std::string& name : o.collectives) options.collectives.push_back(collective_of(name));
  if (o.collectives.empty()) {
    options.collectives = std::move(plan->collectives);
    std::erase(options.collectives, Collective::send_recv);
  }
  return options;
}

void show_progress(TuneOptions& options) {
  options.progress = [start = Clock::now(), last = Clock::now()](std::size_t done, std::size_t of, Collective collective,
                                                                 std::uint64_t bytes) mutable {
    if (seconds_since(last) < 5) return;
    last = Clock::now();
    fmt::print(stderr, "tutti tune: {} of {} sizes after {:.0f} s; now {} of {} bytes\n", done, of, seconds_since(start),
               name(collective), bytes);
  };
}

// Where jobs look: TUTTI_TUNING, if it names a file.
std::string path_of_jobs() {
  auto config = Config::from_environment();
  if (!config) leave(config.error());
  const std::string& setting = config->text(Var::tuning);
  return setting == "auto" || setting == "off" ? usual_tuning_path() : setting;
}

void print_table(const std::vector<TunedSize>& sizes) {
  fmt::print("{:<15} {:>10}  {:<32} {:>10}  {:<32} {:>10} {:>6}\n", "collective", "bytes", "by the model", "us", "by measurement",
             "us", "gain");
  double gains = 0;
  for (const TunedSize& size : sizes) {
    const TunedVariant &model = size.variants[size.by_model], &best = size.variants[size.by_measurement];
    gains += std::log(model.us / best.us);
    fmt::print("{:<15} {:>10}  {:<32} {:>10.2f}  {:<32} {:>10.2f} {:>6.2f}\n", name(size.collective), size.bytes,
               forced_name(model.candidate), model.us, forced_name(best.candidate), best.us, model.us / best.us);
  }
  fmt::print("\nCalls take {:.3f} times as long by the model's choice as by the choice from measurements (geometric mean)\n",
             std::exp(gains / static_cast<double>(sizes.size())));
}

std::string json_of(const std::vector<TunedSize>& sizes, const Communicator& comm) {
  using nlohmann::json;
  json rows = json::array();
  for (const TunedSize& size : sizes) {
    json variants = json::array();
    for (const TunedVariant& v : size.variants)
      variants.push_back({{"variant", forced_name(v.candidate)},
                          {"algorithm", v.candidate.algorithm->name},
                          {"us", v.us},
                          {"rounds", v.rounds},
                          {"predicted_us", v.candidate.total_us}});
    rows.push_back({{"collective", name(size.collective)},
                    {"bytes", size.bytes},
                    {"block_bytes", size.block_bytes},
                    {"by_model", forced_name(size.variants[size.by_model].candidate)},
                    {"by_measurement", forced_name(size.variants[size.by_measurement].candidate)},
                    {"variants", variants}});
  }
  return json{{"tutti_tune", 1}, {"ranks", comm.size()}, {"transports", comm.transports()}, {"sizes", rows}}.dump(1) + "\n";
}

// What ranks must have been told alike.
OptionValues values_of(const TuneCommand& o) {
  return {{"the collectives", fmt::format("\"{}\"", fmt::join(o.collectives, " "))},
          {"--seconds", fmt::format("{}", o.seconds)},
          {"--min-bytes", o.min_bytes},
          {"--max-bytes", o.max_bytes},
          {"--factor", fmt::format("{}", o.factor)},
          {"--transports", fmt::format("\"{}\"", o.transports)},
          {"--every-variant", o.every_variant ? "on" : "off"}};
}

Status prepare(const std::string& path, const std::string& json) {
  if (path.empty()) return Error(Code::environment, "there is no home folder to keep measurements in: name a file (--output)");
  if (path == json)
    return Error(Code::invalid_argument, fmt::format("--output and --json both name '{}'; they are different files", path));
  if (auto s = update_tuning_file(path, [](TuningFile&) {}); !s) return s;  // better known now than later
  return json.empty() ? Status{} : check_writable(json);
}

// Those that join hosts.
std::vector<std::string> transports_of(const TuneCommand& o) {
  std::vector<std::string> names = split_list(o.transports);
  for (const std::string& name : names) {
    const TransportRow* row = find_transport(name);
    if (row != nullptr && !row->by_memory) continue;
    std::vector<std::string_view> known;
    for (const TransportRow& other : transport_table())
      if (!other.by_memory) known.push_back(other.name);
    leave(fmt::format("--transports {}: \"{}\" is no transport between hosts; there are {}", o.transports, name,
                      fmt::join(known, ", ")),
          kExitUsage);
  }
  for (const std::string& name : names)
    if (std::ranges::count(names, name) > 1)
      leave(fmt::format("--transports {}: \"{}\" is there twice", o.transports, name), kExitUsage);
  return names;
}

void print_transports(const std::vector<ComparedTransport>& compared) {
  fmt::print("{:<12} {:>10} {:>10}\n", "transport", "8 B, us", "GB/s");
  for (const auto& [measured, refused] : compared) {
    if (refused.empty())
      fmt::print("{:<12} {:>10.2f} {:>10.2f}\n", measured.name, measured.us, measured.gbps);
    else
      fmt::print("{:<12} refused: {}\n", measured.name, refused);
  }
}

std::string json_of(const std::vector<ComparedTransport>& compared, const Communicator& comm) {
  using nlohmann::json;
  json rows = json::array();
  for (const auto& [measured, refused] : compared)
    rows.push_back(refused.empty() ? json{{"transport", measured.name}, {"us", measured.us}, {"gbps", measured.gbps}}
                                   : json{{"transport", measured.name}, {"refused", refused}});
  return json{{"tutti_tune", 1}, {"ranks", comm.size()}, {"between_hosts", rows}}.dump(1, ' ', false,
                                                                                       json::error_handler_t::replace) +
         "\n";
}

void compare_transports(Communicator& comm, const TuneCommand& o, const std::string& path) {
  Tuner tuner(comm);
  auto compared = tuner.compare(transports_of(o));
  if (!compared) leave(compared.error());
  const bool writes = comm.rank() == 0;
  if (writes) print_transports(*compared);
  TunedHosts hosts = tuner.between_hosts(*compared);
  Status kept;
  if (hosts.transports.empty()) kept = Error(Code::unsupported, "none of these transports could be measured");
  if (writes && !hosts.transports.empty()) kept = update_tuning_file(path, [&](TuningFile& file) { file.put(hosts); });
  const Status json = writes && !o.json.empty() ? replace_file(o.json, json_of(*compared, comm)) : Status{};
  leave_if_any(comm, kept);
  leave_if_any(comm, json);
  if (writes)
    fmt::print("Kept in {}: jobs of as many ranks on each host use {} between hosts, unless TUTTI_TRANSPORT names others\n", path,
               hosts.transports.front().name);
}

void run(const TuneCommand& o) {
  TuneOptions options = options_from(o);
  const LauncherKind kind = started_by();
  std::optional<LauncherWatch> watch;
  if (kind != LauncherKind::none && kind != LauncherKind::variables) watch.emplace();
  const std::string jobs_path = path_of_jobs(), path = o.output.empty() ? jobs_path : o.output;
  setenv("TUTTI_TUNING", "off", 1);  // what was measured before does not matter, nor whether it can be read by jobs
  const bool compares = !transports_of(o).empty();
  if (compares) {
    setenv("TUTTI_CALIBRATE", "1", 1);  // which is the measurement
    unsetenv("TUTTI_TRANSPORT");        // it is for jobs without this setting
  }
  auto comm = Communicator::from_environment({.transports = o.transport});
  if (!comm) leave(comm.error());
  if (comm->size() < 2)
    leave(
        Error(Code::invalid_argument, "one rank alone has nothing to choose: start it under mpirun -np 4, srun, torchrun, ..."));
  leave_if_unlike(*comm, values_of(o));
  const bool writes = comm->rank() == 0;
  leave_if_any(*comm, writes ? prepare(path, o.json) : Status{});

  if (compares) {
    compare_transports(*comm, o, path);
    if (writes && path != jobs_path) fmt::print("They use it with TUTTI_TUNING={}\n", path);
    return;
  }
  Tuner tuner(*comm);
  Status kept;
  if (writes) {
    show_progress(options);
    options.measured = [&](const std::vector<TunedSize>& so_far) {
      kept = update_tuning_file(path, [&](TuningFile& file) { file.put(tuner.layout(so_far)); });
    };
  }
  auto sizes = tuner.run(options);
  if (!sizes) leave(sizes.error());
  if (writes) print_table(*sizes);
  const Status json = writes && !o.json.empty() ? replace_file(o.json, json_of(*sizes, *comm)) : Status{};
  leave_if_any(*comm, kept);
  leave_if_any(*comm, json);
  if (!writes) return;
  fmt::print("Kept in {} for jobs of this layout: {}\n", path, tuner.layout({}).about);
  if (path != jobs_path) fmt::print("They use it with TUTTI_TUNING={}\n", path);
}

}  // namespace

void add_tune_command(CLI::App& app) {
  auto o = std::make_shared<TuneCommand>();
  auto* command = app.add_subcommand(
      "tune",
      "Measures which algorithms are fastest and keeps that for later jobs. Start it as these will be started: under mpirun, "
      "srun, ... with as many ranks on the same machines");
  auto* collectives = command->add_option("collectives", o->collectives, "Those to measure (default: all)");
  command->add_option("--seconds", o->seconds, "How long to measure, about; every size takes a few rounds at the least")
      ->capture_default_str()
      ->check(number(0.0, 1e6));
  command->add_option("--min-bytes", o->min_bytes, "Smallest size of the larger side: 8, 64K, 1M")->capture_default_str();
  command->add_option("--max-bytes", o->max_bytes, "Largest size")->capture_default_str();
  command->add_option("--factor", o->factor, "From one size to the next")
      ->capture_default_str()
      ->check(number(0.0, std::numeric_limits<double>::infinity()));
  auto* transport =
      command->add_option("--transport", o->transport, "Transports that may be used, as in TUTTI_TRANSPORT")->check(not_empty());
  command
      ->add_option("--transports", o->transports,
                   "Instead of algorithms, measures these transports between hosts against each other (verbs,tcp,ucx) and keeps "
                   "which is the fastest")
      ->check(not_empty())
      ->excludes(collectives)
      ->excludes(transport);
  command->add_flag("--every-variant", o->every_variant, "Also what the model holds to be far off: shows how good the model is");
  command
      ->add_option(
          "--output", o->output,
          "Where to keep it (default: what TUTTI_TUNING names, else tuning.json in $XDG_CACHE_HOME/tutti or ~/.cache/tutti)")
      ->check(file_name());
  command->add_option("--json", o->json, "Write all times to this file, too")->check(file_name());
  command->footer(with_exit_statuses(
      "Later jobs of as many ranks that sit alike on machines that are alike use what was measured, and only "
      "these; rank 0 reads it\n"
      "for all (TUTTI_TUNING). `mpirun ... tutti explain` shows it beside the predictions. Each size is kept as soon as it is\n"
      "measured: what was measured before an interruption stays, also in a file that other jobs tune at the same time.\n\n"
      "Examples: mpirun -np 4 tutti tune all_reduce all_gather --seconds 20\n"
      "          mpirun -np 4 --host h1:2,h2:2 tutti tune --transports verbs,tcp,ucx\n"));
  command->callback([o] { run(*o); });
}

}  // namespace tutti
