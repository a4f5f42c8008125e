// Where a plan's steps find their data in a piece, in whatever form they are lowered.
#pragma once

#include <optional>

#include "gpu/pieces.h"

namespace tutti::gpu {

// premul_sum: the product takes the input's place. In scratch behind the plan's own, block by block of the piece, where the input
// must be kept.
class PieceLayout {
 public:
  PieceLayout(const Plan& plan, const CollectiveCall& call, const Cut& cut, std::uint64_t elements);

  struct Product {
    PlanRange to, from;
    std::uint64_t count;  // elements
  };
  // To be made before all steps.
  [[nodiscard]] const std::vector<Product>& products() const noexcept { return products_; }
  // Afterwards.
  [[nodiscard]] PlanRange place(const PlanRange& range) const {
    return moved_ && range.buffer == plan_.premultiply_in ? product(range.offset) : range;
  }

 private:
  [[nodiscard]] PlanRange product(std::uint64_t offset) const;

  const Plan& plan_;
  std::uint64_t input_block_bytes_ = 0, piece_bytes_ = 0;  // where the input's blocks are far apart
  bool moved_ = false;                                     // the input is read in scratch
  std::vector<Product> products_;
};

// What is received to be read but once need not leave the place where it has arrived: the one later step that reads what the step
// `receive` puts into scratch, as a whole, where nothing else touches it.
[[nodiscard]] std::optional<std::size_t> only_reader(const Plan& plan, std::uint64_t element_bytes, std::size_t receive);

}  // namespace tutti::gpu
