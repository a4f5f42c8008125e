// The connections of one communicator, opened when a plan first needs them.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <span>

#include "exec/cpu/plan.h"
#include "runtime/job.h"

namespace tutti {

class Streams final : public StreamSource {
 public:
  // `salt` keeps apart several sets of connections between the same ranks; only those without one have boards.
  explicit Streams(Job& job, std::uint64_t salt = 0) : job_(job), salt_(salt) {}

  Result<Stream*> stream(Rank peer, std::uint16_t channel) override;
  // Stops all traffic at once; the streams stay as dead objects for whoever still refers to them.
  void close();
  // Memory of all endpoints.
  [[nodiscard]] std::size_t memory_bytes() const;

 private:
  Job& job_;
  std::uint64_t salt_;
  mutable std::mutex mutex_;
  std::map<std::pair<Rank, std::uint16_t>, std::unique_ptr<Stream>> streams_;
};

// Waits for peers that have stopped no longer than for one of them.
void close_together(std::span<Endpoint* const> endpoints);

}  // namespace tutti
