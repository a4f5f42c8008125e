// Ends this process when the one that started it has gone. Open MPI's mpirun, killed outright or told twice to end, leaves its
// ranks behind, and they would go on to the end of their measurements.
#pragma once

#include <thread>

namespace tutti {

class LauncherWatch {
 public:
  LauncherWatch();  // watches until destroyed

 private:
  std::jthread thread_;
};

}  // namespace tutti
