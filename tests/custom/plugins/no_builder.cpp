#include "plugins.h"

namespace {
using tutti::plugins::row;
constexpr tutti::Algorithm kRows[] = {row("none", nullptr)};
constexpr tutti::Plugin kPlugin{.algorithms = kRows, .count = 1};
}  // namespace

extern "C" const tutti::Plugin* tutti_plugin() { return &kPlugin; }
