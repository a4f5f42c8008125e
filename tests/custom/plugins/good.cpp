#include "plugins.h"

namespace {
using tutti::plugins::row;

std::string only_even(const tutti::Shape& shape) { return shape.ranks % 2 == 0 ? "" : "is for even numbers of ranks"; }
constexpr tutti::Algorithm with_refusal() {
  tutti::Algorithm a = row("picky");
  a.refuses = only_even;
  return a;
}
constexpr tutti::Algorithm kRows[] = {row("star"), with_refusal()};
constexpr tutti::Plugin kPlugin{.algorithms = kRows, .count = 2};
}  // namespace

extern "C" const tutti::Plugin* tutti_plugin() { return &kPlugin; }
