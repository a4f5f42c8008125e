#include "cli/contract.h"

#include <CLI/CLI.hpp>

namespace tutti {

void add_contract_options(CLI::App& command, AskedContract& asked) {
  command
      .add_option("--order", asked.order,
                  "What reductions promise about their bits: fast, same_layout, placement_free or size_free (default: "
                  "TUTTI_ORDER)")
      ->check(CLI::IsMember({"fast", "same_layout", "placement_free", "size_free"}));
  command
      .add_option("--accumulate", asked.accumulate,
                  "What sums and products of floats add up in, rounded once in the end: f32 or f64 (default: TUTTI_ACCUMULATE)")
      ->check(CLI::IsMember({"f32", "f64"}));
}

std::optional<OrderClass> order_of(const AskedContract& asked) { return parse_order_class(asked.order); }
std::optional<DataType> accumulate_of(const AskedContract& asked) { return parse_data_type(asked.accumulate); }

}  // namespace tutti
