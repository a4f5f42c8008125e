#include "plugins.h"

namespace {
using tutti::plugins::row;
// Nobody tells anybody.
tutti::Schedule nothing(tutti::Rank me, const tutti::Shape& shape, const tutti::Chunking& /*has none*/) {
  tutti::Builder b(tutti::Collective::barrier, "wrong", me, shape, 1);
  if (me > 0) b.send(b.input(0), 0);
  return std::move(b).finish();
}
constexpr tutti::Algorithm kRows[] = {row("wrong", nothing)};
constexpr tutti::Plugin kPlugin{.algorithms = kRows, .count = 1};
}  // namespace

extern "C" const tutti::Plugin* tutti_plugin() { return &kPlugin; }
