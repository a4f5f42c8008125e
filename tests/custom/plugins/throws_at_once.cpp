#include <stdexcept>

#include "plugins.h"

extern "C" const tutti::Plugin* tutti_plugin() { throw std::runtime_error("not today"); }
