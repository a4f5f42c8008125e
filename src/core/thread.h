// Starting a thread where the system may have none left.
#pragma once

#include <system_error>
#include <thread>
#include <utility>

#include "tutti/result.h"

namespace tutti {

template <class Body>
[[nodiscard]] Result<std::thread> start_thread(Body body) {
  try {
    return std::thread(std::move(body));
  } catch (const std::system_error& error) {
    return system_error(error.code().value(), "starting a thread (limits: ulimit -u, the pids.max of a container)");
  }
}

}  // namespace tutti
