#include "plugins.h"

namespace {
using tutti::plugins::row;
constexpr tutti::Plugin kPlugin{};
}  // namespace

extern "C" const tutti::Plugin* tutti_plugin() { return &kPlugin; }
