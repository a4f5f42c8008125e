#include "transports/verbs/survey.h"

#include <span>

namespace tutti::verbs {
namespace {

// A list of devices that frees itself. Devices may be opened only while it exists.
class DeviceList {
 public:
  explicit DeviceList(const Library& library) : library_(library), list_(library.device_list(&count_)) {}
  ~DeviceList() {
    if (list_ != nullptr) library_.free_device_list(list_);
  }
  DeviceList(const DeviceList&) = delete;
  DeviceList& operator=(const DeviceList&) = delete;
  [[nodiscard]] std::span<ibv_device*> devices() const {
    return {list_, list_ != nullptr ? static_cast<std::size_t>(count_) : 0};
  }

 private:
  const Library& library_;
  int count_ = 0;
  ibv_device** list_;
};

bool is_suitable(const ibv_device& device) {
  return device.transport_type == IBV_TRANSPORT_IB && device.node_type == IBV_NODE_CA;
}

}  // namespace

Survey survey(const Library& library) {
  const DeviceList list(library);
  Survey all;
  for (ibv_device* candidate : list.devices()) {
    const std::string name = library.device_name(candidate);
    if (!is_suitable(*candidate)) {
      all.unsuitable.push_back(name);
      continue;
    }
    auto device = Device::open(library, candidate);
    auto found = device ? (*device)->ports() : Result<std::vector<Port>>(std::move(device.error()));
    if (!found) {
      all.refused.push_back({name, std::move(found.error())});
      continue;
    }
    for (Port& port : *found) all.ports.emplace_back(std::move(port)).opened = all.devices.size();
    all.devices.push_back(*std::move(device));
  }
  return all;
}

}  // namespace tutti::verbs
