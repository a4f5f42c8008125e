// Where a rank says that it is.
#include "tests/fuzz/fuzz.h"
#include "tutti/topology.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  const auto location = location_from_json(text_of(input));
  if (!parsed(location)) return;
  const auto again = location_from_json(to_json(*location));
  promise(parsed(again) && *again == *location, "a location comes back");
  const RankLocation both[] = {*location, {}};
  (void)levels(both);
}

}  // namespace tutti::fuzz
