// Which buffers of a communicator's calls are adopted (transports/shm/adopted.h): those that come back, where another rank of the
// host could use them in place.
#pragma once

#include "core/config.h"
#include "runtime/request.h"
#include "transports/shm/adopted.h"

namespace tutti {

class Adoption {
 public:
  // For a job that has shared memory, through which a pair of ranks moves so many gigabytes per second.
  Adoption(const Config& config, double bandwidth_gbps);
  Adoption() = default;

  // A call's buffers, for as long as the call takes.
  class Hold {
   public:
    Hold() = default;
    Hold(const Call& call, const Footprint& footprint, const shm::AdoptionLimits& limits);
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() {
      if ((input_ | output_) != 0) [[unlikely]]
        let_go();
    }

   private:
    void let_go() noexcept;
    shm::Adopted::Lease input_ = 0, output_ = 0;
  };
  [[nodiscard]] Hold hold(const Call& call, const Footprint& footprint) const {
    if (!enabled_) [[likely]]
      return {};
    return {call, footprint, limits_};
  }

 private:
  bool enabled_ = false;
  shm::AdoptionLimits limits_;
};

}  // namespace tutti
