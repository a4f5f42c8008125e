// What `tutti perf` has measured, for a person and for a program.
#pragma once

#include <optional>
#include <vector>

#include "cli/perf_measure.h"

namespace tutti {

struct PerfRow {
  PerfCase what;
  std::optional<Timing> out_of_place, in_place;
};

// Rank 0 prints rows as they come.
class PerfTable {
 public:
  // `devices`: of the ranks; none where the buffers lie in the host's memory.
  PerfTable(const Communicator& comm, const PerfPlan& plan, std::vector<RankDevice> devices)
      : comm_(comm), plan_(plan), devices_(std::move(devices)) {}

  void add(PerfRow row);
  [[nodiscard]] std::uint64_t wrong() const;
  [[nodiscard]] std::string json() const;

 private:
  [[nodiscard]] std::string where() const;
  void print_head() const;
  void print(const PerfRow& row) const;
  [[nodiscard]] std::string cells(const std::optional<Timing>& t) const;

  const Communicator& comm_;
  const PerfPlan& plan_;
  std::vector<RankDevice> devices_;
  std::vector<PerfRow> rows_;
};

}  // namespace tutti
