// Kernels for the stand-in's own test.
#include <cstddef>

#include "standin/launch.h"

extern "C" {
extern const unsigned add_argument_bytes[] = {sizeof(float*), sizeof(float), sizeof(std::size_t), 0};
// to[i] += value, for i below count, by as many threads as were launched.
void add(const StandinLaunch* launch, void** arguments) {
  float* to = *static_cast<float**>(arguments[0]);
  const float value = *static_cast<float*>(arguments[1]);
  const std::size_t count = *static_cast<std::size_t*>(arguments[2]);
  const std::size_t threads = std::size_t{launch->grid[0]} * launch->block[0];
  for (std::size_t i = 0; i < threads && i < count; ++i) to[i] += value;
}

void without_sizes(const StandinLaunch*, void**) {}
}
