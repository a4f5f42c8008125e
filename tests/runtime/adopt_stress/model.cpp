#include "model.h"

#include <fmt/format.h>

#include <algorithm>

namespace tutti::stress {
namespace {

using Words = std::vector<std::uint32_t>;

// What ends up at one place, of the inputs of all.
Words result_at(const Plan& plan, const std::vector<Words>& inputs, std::size_t place) {
  const std::size_t p = inputs.size(), n = plan.count;
  const auto block_of = [n](const Words& words, std::size_t i) { return words.begin() + static_cast<std::ptrdiff_t>(i * n); };
  Words result;
  const auto append = [&](const Words& words, std::size_t block) {
    result.insert(result.end(), block_of(words, block), block_of(words, block) + static_cast<std::ptrdiff_t>(n));
  };
  switch (plan.collective) {
    case Collective::broadcast:
      append(inputs[plan.root % p], 0);
      break;
    case Collective::send_recv:
      append(inputs[(place + p - 1) % p], 0);
      break;
    case Collective::all_gather:
      for (const Words& input : inputs) append(input, 0);
      break;
    case Collective::all_to_all:
      for (const Words& input : inputs) append(input, place);
      break;
    default: {
      const std::size_t block = plan.collective == Collective::reduce_scatter ? place : 0;
      result.resize(n);
      for (const Words& input : inputs)
        for (std::size_t i = 0; i < n; ++i) result[i] += block_of(input, block)[static_cast<std::ptrdiff_t>(i)];
    }
  }
  return result;
}

}  // namespace

bool input_is_of_all(Collective collective) {
  return collective == Collective::reduce_scatter || collective == Collective::all_to_all;
}
bool output_is_of_all(Collective collective) {
  return collective == Collective::all_gather || collective == Collective::all_to_all;
}

std::string Plan::to_string() const {
  const auto show = [](const Part& part) { return fmt::format("buffer {} [{}, +{}]", part.buffer, part.first, part.count); };
  return fmt::format("{} of {} words on communicator {}, root {}, {}{}{}", name(collective), count, communicator, root,
                     in_place ? "in place in " : show(input) + " to ", show(output),
                     algorithm.empty() ? "" : ", by " + algorithm);
}

Places places(const Plan& plan, std::size_t place) {
  Places at{plan.input.first, plan.output.first};
  if (plan.in_place && plan.collective == Collective::all_gather) at.input += place * plan.count;
  if (plan.in_place && plan.collective == Collective::reduce_scatter) at.output += place * plan.count;
  return at;
}

void apply(const Plan& plan, const std::vector<Rank>& ranks, std::vector<Slot>& slots) {
  const auto at = [](std::size_t i) { return static_cast<std::ptrdiff_t>(i); };
  std::vector<Words> inputs;
  for (std::size_t place = 0; place < ranks.size(); ++place) {
    const Words& all = slots[plan.input.buffer].of_rank[static_cast<std::size_t>(ranks[place])];
    const auto first = all.begin() + at(places(plan, place).input);
    inputs.emplace_back(first, first + at(plan.count * (input_is_of_all(plan.collective) ? ranks.size() : 1)));
  }
  for (std::size_t place = 0; place < ranks.size(); ++place)
    std::ranges::copy(
        result_at(plan, inputs, place),
        slots[plan.output.buffer].of_rank[static_cast<std::size_t>(ranks[place])].begin() + at(places(plan, place).output));
}

}  // namespace tutti::stress
