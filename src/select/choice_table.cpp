#include "select/choice_table.h"

#include <bit>

namespace tutti {
namespace {

constexpr int kHalvings = 3;
constexpr std::size_t kMostRanges = 4096;  // then it starts anew

Result<Candidate> winner_at(std::uint64_t bytes, SelectRequest request, const JobMachine& machine, Costs& costs) {
  request.block_bytes = bytes;
  auto selection = select(request, machine, costs);
  if (!selection) return std::move(selection.error());
  return std::move(selection->candidates.front());
}

// nullptr where nothing can serve a call of this size.
const Candidate* winner_at_end(std::map<std::uint64_t, Candidate>& known, std::uint64_t bytes, const SelectRequest& request,
                               const JobMachine& machine, Costs& costs) {
  if (const auto it = known.find(bytes); it != known.end()) return &it->second;
  auto winner = winner_at(bytes, request, machine, costs);
  return winner ? &known.emplace(bytes, std::move(*winner)).first->second : nullptr;
}

}  // namespace

Result<Candidate> ChoiceTable::choose(const SelectRequest& request, const JobMachine& machine) {
  const Key key{request.collective,    request.root,           request.commutative,     request.equal_blocks,
                request.element_bytes, request.numerics.order, request.numerics.at_once};
  if (const auto column = columns_.find(key); column != columns_.end()) {
    auto range = column->second.ranges.upper_bound(request.block_bytes);
    if (range != column->second.ranges.begin() && (--range)->second.to > request.block_bytes)
      return Candidate(range->second.winner);
  }
  if (size_ >= kMostRanges) {
    columns_.clear();
    size_ = 0;
  }
  auto winner = find_range(columns_[key], request, machine);
  if (!winner) columns_.erase(key);
  return winner;
}

Result<Candidate> ChoiceTable::find_range(Column& column, const SelectRequest& request, const JobMachine& machine) {
  const std::uint64_t bytes = request.block_bytes;
  const auto keep = [&](std::uint64_t from, std::uint64_t to, const Candidate& winner) {
    column.ranges.emplace(from, Range{to, winner});
    ++size_;
    return Candidate(winner);
  };
  std::uint64_t low = std::bit_floor(bytes), high = 2 * low;
  for (int halved = 0; low < high && halved <= kHalvings; ++halved) {
    const Candidate* first = winner_at_end(column.ends, low, request, machine, costs_);
    const Candidate* last = winner_at_end(column.ends, high, request, machine, costs_);
    if (first == nullptr || last == nullptr) break;
    if (high - low == 1 || first->same_way(*last)) return keep(low, high, *first);
    const std::uint64_t middle = low + (high - low) / 2;
    (bytes < middle ? high : low) = middle;
  }
  auto winner = winner_at(bytes, request, machine, costs_);
  if (!winner) return winner;
  return keep(bytes, bytes + 1, *winner);
}

std::vector<Crossover> crossovers(const SelectRequest& request, const JobMachine& machine) {
  Costs costs;
  auto first = winner_at(0, request, machine, costs);
  if (!first) return {};
  std::vector<Crossover> table{{0, std::move(*first)}};
  std::uint64_t below = 0;
  for (std::uint64_t bytes = 1; bytes <= kMostCrossoverBytes; below = bytes, bytes *= 2) {
    auto at_end = winner_at(bytes, request, machine, costs);
    std::uint64_t low = below;
    while (at_end && at_end->algorithm != table.back().winner.algorithm) {
      Candidate next = *at_end;
      std::uint64_t high = bytes;
      while (high - low > 1) {
        const std::uint64_t middle = low + (high - low) / 2;
        auto there = winner_at(middle, request, machine, costs);
        if (!there) return table;
        const bool old = there->algorithm == table.back().winner.algorithm;
        (old ? low : high) = middle;
        if (!old) next = std::move(*there);
      }
      table.push_back({high, std::move(next)});
      low = high;
    }
  }
  return table;
}

}  // namespace tutti
