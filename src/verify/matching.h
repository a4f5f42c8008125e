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
  [[nodiscard]] Rank rank(std::uint32_t number) const noexcept { return rank_[number]; }
  [[nodiscard]] std::uint32_t first(Rank rank) const noexcept { return first_[static_cast<std::size_t>(rank)]; }

 private:
  std::vector<std::uint32_t> first_;
  std::vector<Rank> rank_;  // by number
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
  // Whether chunk i of one slice, of a rank, has the size of chunk i of another one, of the same rank or another.
  [[nodiscard]] bool fit(const Layout& here, const Slice& from, const Layout& there, const Slice& to,
                         std::uint32_t i) const noexcept {
    const std::uint64_t a = here.datum(from.buffer, from.chunk + i), b = there.datum(to.buffer, to.chunk + i);
    return a == b || size(a) == size(b);
  }

 private:
  [[nodiscard]] std::uint64_t size(std::uint64_t datum) const noexcept;

  std::uint64_t ranks_, block_;
  bool equal_blocks_, symmetric_;
};

[[nodiscard]] Result<Matching> match(std::span<const Schedule> ranks, const std::vector<Layout>& layouts,
                                     const Numbering& numbering, const Sizes& sizes);

// Chunks copied or combined inside a rank have equal sizes.
[[nodiscard]] Status check_local_sizes(const Schedule& schedule, const Layout& layout, const Sizes& sizes);

}  // namespace tutti::verifier
