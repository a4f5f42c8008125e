// All RDMA devices of this host, opened to see what ports they have.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "transports/verbs/device.h"

namespace tutti::verbs {

struct Survey {
  struct Refused {
    std::string device;
    Error why;
  };
  std::vector<std::shared_ptr<Device>> devices;
  std::vector<Port> ports;  // of all of these, active or not; Port::opened is the place of its device
  std::vector<Refused> refused;
  std::vector<std::string> unsuitable;  // neither InfiniBand nor RoCE: iWARP, which connects in another way
};
[[nodiscard]] Survey survey(const Library& library);

}  // namespace tutti::verbs
