#include "plugins.h"

namespace {
constexpr tutti::Algorithm published() {
  tutti::Algorithm a = tutti::plugins::row("loud");
  a.publishes = true;
  return a;
}
constexpr tutti::Algorithm kRows[] = {published()};
constexpr tutti::Plugin kPlugin{.algorithms = kRows, .count = 1};
}  // namespace

extern "C" const tutti::Plugin* tutti_plugin() { return &kPlugin; }
