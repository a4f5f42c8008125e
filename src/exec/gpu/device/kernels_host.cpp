// The kernels as the host runs them, for tests and the stand-in for the CUDA driver: libtutti_kernels_host.so.
#include <thread>
#include <vector>

#include "device/fold.h"
#include "device/host_machine.h"
#include "device/interpret.h"
#include "standin/launch.h"

namespace tutti::device {
namespace {

// Threads that need not wait for each other run one after the other.
template <class Arguments>
void in_turn(const StandinLaunch& launch, void** arguments, void (*kernel)(const Arguments&, Threads)) {
  const auto& a = *static_cast<const Arguments*>(arguments[0]);
  std::uint64_t threads = 1;
  for (const unsigned n : launch.grid) threads *= n;
  for (const unsigned n : launch.block) threads *= n;
  for (std::uint64_t i = 0; i < threads; ++i) kernel(a, Threads{i, threads});
}

// Blocks wait for those of other ranks, in whatever order these come.
void in_threads(const StandinLaunch& launch, const InterpretArguments& a) {
  const auto run = [&launch, &a](unsigned index) {
    std::vector<std::uint64_t> shared(launch.shared_bytes / sizeof(std::uint64_t) + 1);
    HostMachine block(launch.block[0], index, launch.grid[0], reinterpret_cast<std::byte*>(shared.data()));
    Interpreter<HostMachine>(a, block).run();
  };
  std::vector<std::thread> others;
  for (unsigned b = 1; b < launch.grid[0]; ++b) others.emplace_back(run, b);
  run(0);
  for (std::thread& other : others) other.join();
}

}  // namespace

extern "C" {

// What the driver reads from a cubin: the size of each parameter, and 0 behind the last one.
extern const unsigned tutti_fold_argument_bytes[] = {sizeof(FoldArguments), 0};
extern const unsigned tutti_one_pass_argument_bytes[] = {sizeof(OnePassArguments), 0};
extern const unsigned tutti_prepare_argument_bytes[] = {sizeof(PrepareArguments), 0};
extern const unsigned tutti_finish_argument_bytes[] = {sizeof(FinishArguments), 0};
extern const unsigned tutti_interpret_argument_bytes[] = {sizeof(InterpretArguments), 0};

void tutti_fold(const StandinLaunch* launch, void** arguments) { in_turn<FoldArguments>(*launch, arguments, fold<HostMachine>); }
void tutti_one_pass(const StandinLaunch* launch, void** arguments) {
  const auto& a = *static_cast<const OnePassArguments*>(arguments[0]);
  if (!all_are_there<HostMachine>(a)) return;
  in_turn<OnePassArguments>(*launch, arguments, one_pass<HostMachine>);
  tell_all<HostMachine>(a);
}
void tutti_prepare(const StandinLaunch* launch, void** arguments) {
  in_turn<PrepareArguments>(*launch, arguments, prepare<HostMachine>);
}
void tutti_finish(const StandinLaunch* launch, void** arguments) {
  in_turn<FinishArguments>(*launch, arguments, finish<HostMachine>);
}
void tutti_interpret(const StandinLaunch* launch, void** arguments) {
  in_threads(*launch, *static_cast<const InterpretArguments*>(arguments[0]));
}

}  // extern "C"
}  // namespace tutti::device
