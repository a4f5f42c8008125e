#include "plugins.h"

// Right as they are proved at the start, and wrong in four pieces, or from root 2 of 8.
namespace {
using namespace tutti;

Schedule late(Rank me, const Shape& shape, const Chunking& cut) {
  return plugins::everyone("late", me, shape, cut.pieces, cut.pieces == 4);
}
Schedule cheap(Rank me, const Shape& shape, const Chunking& cut) {
  return plugins::everyone("cheap", me, shape, cut.pieces, cut.pieces == 4);
}
// A bound, but where it is wrong: there it is cheapest.
Cost cost_of_cheap(const Shape& shape, const Chunking& cut) {
  const auto others = static_cast<std::uint32_t>(shape.ranks - 1) * cut.pieces;
  const std::uint32_t most = cut.pieces == 4 ? 0 : others;
  return {
      .chunks_per_block = cut.pieces, .levels = {{.level = -1, .rounds = most, .path = most, .sent = others}}, .exact = false};
}
Schedule rooted(Rank me, const Shape& shape, const Chunking& /*has none*/) {
  Builder b(Collective::broadcast, "rooted", me, shape, 1);
  if (me != shape.root) {
    b.recv(shape.root, b.output(0));
    return std::move(b).finish();
  }
  b.copy(b.input(0), b.output(0));
  for (Rank r = 0; r < shape.ranks; ++r)
    if (r != me && !(shape.ranks == 8 && me == 2 && r == 5)) b.send(b.output(0), r);
  return std::move(b).finish();
}

constexpr Algorithm row(Collective collective, std::string_view name, bool pipelines,
                        RowFunction<Schedule, Rank, const Shape&, const Chunking&> build,
                        RowFunction<Cost, const Shape&, const Chunking&> cost = nullptr) {
  return {.collective = collective,
          .name = name,
          .summary = "a test's",
          .source = "tests",
          .needs = {},
          .pipelines = pipelines,
          .build = build,
          .cost = cost};
}
constexpr Algorithm kRows[] = {row(Collective::all_gather, "late", true, late),
                               row(Collective::all_gather, "cheap", true, cheap, cost_of_cheap),
                               row(Collective::broadcast, "rooted", false, rooted)};
constexpr tutti::Plugin kPlugin{.algorithms = kRows, .count = 3};
}  // namespace

extern "C" const tutti::Plugin* tutti_plugin() { return &kPlugin; }
