#include "transports/verbs/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

namespace tutti::verbs {
namespace {

constexpr int kSharedReceives = 20480;  // of 140 connections; a few hundred KiB
constexpr std::size_t kMostGids = 1024;

// "0000:3b:00.0"; empty: the device is no PCI device.
std::string pci_address(const ibv_device& device) {
  std::error_code error;
  const std::string name = std::filesystem::read_symlink(std::string(device.ibdev_path) + "/device", error).filename();
  return std::ranges::count(name, ':') == 2 ? name : "";
}

}  // namespace

Result<std::shared_ptr<Device>> Device::open(const Library& library, ibv_device* device) {
  const std::string name = library.device_name(device);
  ibv_context* context = library.open_device(device);
  if (context == nullptr) return system_error(errno != 0 ? errno : ENODEV, fmt::format("opening the RDMA device {}", name));
  return std::shared_ptr<Device>(new Device(library, name, pci_address(*device), context));
}

Device::~Device() {
  if (receives_ != nullptr) library_.free_shared_receives(receives_);
  if (domain_ != nullptr) library_.free_domain(domain_);
  library_.close_device(context_);
}

Result<std::vector<Port>> Device::ports() const {
  ibv_device_attr attributes{};
  if (const int error = library_.device_attributes(context_, &attributes); error != 0)
    return system_error(error, fmt::format("looking at the RDMA device {}", name_));
  std::vector<ibv_gid_entry> gids(kMostGids);
  const ssize_t found = library_.gid_table(context_, gids.data(), gids.size(), 0, sizeof(ibv_gid_entry));
  gids.resize(found > 0 ? static_cast<std::size_t>(found) : 0);
  std::vector<Port> ports;
  for (std::uint8_t number = 1; number <= attributes.phys_port_cnt; ++number) {
    ibv_port_attr port{};
    if (const int error = library_.port_attributes(context_, number, &port); error != 0)
      return system_error(error, fmt::format("looking at port {} of {}", number, name_));
    Port& added = ports.emplace_back();
    added.device = name_;
    added.pci = pci_;
    added.number = number;
    added.state = port.state;
    added.ethernet = port.link_layer == IBV_LINK_LAYER_ETHERNET;
    added.lid = port.lid;
    added.mtu = port.active_mtu;
    added.most_mtu = port.max_mtu;
    added.megabits = megabits(port);
    added.most_bytes = port.max_msg_sz;
    std::ranges::copy_if(gids, std::back_inserter(added.gids), [&](const ibv_gid_entry& e) { return e.port_num == number; });
  }
  return ports;
}

Status Device::prepare(bool shares_receives) {
  const std::lock_guard lock(mutex_);
  if (domain_ != nullptr) return {};
  domain_ = library_.make_domain(context_);
  if (domain_ == nullptr) return system_error(errno, fmt::format("making a protection domain of {}", name_));
  ibv_device_attr attributes{};
  if (!shares_receives || library_.device_attributes(context_, &attributes) != 0 || attributes.max_srq == 0) return {};
  ibv_srq_init_attr wanted{};
  wanted.attr.max_wr = static_cast<std::uint32_t>(std::min(attributes.max_srq_wr, kSharedReceives));
  wanted.attr.max_sge = 1;
  receives_ = library_.make_shared_receives(domain_, &wanted);  // without, each connection has its own
  if (receives_ != nullptr) capacity_ = std::min(static_cast<int>(wanted.attr.max_wr), kSharedReceives);
  return {};
}

Result<bool> Device::reserve(int receives) {
  int missing = 0;
  {
    const std::lock_guard lock(mutex_);
    if (receives_ == nullptr || reserved_ + receives > capacity_) return false;
    reserved_ += receives;
    missing = std::max(reserved_ - posted_, 0);
    posted_ += missing;
  }
  if (Status posted = post(missing); !posted) {
    const std::lock_guard lock(mutex_);
    reserved_ -= receives;
    posted_ -= missing;
    return std::move(posted.error());
  }
  return true;
}

void Device::give_back(int receives) {
  const std::lock_guard lock(mutex_);
  reserved_ -= receives;
}

Status Device::replenish(int receives) { return post(receives); }

Status Device::post(int& receives) {
  const auto post = [this](ibv_recv_wr* chain, ibv_recv_wr** bad) { return ibv_post_srq_recv(receives_, chain, bad); };
  if (const int error = post_empty_receives(receives, post); error != 0)
    return system_error(error, fmt::format("posting receive requests to {}", name_));
  return {};
}

}  // namespace tutti::verbs
