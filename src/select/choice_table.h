// Which way is best from which size to which, as far as somebody has asked: kept by a communicator, so that a size between two
// that choose alike costs a look instead of prices.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>

#include "select/cost.h"

namespace tutti {

class ChoiceTable {
 public:
  // What select() would choose; but where the sizes at both ends of a range choose alike, so does what lies between. Ranges are
  // halves, quarters and eighths of 2^k to 2^(k+1), so what is chosen does not depend on what was asked before. Errors are
  // select's. The machine and all of the request but what Key has must be the same in each call.
  Result<Candidate> choose(const SelectRequest& request, const JobMachine& machine);

  // Ranges that are kept.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  using Key = std::tuple<Collective, Rank, bool, bool, std::uint32_t, OrderClass, bool>;
  struct Range {
    std::uint64_t to = 0;  // excluded
    Candidate winner;
  };
  struct Column {
    std::map<std::uint64_t, Range> ranges;    // by their first size
    std::map<std::uint64_t, Candidate> ends;  // of ranges
  };
  Result<Candidate> find_range(Column& column, const SelectRequest& request, const JobMachine& machine);

  Costs costs_;
  std::map<Key, Column> columns_;
  std::size_t size_ = 0;  // ranges of all columns
};

}  // namespace tutti
