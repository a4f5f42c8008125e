#include "cli/perf.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/perf_data.h"
#include "cli/report.h"
#include "cli/sizes.h"
#include "core/clock.h"
#include "core/config.h"
#include "tutti/communicator.h"

namespace tutti {
namespace {

struct PerfOptions {
  std::string collective, min_bytes = "8", max_bytes = "4M", type = "f32", op = "sum", algorithm, transport, json;
  double factor = 4;
  int iterations = 20, warmup = 5;
  Rank root = 0;
  bool check = true, in_place_only = false, out_of_place_only = false;
};

struct PerfPlan {
  std::vector<Collective> collectives;
  std::vector<std::uint64_t> sizes;
  DataType type = DataType::f32;
  ReduceOp op;
};

struct Timing {
  double time_us = 0, algbw = 0, busbw = 0;
  std::uint64_t wrong = 0;
};

struct Row {
  Collective collective;
  std::uint64_t bytes = 0, count = 0;
  std::optional<Timing> out_of_place, in_place;
  std::string algorithm, transport;
};

Result<std::vector<std::uint64_t>> sizes_from(const PerfOptions& o, DataType type) {
  auto least = parse_bytes(o.min_bytes), most = parse_bytes(o.max_bytes);
  if (!least) return least.because("--min-bytes");
  if (!most) return most.because("--max-bytes");
  const auto bad = [](std::string what) { return Error(Code::invalid_argument, std::move(what)); };
  if (*least > *most) return bad(fmt::format("--min-bytes {} is more than --max-bytes {}", o.min_bytes, o.max_bytes));
  if (*least % size_of(type) != 0)
    return bad(fmt::format("--min-bytes {} is not a multiple of {}, the size of {}", *least, size_of(type), name(type)));
  if (!(o.factor > 1)) return bad(fmt::format("--factor {}: must be more than 1", o.factor));
  std::vector<std::uint64_t> sizes;
  for (double size = static_cast<double>(*least); size <= static_cast<double>(*most); size *= o.factor) {
    const auto bytes = static_cast<std::uint64_t>(size) / size_of(type) * size_of(type);
    if (sizes.empty() || sizes.back() != bytes) sizes.push_back(bytes);
    if (size <= 0) size = static_cast<double>(size_of(type)) / o.factor;
  }
  return sizes;
}

Result<PerfPlan> parse(const PerfOptions& o) {
  PerfPlan plan;
  const auto bad = [](std::string what) { return Error(Code::invalid_argument, std::move(what)); };
  if (o.collective == "all") {
    for (int c = 0; c < kCollectives; ++c) plan.collectives.push_back(static_cast<Collective>(c));
  } else if (const auto c = parse_collective(o.collective)) {
    plan.collectives.push_back(*c);
  } else {
    std::string known;
    for (int k = 0; k < kCollectives; ++k) known += fmt::format("{}, ", name(static_cast<Collective>(k)));
    return bad(fmt::format("there is no collective \"{}\"; there are {}all", o.collective, known));
  }
  const auto type = parse_data_type(o.type);
  if (!type) {
    std::string known;
    for (int t = 0; t < kDataTypes; ++t) known += fmt::format("{}{}", t > 0 ? ", " : "", name(static_cast<DataType>(t)));
    return bad(fmt::format("--type \"{}\" is not a type; there are {}", o.type, known));
  }
  plan.type = *type;
  const auto op = parse_reduce_kind(o.op);
  if (!op || *op == ReduceKind::user) {
    std::string known;
    for (int k = 0; k < static_cast<int>(ReduceKind::user); ++k)
      known += fmt::format("{}{}", k > 0 ? ", " : "", name(static_cast<ReduceKind>(k)));
    return bad(fmt::format("--op \"{}\" is not an operator; there are {}", o.op, known));
  }
  if (!supports(*op, *type)) return bad(fmt::format("--op {} is not defined for --type {}", o.op, o.type));
  plan.op = {.kind = *op, .scalar = *op == ReduceKind::premul_sum ? 2.0 : 1.0, .user = {}};
  if (o.iterations < 1 || o.warmup < 0) return bad("--iterations must be at least 1 and --warmup at least 0");
  auto sizes = sizes_from(o, *type);
  if (!sizes) return std::move(sizes.error());
  plan.sizes = std::move(*sizes);
  return plan;
}

// Runs one collective at one size.
class Measurement {
 public:
  Measurement(Communicator& comm, const PerfOptions& o, const PerfCase& c, std::uint64_t bytes)
      : comm_(comm), options_(o), case_(c), bytes_(bytes) {}

  Result<Timing> run(bool in_place) {
    const std::size_t size = size_of(case_.type);
    std::vector<std::byte> input(case_.input_count() * size), output;
    fill_input(case_, input.data());
    Call call{.collective = case_.collective,
              .count = case_.count,
              .type = case_.type,
              .op = case_.op,
              .root = case_.root,
              .algorithm = case_.collective == Collective::send_recv ? "" : std::string_view(options_.algorithm)};
    if (case_.collective == Collective::send_recv) {
      call.destination = (case_.me + 1) % case_.ranks;
      call.source = (case_.me + case_.ranks - 1) % case_.ranks;
      call.receive_count = case_.count;
    }
    place(call, in_place, input, output);
    for (int i = 0; i < options_.warmup; ++i)
      if (auto s = comm_.run(call); !s) return std::move(s.error());
    if (auto s = comm_.barrier(); !s) return std::move(s.error());
    const TimePoint start = Clock::now();
    for (int i = 0; i < options_.iterations; ++i)
      if (auto s = comm_.run(call); !s) return std::move(s.error());
    const double seconds = seconds_since(start) / options_.iterations;
    algorithm_ = comm_.last_algorithm();
    return finish(seconds, call, in_place, input, output);
  }
  [[nodiscard]] const std::string& algorithm() const { return algorithm_; }

 private:
  // In place the two buffers are one; where the smaller lies in the larger is the collective's rule.
  void place(Call& call, bool in_place, std::vector<std::byte>& input, std::vector<std::byte>& output) const {
    const std::size_t size = size_of(case_.type);
    const std::size_t out_bytes = case_.output_count() * size, own = static_cast<std::size_t>(case_.me) * case_.count * size;
    if (!in_place || input.empty() || out_bytes == 0) {
      output.assign(out_bytes, std::byte{0x5a});
      call.input = input.data();
      call.output = output.data();
      if (case_.collective == Collective::broadcast && case_.me != case_.root) call.input = nullptr;
      return;
    }
    if (input.size() > out_bytes) {  // the output is a part of the input
      call.input = input.data();
      call.output = input.data() + own;
      return;
    }
    const bool inside = out_bytes > input.size();
    output.assign(out_bytes, std::byte{0x5a});
    std::memcpy(output.data() + (inside ? own : 0), input.data(), input.size());
    call.input = output.data() + (inside ? own : 0);
    call.output = output.data();
  }

  Result<Timing> finish(double seconds, Call& call, bool in_place, std::vector<std::byte>& input,
                        std::vector<std::byte>& output) {
    Timing t;
    if (options_.check) {  // once more, on fresh data: in place the loop has reduced its own results
      fill_input(case_, input.data());
      place(call, in_place, input, output);
      if (auto s = comm_.run(call); !s) return std::move(s.error());
      t.wrong = count_wrong(case_, static_cast<const std::byte*>(call.output));
    }
    // The slowest rank's time; wrong elements of all ranks.
    if (auto s = comm_.all_reduce(std::span(&seconds, 1), {.kind = ReduceKind::max, .user = {}}); !s) return std::move(s.error());
    if (auto s = comm_.all_reduce(std::span(&t.wrong, 1)); !s) return std::move(s.error());
    t.time_us = seconds * 1e6;
    t.algbw = static_cast<double>(bytes_) / seconds / 1e9;
    t.busbw = t.algbw * bus_factor(case_.collective, case_.ranks);
    return t;
  }

  Communicator& comm_;
  const PerfOptions& options_;
  const PerfCase& case_;
  std::uint64_t bytes_;
  std::string algorithm_;
};

class Table {
 public:
  Table(const Communicator& comm, const PerfOptions& o) : comm_(comm), options_(o), enabled_(comm.rank() == 0) {}

  void add(const Row& r) {
    if (enabled_ && rows_.empty()) head();
    rows_.push_back(r);
    if (!enabled_) return;
    const PerfOptions& o = options_;
    fmt::print("  {:<14} {:>11} {:>11} {:>6} {:>10} {:>4}  {}   {}  {}, {}\n", name(r.collective), r.bytes, r.count, o.type,
               reduces(r.collective) ? o.op : "-", has_root(r.collective) ? std::to_string(o.root) : "-",
               cells(r.out_of_place, o.check), cells(r.in_place, o.check), r.algorithm, r.transport);
    std::fflush(stdout);
  }

  [[nodiscard]] std::uint64_t wrong() const {
    std::uint64_t sum = 0;
    for (const Row& r : rows_) sum += (r.out_of_place ? r.out_of_place->wrong : 0) + (r.in_place ? r.in_place->wrong : 0);
    return sum;
  }

  [[nodiscard]] std::string json() const {
    using nlohmann::json;
    const PerfOptions& o = options_;
    const auto side = [&](const std::optional<Timing>& t) -> json {
      if (!t) return nullptr;
      json j{{"time_us", t->time_us}, {"algbw_gbps", t->algbw}, {"busbw_gbps", t->busbw}};
      j["wrong"] = o.check ? json(t->wrong) : json(nullptr);
      return j;
    };
    json rows = json::array();
    for (const Row& r : rows_)
      rows.push_back({{"collective", name(r.collective)},
                      {"bytes", r.bytes},
                      {"count", r.count},
                      {"type", o.type},
                      {"op", o.op},
                      {"root", o.root},
                      {"out_of_place", side(r.out_of_place)},
                      {"in_place", side(r.in_place)},
                      {"algorithm", r.algorithm},
                      {"transport", r.transport}});
    return json{{"tutti_perf", 1},    {"ranks", comm_.size()}, {"launcher", comm_.launcher()}, {"iterations", o.iterations},
                {"warmup", o.warmup}, {"rows", rows}}
               .dump(2) +
           "\n";
  }

 private:
  // Not before the first row: a call that is refused leaves no table.
  void head() const {
    fmt::print(
        "# tutti perf: {} ranks, launcher {}, transports {}, {} iterations after {} to warm up, times are the slowest rank's "
        "mean\n",
        comm_.size(), comm_.launcher().empty() ? "none" : comm_.launcher(), comm_.transports(), options_.iterations,
        options_.warmup);
    fmt::print("# {:<14} {:>11} {:>11} {:>6} {:>10} {:>4}   {:^39}   {:^39}\n", "", "", "", "", "", "", "out of place",
               "in place");
    fmt::print("# {:<14} {:>11} {:>11} {:>6} {:>10} {:>4}  {:>11} {:>9} {:>9} {:>7}   {:>11} {:>9} {:>9} {:>7}  {}\n",
               "collective", "size B", "count", "type", "op", "root", "time us", "algbw", "busbw", "wrong", "time us", "algbw",
               "busbw", "wrong", "algorithm, transport");
  }

  static std::string cells(const std::optional<Timing>& t, bool check) {
    if (!t) return fmt::format("{:>11} {:>9} {:>9} {:>7}", "-", "-", "-", "-");
    return fmt::format("{:>11.2f} {:>9.3f} {:>9.3f} {:>7}", t->time_us, t->algbw, t->busbw,
                       check ? std::to_string(t->wrong) : "-");
  }
  const Communicator& comm_;
  const PerfOptions& options_;
  bool enabled_;
  std::vector<Row> rows_;
};

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

Status measure_all(Communicator& comm, const PerfOptions& o, const PerfPlan& plan, Table& table) {
  Progress progress(comm.rank() == 0, plan.collectives.size() * plan.sizes.size());
  for (const Collective collective : plan.collectives) {
    if (collective == Collective::send_recv && comm.size() == 1 && plan.collectives.size() > 1) continue;
    for (const std::uint64_t size : plan.sizes) {
      progress.step(collective, size);
      PerfCase c{.collective = collective,
                 .type = plan.type,
                 .op = plan.op,
                 .root = has_root(collective) ? o.root : 0,
                 .me = comm.rank(),
                 .ranks = comm.size()};
      const auto blocks = has_blocks(collective) ? static_cast<std::uint64_t>(comm.size()) : 1;
      const auto elements = size / size_of(plan.type);
      c.count = collective == Collective::barrier ? 0 : elements == 0 ? 0 : std::max<std::uint64_t>(1, elements / blocks);
      Row row{.collective = collective,
              .bytes = c.count * blocks * size_of(plan.type),
              .count = c.count,
              .out_of_place = {},
              .in_place = {},
              .algorithm = "",
              .transport = comm.transports()};
      Measurement m(comm, o, c, row.bytes);
      const bool never_in_place = collective == Collective::barrier || collective == Collective::send_recv;
      if (!o.in_place_only || never_in_place) {
        auto t = m.run(false);
        if (!t) return std::move(t.error());
        row.out_of_place = *t;
      }
      if (!o.out_of_place_only && !never_in_place) {
        auto t = m.run(true);
        if (!t) return std::move(t.error());
        row.in_place = *t;
      }
      row.algorithm = m.algorithm();
      table.add(row);
      if (collective == Collective::barrier) break;
    }
  }
  return {};
}

void run(const PerfOptions& o) {
  auto plan = parse(o);
  if (!plan) leave(plan.error());
  auto comm = Communicator::from_environment({.transports = o.transport, .algorithm = {}});
  if (!comm) leave(comm.error());
  if (o.root < 0 || o.root >= comm->size())
    leave(fmt::format("--root {}: there are ranks 0 to {}", o.root, comm->size() - 1), kExitUsage);
  if (!o.json.empty() && comm->rank() == 0) write_file(o.json, "");  // better now than after an hour
  Table table(*comm, o);
  if (auto s = measure_all(*comm, o, *plan, table); !s) leave(s.error());
  if (!o.json.empty() && comm->rank() == 0) write_file(o.json, table.json());
  if (table.wrong() > 0) leave(fmt::format("{} wrong values", table.wrong()), kExitFailed);
}

}  // namespace

void add_perf_command(CLI::App& app) {
  auto o = std::make_shared<PerfOptions>();
  auto* command =
      app.add_subcommand("perf", "Measures collectives and checks every result. Start it under mpirun, srun, torchrun, ...");
  command->add_option("collective", o->collective, "all_reduce, all_gather, ..., or all")->required();
  command->add_option("--min-bytes", o->min_bytes, "Smallest size of the larger side: 8, 64K, 1M (default 8)");
  command->add_option("--max-bytes", o->max_bytes, "Largest size (default 4M)");
  command->add_option("--factor", o->factor, "From one size to the next (default 4)");
  command->add_option("--type", o->type, "Element type: f32, bf16, i64, ... (default f32)");
  command->add_option("--op", o->op, "Reduction: sum, max, avg, ... (default sum)");
  command->add_option("--root", o->root, "Root, for collectives that have one (default 0)");
  command->add_option("--iterations", o->iterations, "Calls to time per size (default 20)");
  command->add_option("--warmup", o->warmup, "Calls before the clock starts (default 5)");
  command->add_flag("--check,!--no-check", o->check, "Compare every result bit by bit (default)");
  auto* in_place = command->add_flag("--in-place", o->in_place_only, "In place only (default: both)");
  command->add_flag("--out-of-place", o->out_of_place_only, "Out of place only")->excludes(in_place);
  command->add_option("--algorithm", o->algorithm, "Force an algorithm by name");
  command->add_option("--transport", o->transport, "Transports that may be used, as in TUTTI_TRANSPORT");
  command->add_option("--json", o->json, "Write the table to this file, too");
  command->callback([o] { run(*o); });
}

}  // namespace tutti
