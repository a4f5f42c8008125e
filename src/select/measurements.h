// What was measured of whole calls on one layout of ranks, and the time that this makes of a prediction.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tutti/schedule.h"

namespace tutti {

// A way to do a call: a row of the table and its parameters.
struct Variant {
  Collective collective = Collective::all_reduce;
  std::string algorithm;
  Chunking chunking;
  bool published = false;

  friend auto operator<=>(const Variant&, const Variant&) = default;
};

struct Measurement {
  Variant variant;
  std::uint64_t block_bytes = 0;
  double us = 0;

  friend bool operator==(const Measurement&, const Measurement&) = default;
};

class Measurements {
 public:
  Measurements() = default;
  // In any order; of equal variants and sizes the last one counts.
  explicit Measurements(std::vector<Measurement> all, std::string source = {});

  [[nodiscard]] bool empty() const noexcept { return all_.empty(); }
  [[nodiscard]] std::span<const Measurement> all() const noexcept { return all_; }  // by variant, then by size
  // Whether anything was measured for calls of just this size.
  [[nodiscard]] bool has(Collective collective, std::uint64_t block_bytes) const;
  [[nodiscard]] const std::string& source() const noexcept { return source_; }  // for people: a file

  // What a call of this size takes, where the variant was measured at both sizes next to it among all sizes at which anything was
  // measured for the collective: who is faster at both is faster between them. Below the smallest size, but not below its half,
  // and above the largest, but not above its double, the model says how much that one's time changes. Nothing elsewhere.
  [[nodiscard]] std::optional<double> time_us(const Variant& variant, std::uint64_t block_bytes,
                                              const std::function<double(std::uint64_t)>& model_us) const;

 private:
  [[nodiscard]] const Measurement* find(const Variant& variant, std::uint64_t block_bytes) const;

  std::vector<Measurement> all_;
  std::vector<std::vector<std::uint64_t>> sizes_;  // by collective, ascending
  std::string source_;
};

}  // namespace tutti
