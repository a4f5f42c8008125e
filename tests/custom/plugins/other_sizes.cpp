#include "plugins.h"

namespace {
using tutti::plugins::row;
constexpr tutti::Algorithm kRows[] = {row("other")};
constexpr tutti::Plugin kPlugin{.layout = {.schedule_bytes = 7}, .algorithms = kRows, .count = 1};
}  // namespace

extern "C" const tutti::Plugin* tutti_plugin() { return &kPlugin; }
