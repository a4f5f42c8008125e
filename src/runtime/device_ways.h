// The ways in which devices can do a call, and what each would cost: all of the choice that needs no driver, so that it can be
// explained where there is none. A function of what all ranks know.
#pragma once

#include <map>

#include "gpu/kernel_executor.h"
#include "runtime/request.h"
#include "select/cost.h"
#include "select/device_report.h"

namespace tutti {

[[nodiscard]] device::Protocol protocol_of(KernelProtocol protocol);

class DeviceWays {
 public:
  // `job` says how many ranks there are, and among which algorithms they choose.
  DeviceWays(JobMachine job, DeviceLayout layout);

  // No kernel does any call, or operations of streams do none that a kernel can do.
  void refuse_kernels(std::string why) { no_kernels_ = std::move(why); }
  void refuse_streams(std::string why) { no_streams_ = std::move(why); }
  // Why no kernel does any call; empty where some do.
  [[nodiscard]] const std::string& no_kernels() const noexcept { return no_kernels_; }

  [[nodiscard]] bool has_one_pass() const { return one_pass_refused(layout_).empty(); }
  // Why devices cannot do the call; empty where they can. The same on all ranks.
  [[nodiscard]] static std::string refusal(const Request& request);

  // By the algorithm that takes least with all its pieces; without a protocol, by operations of streams. `asked`: what the
  // selector is asked for this request.
  Result<DeviceWay> price(const Request& request, const SelectRequest& asked, std::optional<KernelProtocol> protocol);
  // By one rank for all (gpu/one_pass.h).
  [[nodiscard]] DeviceWay in_one_pass(const Request& request, const SelectRequest& asked) const;
  // The cheapest. Where `no_more_kernels` says why, no kernel is made for this call.
  Result<DeviceWay> choose(const Request& request, const SelectRequest& asked, std::string_view no_more_kernels = {});
  Result<DeviceExplanation> explain(const Request& request, const SelectRequest& asked, std::string_view no_more_kernels = {});

  [[nodiscard]] const JobMachine& machine() const noexcept { return machine_; }
  [[nodiscard]] Schedule schedule_of(const DeviceWay& way, Rank rank, Rank root, bool in_place) const;
  [[nodiscard]] gpu::CollectiveCall call_of(const Request& request, const DeviceWay& way) const;  // refers to the way

 private:
  // A machine, and what has been found out about it.
  struct Costed {
    JobMachine machine;
    Costs costs = {};
  };
  Costed& costed(std::optional<KernelProtocol> protocol, unsigned channels);
  Status count_turns(const Request& request, DeviceWay& way) const;
  // All of them, those that may not be used with their reasons; in the order of preference where prices are equal.
  Result<std::vector<DeviceWay>> all(const Request& request, const SelectRequest& asked, std::string_view no_more_kernels);

  JobMachine job_;
  DeviceLayout layout_;
  JobMachine machine_;  // for operations of streams
  std::string no_kernels_, no_streams_;
  std::map<std::pair<std::optional<KernelProtocol>, unsigned>, Costed> costed_;
};

}  // namespace tutti
