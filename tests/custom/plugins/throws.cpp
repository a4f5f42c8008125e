#include <stdexcept>

#include "plugins.h"

// Each of its functions throws, for one number of ranks.
namespace {
using namespace tutti;

Schedule build(Rank me, const Shape& shape, const Chunking& cut) {
  if (shape.ranks == 3) throw std::runtime_error("no threes");
  return plugins::star(me, shape, cut);
}
std::string refuses(const Shape& shape) {
  if (shape.ranks == 5) throw 5;  // NOLINT(hicpp-exception-baseclass)
  return "";
}
Cost cost(const Shape& shape, const Chunking& /*has none*/) {
  if (shape.ranks == 7) throw std::runtime_error("no sevens");
  const auto others = static_cast<std::uint32_t>(shape.ranks - 1);
  return {.levels = {{.level = -1, .rounds = 2, .path = 2, .sent = others, .reduced = others}}, .exact = false};
}
constexpr Algorithm throwing() {
  Algorithm a = plugins::row("throws", build);
  a.refuses = refuses;
  a.cost = cost;
  return a;
}
constexpr Algorithm kRows[] = {throwing()};
constexpr tutti::Plugin kPlugin{.algorithms = kRows, .count = 1};
}  // namespace

extern "C" const tutti::Plugin* tutti_plugin() { return &kPlugin; }
