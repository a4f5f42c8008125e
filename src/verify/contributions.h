// Sets of ranks whose contributions a value holds, each set stored once and named by a number.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tutti/types.h"

namespace tutti::verifier {

class Contributions {
 public:
  using Set = std::uint32_t;

  explicit Contributions(Rank ranks);

  [[nodiscard]] Set single(Rank r) const noexcept { return static_cast<Set>(r); }
  [[nodiscard]] Set range(Rank first, Rank last);  // both included
  struct Joined {
    Set set = 0;
    bool overlap = false;  // some rank is in both
  };
  [[nodiscard]] Joined join(Set a, Set b);
  // The highest rank of `a` comes directly before the lowest of `b`, and both are without gaps.
  [[nodiscard]] bool follows(Set a, Set b) const;
  // Together they are the ranks of a node of the canonical tree (core/numerics.h), and each of them those of one of its halves.
  [[nodiscard]] bool halves(Set a, Set b) const;
  // "0-3,7"
  [[nodiscard]] std::string text(Set set) const;

 private:
  struct Run {
    Rank first, last;
    friend bool operator==(const Run&, const Run&) = default;
  };
  struct Cached {
    Set a = UINT32_MAX, b = UINT32_MAX;
    Joined joined;
  };

  [[nodiscard]] std::span<const Run> runs(Set set) const { return {pool_.data() + begin_[set], pool_.data() + begin_[set + 1]}; }
  [[nodiscard]] Set intern(std::span<const Run> runs);

  std::vector<Run> pool_;
  std::vector<std::uint64_t> begin_;
  std::vector<Set> table_;  // open addressing, a power of two
  std::vector<Run> scratch_;
  std::vector<Cached> cache_;  // of joins, a power of two
};

}  // namespace tutti::verifier
