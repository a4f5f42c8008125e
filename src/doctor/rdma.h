// What libibverbs tells of this host's RDMA devices, and what tutti makes of it.
#pragma once

#include <string>
#include <vector>

#include "transports/verbs/ports.h"

namespace tutti::doctor {

class System;

struct Rdma {
  struct Refused {
    std::string device;
    std::string why;
  };
  std::string none = "nobody has looked";    // why libibverbs cannot be asked; then all the rest means nothing
  std::vector<verbs::Port> ports = {};       // of all devices, active or not
  std::vector<Refused> refused = {};         // devices that cannot be opened
  std::vector<std::string> unsuitable = {};  // devices that are neither InfiniBand nor RoCE
};
[[nodiscard]] Rdma probe_rdma();

// The ports that the transport verbs uses here, or why there are none. Whether it may be used at all is another question.
[[nodiscard]] Result<std::vector<verbs::Port>> used_ports(const System& system);

}  // namespace tutti::doctor
