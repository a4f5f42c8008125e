// Slurm's lists of hosts.
#include "bootstrap/node_list.h"

#include "tests/fuzz/fuzz.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  const auto nodes = expand_node_list(text_of(input));
  if (parsed(nodes)) promise(nodes->size() <= kMaxNodes, "no more nodes than allowed");
}

}  // namespace tutti::fuzz
