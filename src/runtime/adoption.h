// Which buffers of a communicator's calls are adopted (transports/shm/adopted.h): those that come back, where another rank of the
// host could use them in place.
#pragma once

#include <utility>

#include "core/config.h"
#include "runtime/plan_cache.h"
#include "select/select.h"
#include "transports/shm/adopted.h"

namespace tutti {

class Adoption {
 public:
  // Of a job whose ranks share memory. When it pays is worked out from what was measured between them.
  Adoption(const Config& config, const JobMachine& machine);
  Adoption() = default;

  // A call's buffers, for as long as the call takes.
  class Hold {
   public:
    Hold() = default;
    Hold(const Call& call, const Footprint& footprint, const shm::AdoptionLimits& limits);
    Hold(Hold&& other) noexcept : input_(std::exchange(other.input_, 0)), output_(std::exchange(other.output_, 0)) {}
    Hold& operator=(Hold&& other) noexcept {
      std::swap(input_, other.input_);
      std::swap(output_, other.output_);
      return *this;
    }
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
  [[nodiscard]] Hold hold(const Call& call, const CachedPlan& plan) const {
    if (plan.largest_message < messages_from_) [[likely]]
      return {};
    return {call, plan.footprint, limits_};
  }
  // Which buffers, when and why, and what has become of them so far: a sentence or two.
  [[nodiscard]] std::string describe() const;

 private:
  shm::Adopted::Use use_;
  std::uint64_t messages_from_ = UINT64_MAX;  // bytes: smaller ones do not gain
  shm::AdoptionLimits limits_;
  std::string terms_ = "no buffer is adopted: ranks of a host share no memory";
};

}  // namespace tutti
