#include "cli/perf_table.h"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

namespace tutti {
namespace {

const Timing& one_of(const PerfRow& row) { return row.in_place ? *row.in_place : *row.out_of_place; }

}  // namespace

void PerfTable::add(PerfRow row) {
  rows_.push_back(std::move(row));
  if (comm_.rank() != 0) return;
  if (rows_.size() == 1) print_head();  // not earlier: a call that is refused leaves no table
  print(rows_.back());
  std::fflush(stdout);
}

std::uint64_t PerfTable::wrong() const {
  std::uint64_t sum = 0;
  for (const PerfRow& r : rows_) sum += (r.out_of_place ? r.out_of_place->wrong : 0) + (r.in_place ? r.in_place->wrong : 0);
  return sum;
}

std::string PerfTable::json() const {
  using nlohmann::json;
  const auto side = [&](const std::optional<Timing>& t) -> json {
    if (!t) return nullptr;
    return {{"time_us", t->time_us},
            {"algbw_gbps", t->algbw},
            {"busbw_gbps", t->busbw},
            {"wrong", plan_.check ? json(t->wrong) : json(nullptr)}};
  };
  json rows = json::array();
  for (const PerfRow& r : rows_)
    rows.push_back({{"collective", name(r.what.collective)},
                    {"bytes", r.what.bytes()},
                    {"count", r.what.count},
                    {"type", name(plan_.type)},
                    {"op", name(plan_.op.kind)},
                    {"root", plan_.root},
                    {"out_of_place", side(r.out_of_place)},
                    {"in_place", side(r.in_place)},
                    {"algorithm", one_of(r).algorithm},
                    {"transport", one_of(r).way}});
  json devices = json::array();  // of the ranks, in order
  for (const RankDevice& d : devices_) devices.push_back({{"device", d.number}, {"name", d.name}});
  const json table{{"tutti_perf", 1},
                   {"ranks", comm_.size()},
                   {"launcher", comm_.launcher()},
                   {"buffers", plan_.device.cuda ? "cuda" : "host"},
                   {"devices", devices},
                   {"graph", plan_.graph},
                   {"iterations", plan_.iterations},
                   {"warmup", plan_.warmup},
                   {"rows", rows}};
  return table.dump(2) + "\n";
}

// "2 devices (NVIDIA H200)".
std::string PerfTable::where() const {
  if (devices_.empty()) return "host memory";
  std::set<std::uint64_t> ids;
  std::set<std::string> names;
  for (const RankDevice& d : devices_) {
    ids.insert(d.id);
    names.insert(d.name);
  }
  return fmt::format("the memory of {} device{} ({})", ids.size(), ids.size() == 1 ? "" : "s", fmt::join(names, ", "));
}

void PerfTable::print_head() const {
  fmt::print(
      "# tutti perf: {} ranks, launcher {}, transports {}, buffers in {}, {} iterations after {} to warm up{}, times are the "
      "slowest rank's mean\n",
      comm_.size(), comm_.launcher(), comm_.transports(), where(), plan_.iterations, plan_.warmup,
      plan_.graph ? ", each the launch of a graph" : "");
  fmt::print("# {:<14} {:>11} {:>11} {:>6} {:>10} {:>4}   {:^39}   {:^39}\n", "", "", "", "", "", "", "out of place", "in place");
  constexpr std::string_view kSide = "    time us     algbw     busbw   wrong";
  fmt::print("# {:<14} {:>11} {:>11} {:>6} {:>10} {:>4}  {}   {}  algorithm, transport\n", "collective", "size B", "count",
             "type", "op", "root", kSide, kSide);
}

void PerfTable::print(const PerfRow& r) const {
  const Collective c = r.what.collective;
  fmt::print("  {:<14} {:>11} {:>11} {:>6} {:>10} {:>4}  {}   {}  {}, {}\n", name(c), r.what.bytes(), r.what.count,
             name(plan_.type), reduces(c) ? name(plan_.op.kind) : "-", has_root(c) ? std::to_string(plan_.root) : "-",
             cells(r.out_of_place), cells(r.in_place), one_of(r).algorithm, one_of(r).way);
}

std::string PerfTable::cells(const std::optional<Timing>& t) const {
  if (!t) return fmt::format("{:>11} {:>9} {:>9} {:>7}", "-", "-", "-", "-");
  return fmt::format("{:>11.2f} {:>9.3f} {:>9.3f} {:>7}", t->time_us, t->algbw, t->busbw,
                     plan_.check ? std::to_string(t->wrong) : "-");
}

}  // namespace tutti
