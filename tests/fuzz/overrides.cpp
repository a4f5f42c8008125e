// TUTTI_ALGORITHM.
#include "select/select.h"
#include "tests/fuzz/fuzz.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  const auto overrides = AlgorithmOverrides::parse(text_of(input));
  if (!parsed(overrides)) return;
  for (int c = 0; c < kCollectives; ++c) (void)overrides->forced(static_cast<Collective>(c));
}

}  // namespace tutti::fuzz
