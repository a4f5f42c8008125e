// Which send meets which receive.
#pragma once

#include <vector>

#include "tutti/schedule.h"
#include "verify/layout.h"

namespace tutti::verifier {

// Steps of all ranks in one numbering: step i of rank r is first[r] + i.
class Numbering {
 public:
  explicit Numbering(std::span<const Schedule> ranks);
  [[nodiscard]] std::uint32_t steps() const noexcept { return first_.back(); }
  [[nodiscard]] std::uint32_t of(Rank rank, std::uint32_t step) const noexcept {
    return first_[static_cast<std::size_t>(rank)] + step;
  }
  [[nodiscard]] Rank rank(std::uint32_t number) const noexcept;
  [[nodiscard]] std::uint32_t first(Rank rank) const noexcept { return first_[static_cast<std::size_t>(rank)]; }

 private:
  std::vector<std::uint32_t> first_;
};

inline constexpr std::uint32_t kNoStep = UINT32_MAX;

struct Matching {
  std::vector<std::uint32_t> partner;   // by step number: the other side of the message
  std::vector<std::uint32_t> next;      // the next step of the same stream and direction
  std::vector<std::uint32_t> previous;  // the one before
  std::size_t messages = 0;
};

// Sizes of chunks, comparable between ranks: two chunks fit each other when their sizes are equal.
class Sizes {
 public:
  Sizes(std::span<const Schedule> ranks, bool equal_blocks);
  [[nodiscard]] std::uint64_t of(const Layout& layout, Buffer buffer, std::uint32_t chunk) const noexcept;

 private:
  std::uint64_t ranks_, block_;
  bool equal_blocks_, symmetric_;
};

[[nodiscard]] Result<Matching> match(std::span<const Schedule> ranks, const std::vector<Layout>& layouts,
                                     const Numbering& numbering, const Sizes& sizes);

// Chunks copied or combined inside a rank have equal sizes.
[[nodiscard]] Status check_local_sizes(const Schedule& schedule, const Layout& layout, const Sizes& sizes);

}  // namespace tutti::verifier
