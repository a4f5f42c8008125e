// Measures the ways to do a call on one communicator, for `tutti tune`.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "select/select.h"
#include "select/tuning_file.h"
#include "tutti/communicator.h"

namespace tutti {

struct TunedSize;

struct TuneOptions {
  std::vector<Collective> collectives;
  std::vector<std::uint64_t> sizes;  // bytes of the larger side, ascending
  double seconds = 60;               // about so long
  bool every_variant = false;        // also what the model holds to be far off
  // Rank 0: before each size.
  std::function<void(std::size_t done, std::size_t of, Collective collective, std::uint64_t bytes)> progress = {};
  // Any rank: after each size, all so far. What is not kept now is lost when the job is killed.
  std::function<void(const std::vector<TunedSize>&)> measured = {};
};

struct TunedVariant {
  Candidate candidate;  // with the model's price
  double us = 0;        // the median of the rounds' means on the slowest rank
  int rounds = 0;
};

// One collective at one size.
struct TunedSize {
  Collective collective = Collective::all_reduce;
  std::uint64_t bytes = 0, block_bytes = 0;      // of the larger side; of a block
  std::vector<TunedVariant> variants;            // the fastest first
  std::size_t by_model = 0, by_measurement = 0;  // indices of variants: what is chosen without measurements, and with these
};

// A transport between hosts.
struct ComparedTransport {
  TunedTransport measured;
  std::string refused = {};  // why it was not measured
};

class Tuner {
 public:
  explicit Tuner(Communicator& communicator);

  // All ranks call it, and all get the same. One collective and size after the other: first those that the model holds to be
  // good, in turns; then those that are close to the best, and the best one's neighbours in radix and pieces.
  Result<std::vector<TunedSize>> run(const TuneOptions& options);
  // Those measurements, ready for a file.
  [[nodiscard]] TunedLayout layout(const std::vector<TunedSize>& sizes) const;

  // All ranks call it with the same: what messages between hosts take over each of these transports, one after the other. The
  // fastest first, by the geometric mean of 8 bytes and 512 KiB; last those that could not be measured.
  Result<std::vector<ComparedTransport>> compare(std::span<const std::string> transports);
  [[nodiscard]] TunedHosts between_hosts(const std::vector<ComparedTransport>& compared) const;

 private:
  // Of what a rank can give: sizes that come to the same blocks are one.
  struct Task {
    Collective collective;
    std::uint64_t blocks, count;  // of the larger side; elements of a block
    friend bool operator==(const Task&, const Task&) = default;
    [[nodiscard]] std::uint64_t bytes() const { return blocks * count * sizeof(float); }
  };
  Result<TunedTransport> measure_over(const std::string& transport);
  [[nodiscard]] std::vector<Task> tasks(const TuneOptions& options) const;
  Result<TunedSize> tune(const Task& task, double seconds, bool every_variant);
  [[nodiscard]] std::size_t chosen(const TunedSize& size, const JobMachine& machine) const;

  Communicator& communicator_;
  const class Job& job_;
  JobMachine machine_;  // without measurements of earlier runs
};

}  // namespace tutti
