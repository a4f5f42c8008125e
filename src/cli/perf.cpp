#include "cli/perf.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <optional>

#include "cli/launcher_watch.h"
#include "cli/perf_memory.h"
#include "cli/perf_table.h"
#include "cli/report.h"
#include "cli/started_by.h"
#include "cli/usage.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/file.h"

namespace tutti {
namespace {

constexpr std::string_view kColumns = R"(Columns:
  size B        bytes of the larger side of the call: of the result of all_gather, of the input of reduce_scatter
  count         elements of one block: what one rank gives or gets
  time us       microseconds of one call: the mean of the iterations on the slowest rank
  algbw         size / time, in GB/s (10^9 bytes per second)
  busbw         algbw times the share of the bytes that must cross every rank's link, whatever the algorithm, so that it can be
                held against the bandwidth of the hardware: 2(p-1)/p for all_reduce of p ranks; (p-1)/p for all_gather,
                reduce_scatter, gather, scatter and all_to_all; 1 for the others
  wrong         elements of all ranks that were not what they must be
  out of place, in place: input and output are two buffers, or one
)";

// On stderr, and only when it takes long.
class Progress {
 public:
  Progress(bool enabled, std::size_t total) : enabled_(enabled), total_(total) {}
  void step(Collective c, std::uint64_t bytes) {
    ++done_;
    if (!enabled_ || seconds_since(last_) < 5) return;
    last_ = Clock::now();
    fmt::print(stderr, "tutti perf: {} of {} measurements done; now {} of {} bytes\n", done_ - 1, total_, name(c), bytes);
  }

 private:
  bool enabled_;
  std::size_t total_, done_ = 0;
  TimePoint last_ = Clock::now();
};

Result<PerfRow> measure_both(Communicator& comm, const PerfPlan& plan, const PerfCase& c, PerfDevice* device) {
  PerfRow row{.what = c, .out_of_place = {}, .in_place = {}};
  const bool never_in_place = c.collective == Collective::barrier || c.collective == Collective::send_recv;
  if (plan.out_of_place || never_in_place) {
    auto t = measure(comm, plan, c, false, device);
    if (!t) return std::move(t.error());
    row.out_of_place = std::move(*t);
  }
  if (plan.in_place && !never_in_place) {
    auto t = measure(comm, plan, c, true, device);
    if (!t) return std::move(t.error());
    row.in_place = std::move(*t);
  }
  return row;
}

Status measure_all(Communicator& comm, const PerfPlan& plan, PerfDevice* device, PerfTable& table) {
  Progress progress(comm.rank() == 0, plan.collectives.size() * plan.sizes.size());
  for (const Collective collective : plan.collectives) {
    if (collective == Collective::send_recv && comm.size() == 1 && plan.collectives.size() > 1) continue;
    std::optional<std::uint64_t> count;
    for (const std::uint64_t size : plan.sizes) {
      progress.step(collective, size);
      const PerfCase next = plan.at(collective, size, comm.rank(), comm.size());
      if (count == next.count) continue;  // a barrier, or too little for larger blocks than before
      count = next.count;
      auto row = measure_both(comm, plan, next, device);
      if (!row) return std::move(row.error());
      table.add(std::move(*row));
    }
  }
  return {};
}

Status check_root(const Communicator& comm, Rank root) {
  if (root < comm.size()) return {};
  return Error(Code::invalid_argument, fmt::format("--root {}: there are ranks 0 to {}", root, comm.size() - 1));
}

Status all_right(const PerfTable& table) {
  if (table.wrong() == 0) return {};
  return Error(Code::internal, fmt::format("{} wrong values", table.wrong()));
}

// What ranks must have been told alike, but for what each call compares.
OptionValues values_of(const PerfOptions& o) {
  return {{"--max-bytes", o.max_bytes},
          {"--factor", fmt::format("{}", o.factor)},
          {"--iterations", std::to_string(o.iterations)},
          {"--warmup", std::to_string(o.warmup)},
          {"--check", o.check ? "on" : "off"},
          {"--device", o.device.substr(0, o.device.find(':'))},
          {"--graph", o.graph ? "on" : "off"},
          {"--in-place", o.in_place_only ? "on" : "off"},
          {"--out-of-place", o.out_of_place_only ? "on" : "off"}};
}

// A shell that starts ranks by variables may end before them.
bool ends_with_launcher() {
  const LauncherKind kind = started_by();
  return kind != LauncherKind::none && kind != LauncherKind::variables;
}

std::unique_ptr<PerfDevice> open_device(Communicator& comm, const DeviceChoice& choice, std::vector<RankDevice>& devices) {
  auto device = PerfDevice::open(comm, choice);
  leave_if_any(comm, device ? Status{} : std::move(device.error()));
  auto known = devices_of_ranks(comm, **device);
  if (!known) leave(known.error());
  devices = std::move(*known);
  return std::move(*device);
}

void run(const PerfOptions& o) {
  const auto plan = make_plan(o);
  if (!plan) leave(plan.error());
  std::optional<LauncherWatch> watch;
  if (ends_with_launcher()) watch.emplace();
  auto comm = Communicator::from_environment({.transports = o.transport, .schedules = o.own.schedules, .plugins = o.own.plugins});
  if (!comm) leave(comm.error());
  leave_if_unlike(*comm, values_of(o));
  leave_if_any(*comm, check_root(*comm, plan->root));
  std::vector<RankDevice> devices;
  const auto device = plan->device.cuda ? open_device(*comm, plan->device, devices) : nullptr;
  leave_if_any(*comm, check_memory(*comm, *plan, device.get()));
  if (device)
    leave_if_any(
        *comm, device->reserve(static_cast<std::uint64_t>(memory_needed(*plan, comm->rank(), comm->size())) + kDeviceAlignment));
  const bool writes = comm->rank() == 0 && !o.json.empty();
  leave_if_any(*comm, writes ? check_writable(o.json) : Status{});  // better known now than after an hour
  PerfTable table(*comm, *plan, std::move(devices));
  if (auto s = measure_all(*comm, *plan, device.get(), table); !s) leave(s.error());
  leave_if_any(*comm, writes ? replace_file(o.json, table.json()) : Status{});
  leave_if_any(*comm, all_right(table));
}

}  // namespace

void add_perf_command(CLI::App& app) {
  auto o = std::make_shared<PerfOptions>();
  auto* command =
      app.add_subcommand("perf", "Measures collectives and checks every result. Start it under mpirun, srun, torchrun, ...");
  command->add_option("collective", o->collective, known_collectives() + "; or all");
  command->add_option("--min-bytes", o->min_bytes, "Smallest size of the larger side: 8, 64K, 1M")->capture_default_str();
  command->add_option("--max-bytes", o->max_bytes, "Largest size")->capture_default_str();
  command->add_option("--factor", o->factor, "From one size to the next")
      ->capture_default_str()
      ->check(number(0.0, std::numeric_limits<double>::infinity()));
  command->add_option("--type", o->type, "Element type: " + known_types())->capture_default_str();
  command->add_option("--op", o->op, "Reduction: " + known_operators())->capture_default_str();
  command->add_option("--root", o->root, "Root, for collectives that have one")->capture_default_str()->check(number<Rank>());
  command->add_option("--iterations", o->iterations, "Calls to time per size")->capture_default_str()->check(number<int>());
  command->add_option("--warmup", o->warmup, "Calls before the clock starts")->capture_default_str()->check(number<int>());
  command->add_flag("--check,!--no-check", o->check, "Compare every result bit by bit (default)");
  auto* in_place = command->add_flag("--in-place", o->in_place_only, "In place only (default: both)");
  command->add_flag("--out-of-place", o->out_of_place_only, "Out of place only")->excludes(in_place);
  command
      ->add_option(
          "--algorithm", o->algorithm,
          "Force an algorithm by name, perhaps with parameters (ring, ring/pieces=8); tutti explain COLLECTIVE lists them")
      ->check(not_empty());
  command->add_option("--filter", o->filter, "Choose from these algorithms only: names separated by commas; ^name excludes one")
      ->check(not_empty());
  command
      ->add_option(
          "--device", o->device,
          "Where the buffers are: host; cuda, each rank of a host on the next of its GPUs (ranks may share one); cuda:N, on "
          "GPU N. On a GPU calls are given to a stream and timed until it has done them all")
      ->capture_default_str()
      ->check(not_empty());
  command->add_flag("--graph", o->graph, "With --device cuda: capture the call into a CUDA graph, and time its launches");
  add_contract_options(*command, o->contract);
  add_own_options(*command, o->own);
  command->add_option("--transport", o->transport, "Transports that may be used, as in TUTTI_TRANSPORT")->check(not_empty());
  command->add_option("--json", o->json, "Write the table to this file, too")->check(file_name());
  command->footer(with_exit_statuses(fmt::format("{}\nExample: mpirun -np 4 tutti perf all_reduce --max-bytes 64M\n", kColumns)));
  command->callback([o] { run(*o); });
}

}  // namespace tutti
