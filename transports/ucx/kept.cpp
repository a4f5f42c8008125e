#include "transports/ucx/kept.h"

#include <mutex>
#include <vector>

namespace tutti::ucx {

// Known from here, so that those who look for memory that nobody knows of do not find it.
void keep_for_good(std::shared_ptr<void> memory) {
  static std::mutex mutex;
  static auto& kept = *new std::vector<std::shared_ptr<void>>;  // never destroyed
  const std::lock_guard lock(mutex);
  kept.push_back(std::move(memory));
}

}  // namespace tutti::ucx
