// Options that say what a reduction has to promise about its bits.
#pragma once

#include <string>

#include "select/contract.h"

namespace CLI {
class App;
}

namespace tutti {

struct AskedContract {
  std::string order, accumulate;  // empty: not said
};

void add_contract_options(CLI::App& command, AskedContract& asked);

// What is said, and nothing else.
[[nodiscard]] std::optional<OrderClass> order_of(const AskedContract& asked);
[[nodiscard]] std::optional<DataType> accumulate_of(const AskedContract& asked);

}  // namespace tutti
