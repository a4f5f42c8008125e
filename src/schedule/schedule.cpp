#include "tutti/schedule.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>

namespace tutti {

void ChunkList::append(std::uint32_t first, std::uint32_t count) {
  if (count == 0) return;
  if (runs_.empty() || runs_.back().first + (size_ - runs_.back().at) != first) runs_.push_back({size_, first});
  size_ += count;
}

std::string_view name(Buffer buffer) noexcept {
  switch (buffer) {
    case Buffer::input:
      return "input";
    case Buffer::output:
      return "output";
    case Buffer::scratch:
      return "scratch";
  }
  return "?";
}

std::string_view name(StepKind kind) noexcept {
  switch (kind) {
    case StepKind::send:
      return "send";
    case StepKind::recv:
      return "recv";
    case StepKind::reduce:
      return "reduce";
    case StepKind::copy:
      return "copy";
    case StepKind::recv_reduce:
      return "recv_reduce";
    case StepKind::fold:
      return "fold";
  }
  return "?";
}

std::uint32_t input_chunks(Collective collective, Rank ranks, std::uint32_t chunks_per_block) {
  switch (collective) {
    case Collective::reduce_scatter:
    case Collective::scatter:
    case Collective::all_to_all:
      return static_cast<std::uint32_t>(ranks) * chunks_per_block;
    case Collective::all_reduce:
    case Collective::reduce:
    case Collective::broadcast:
    case Collective::all_gather:
    case Collective::gather:
    case Collective::barrier:
    case Collective::scan:
    case Collective::exscan:
    case Collective::send_recv:
      return chunks_per_block;
  }
  return 0;
}

std::uint32_t output_chunks(Collective collective, Rank ranks, std::uint32_t chunks_per_block) {
  switch (collective) {
    case Collective::all_gather:
    case Collective::gather:
    case Collective::all_to_all:
      return static_cast<std::uint32_t>(ranks) * chunks_per_block;
    case Collective::all_reduce:
    case Collective::reduce:
    case Collective::broadcast:
    case Collective::reduce_scatter:
    case Collective::scatter:
    case Collective::barrier:
    case Collective::scan:
    case Collective::exscan:
    case Collective::send_recv:
      return chunks_per_block;
  }
  return 0;
}

Grouping::Grouping(const std::vector<int>& group_of) : group_of_(group_of.size()), index_(group_of.size()) {
  std::map<int, int> number;
  std::vector<std::uint32_t> sizes;
  for (std::size_t r = 0; r < group_of.size(); ++r) {
    const auto [it, fresh] = number.emplace(group_of[r], static_cast<int>(number.size()));
    if (fresh) sizes.push_back(0);
    group_of_[r] = it->second;
    index_[r] = static_cast<int>(sizes[static_cast<std::size_t>(it->second)]++);
  }
  if (!sizes.empty()) {
    const auto [least, most] = std::minmax_element(sizes.begin(), sizes.end());
    smallest_ = static_cast<Rank>(*least), largest_ = static_cast<Rank>(*most);
  }
  begin_.assign(1, 0);
  std::partial_sum(sizes.begin(), sizes.end(), std::back_inserter(begin_));
  order_.resize(group_of.size());
  for (std::size_t r = 0; r < group_of.size(); ++r)
    order_[begin_[static_cast<std::size_t>(group_of_[r])] + static_cast<std::size_t>(index_[r])] = static_cast<Rank>(r);
  for (int g = 0; g < groups(); ++g)
    ranges_ = ranges_ && members(g).back() - members(g).front() + 1 == static_cast<Rank>(members(g).size());
}

std::span<const Rank> Grouping::members(int group) const noexcept {
  const auto g = static_cast<std::size_t>(group);
  return {order_.data() + begin_[g], order_.data() + begin_[g + 1]};
}

}  // namespace tutti
