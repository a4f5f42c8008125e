#include "cli/launcher_watch.h"

#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>

#include "cli/report.h"

namespace tutti {
namespace {

// The kernel could tell by a signal (PR_SET_PDEATHSIG), but does so already when the *thread* that started this process ends.
void watch(const std::stop_token& stop, pid_t launcher) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  while (!stopped.wait_for(lock, stop, std::chrono::seconds(1), [&] { return stop.stop_requested(); })) {
    if (getppid() == launcher) continue;
    dprintf(STDERR_FILENO, "tutti: the launcher has gone, and so does this rank\n");
    _exit(kExitFailed);
  }
}

}  // namespace

LauncherWatch::LauncherWatch() : thread_(watch, getppid()) {}

}  // namespace tutti
