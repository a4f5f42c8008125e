// The kernels of libtutti_kernels_host.so, called as the stand-in for the CUDA driver calls them.
#pragma once

#include "device/arguments.h"
#include "standin/launch.h"

extern "C" {
void tutti_fold(const StandinLaunch* launch, void** arguments);
void tutti_prepare(const StandinLaunch* launch, void** arguments);
void tutti_finish(const StandinLaunch* launch, void** arguments);
void tutti_interpret(const StandinLaunch* launch, void** arguments);
extern const unsigned tutti_fold_argument_bytes[];
extern const unsigned tutti_one_pass_argument_bytes[];
extern const unsigned tutti_prepare_argument_bytes[];
extern const unsigned tutti_finish_argument_bytes[];
extern const unsigned tutti_interpret_argument_bytes[];
}

namespace tutti::test {

template <class Arguments>
void launch(void (*kernel)(const StandinLaunch*, void**), Arguments arguments, unsigned blocks = 2, unsigned threads = 3) {
  const StandinLaunch shape{{blocks, 1, 1}, {threads, 1, 1}, 0};
  void* parameters[] = {&arguments};
  kernel(&shape, parameters);
}

}  // namespace tutti::test
