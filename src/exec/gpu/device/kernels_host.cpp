// The kernels as the host runs them, for tests and the stand-in for the CUDA driver: libtutti_kernels_host.so.
#include "device/fold.h"
#include "device/host_machine.h"
#include "standin/launch.h"

namespace tutti::device {
namespace {

// Threads that need not wait for each other run one after the other.
template <class Arguments, class Kernel>
void in_turn(const StandinLaunch& launch, void** arguments, Kernel kernel) {
  const auto& a = *static_cast<const Arguments*>(arguments[0]);
  std::uint64_t threads = 1;
  for (const unsigned n : launch.grid) threads *= n;
  for (const unsigned n : launch.block) threads *= n;
  for (std::uint64_t i = 0; i < threads; ++i) kernel(a, Threads{i, threads});
}

}  // namespace

extern "C" {

// What the driver reads from a cubin: the size of each parameter, and 0 behind the last one.
extern const unsigned tutti_fold_argument_bytes[] = {sizeof(FoldArguments), 0};
extern const unsigned tutti_prepare_argument_bytes[] = {sizeof(PrepareArguments), 0};
extern const unsigned tutti_finish_argument_bytes[] = {sizeof(FinishArguments), 0};

void tutti_fold(const StandinLaunch* launch, void** arguments) { in_turn<FoldArguments>(*launch, arguments, fold<HostMachine>); }
void tutti_prepare(const StandinLaunch* launch, void** arguments) {
  in_turn<PrepareArguments>(*launch, arguments, prepare<HostMachine>);
}
void tutti_finish(const StandinLaunch* launch, void** arguments) {
  in_turn<FinishArguments>(*launch, arguments, finish<HostMachine>);
}

}  // extern "C"
}  // namespace tutti::device
