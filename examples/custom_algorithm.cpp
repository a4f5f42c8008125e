// An all_gather of one's own, as a plugin: blocks travel around the circle of ranks, one copy to the right and one to
// the left, so that p/2 rounds are enough where a ring needs p-1.
//
//   TUTTI_PLUGINS=build/release/examples/libcustom_algorithm.so TUTTI_ALGORITHM=all_gather:both_ways mpirun -np 4 ...
//
// No cost is declared: the verifier measures it. Nothing else is needed, since a schedule has no types, sizes or transports.
#include <tutti/plugin.h>

namespace {

using tutti::Rank;

tutti::Schedule both_ways(Rank me, const tutti::Shape& shape, const tutti::Chunking& /*has no parameters*/) {
  const Rank p = shape.ranks, right = (me + 1) % p, left = (me + p - 1) % p;
  tutti::Builder b(tutti::Collective::all_gather, "both_ways", me, shape, 1);
  const auto block = [&](Rank of) { return b.output(static_cast<std::uint32_t>((of + p) % p)); };
  b.copy(b.input(0), block(me));
  for (Rank k = 1; k <= p / 2; ++k) {
    b.send(block(me - k + 1), right);
    b.recv(left, block(me - k));
    if (2 * k == p) break;  // the block opposite has come from the left
    b.send(block(me + k - 1), left, 1);
    b.recv(right, block(me + k), 1);
  }
  return std::move(b).finish();
}

constexpr tutti::Algorithm kAlgorithms[] = {{.collective = tutti::Collective::all_gather,
                                             .name = "both_ways",
                                             .summary = "blocks travel around the circle in both directions; p/2 rounds",
                                             .source = "examples/custom_algorithm.cpp",
                                             .needs = {.min_ranks = 2},
                                             .pipelines = false,
                                             .build = both_ways,
                                             .cost = nullptr}};
constexpr tutti::Plugin kPlugin{.algorithms = kAlgorithms, .count = 1};

}  // namespace

extern "C" const tutti::Plugin* tutti_plugin() { return &kPlugin; }
