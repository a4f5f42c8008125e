// What limits the choice: TUTTI_ALGORITHM's names with parameters, and lists of names.
#include "select/select.h"
#include "tests/fuzz/fuzz.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  const AlgorithmTable table;
  const auto filter = AlgorithmFilter::parse(text_of(input), table);
  const auto forced = ForcedAlgorithm::parse(text_of(input));
  const bool filters = parsed(filter), forces = parsed(forced);
  if (forces) promise(forced->radix <= kMostRadix && forced->pieces <= kMostPieces, "parameters are within bounds");
  for (const Algorithm* row : table.rows()) {
    if (filters) (void)filter->leaves(*row);
    if (forces) (void)forced->misfit(*row);
  }
}

}  // namespace tutti::fuzz
