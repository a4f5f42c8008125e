// Own algorithms: schedules of all ranks, which are proved before they become rows.
#include "custom/custom.h"
#include "tests/fuzz/fuzz.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  if (input.size() > 10000) return;
  const ScheduleText text{"input", std::string(text_of(input))};
  const auto custom = CustomAlgorithms::load({&text, 1}, {});
  if (!parsed(custom)) return;
  for (const Rank ranks : {1, 2, 3}) {
    const auto table = custom->table(ranks, nullptr, ranks);
    promise(parsed(table), "what is proved becomes rows");
    for (const auto* row : table->rows()) {
      const Shape shape{.ranks = ranks, .root = 0};
      if (row->origin.empty() || !row->refuses(shape).empty()) continue;
      for (Rank me = 0; me < ranks; ++me) promise(row->build(me, shape, {}).rank == me, "a row has all ranks' schedules");
      promise(!row->cost(shape, {}).levels.empty(), "and a price");
    }
  }
}

}  // namespace tutti::fuzz
