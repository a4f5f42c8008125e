#include "plugins.h"

namespace {
using tutti::plugins::row;
constexpr tutti::Algorithm kRows[] = {row("one"), row("one")};
constexpr tutti::Plugin kPlugin{.algorithms = kRows, .count = 2};
}  // namespace

extern "C" const tutti::Plugin* tutti_plugin() { return &kPlugin; }
