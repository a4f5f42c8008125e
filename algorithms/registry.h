// The one table of algorithms. Dispatch, selection, documentation and the test matrix follow from it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tutti/algorithm.h"
#include "tutti/result.h"

namespace tutti {

// What is tried of Chunking::radix.
inline constexpr std::uint32_t kRadices[] = {2, 3, 4, 6, 8, 12, 16, 32, 64};

// The library's.
[[nodiscard]] std::span<const Algorithm> algorithms() noexcept;
[[nodiscard]] const Algorithm* find_algorithm(Collective collective, std::string_view name) noexcept;

// Whether the row, fused, combines contributions in the canonical tree (core/numerics.h).
[[nodiscard]] inline bool is_canonical(const Algorithm& row, const Shape& shape, const Chunking& chunking) {
  return row.meets_at_once || (row.canonical && row.canonical(shape, chunking));
}

// What a job chooses from: the library's rows, and its own behind them. A value; copies share the rows.
class AlgorithmTable {
 public:
  AlgorithmTable();

  // Code::invalid_argument where there is one of this name already.
  Status add(std::shared_ptr<const Algorithm> row);

  [[nodiscard]] std::span<const Algorithm* const> rows() const noexcept { return rows_; }  // collective by collective
  [[nodiscard]] std::vector<const Algorithm*> of(Collective collective) const;
  [[nodiscard]] const Algorithm* find(Collective collective, std::string_view name) const noexcept;
  [[nodiscard]] std::string names(Collective collective) const;  // "direct, ring"

 private:
  std::vector<const Algorithm*> rows_;
  std::vector<std::shared_ptr<const Algorithm>> own_;  // keeps them
};

}  // namespace tutti
