// Hamiltonian rings of a torus. Each dimension is a set of circles that together pass all nodes. Where two links of one set and
// two of another make a square, the sets may swap them: two circles of a set become one then, or one becomes two. That goes on
// until each set is a single ring.
//
//   --- a --- b ---         --- a     b ---       two circles of one dimension, joined; circles of the other one went
//                     -->       |     |           from a to c and from b to d
//   --- c --- d ---         --- c     d ---
//
// Dimensions of two nodes have but one link between them: two of them are one of four nodes, and what is left over lends its
// links to the others.
//
// That tori can be decomposed so: A. Kotzig, "Every Cartesian product of two circuits is decomposable into two hamiltonian
// circuits" (1973); B. Alspach, J.-C. Bermond, D. Sotteau, "Decomposition into cycles I: Hamilton decompositions" (1990).
#include <algorithm>
#include <array>
#include <random>

#include "tutti/route_search.h"

namespace tutti {
namespace {

std::size_t at(Rank i) { return static_cast<std::size_t>(i); }

constexpr Rank kMostNodes = 1024;
constexpr std::size_t kMostVisits = 20'000'000;  // of nodes, while circles are counted

class Decomposition {
 public:
  explicit Decomposition(std::span<const Rank> dimensions) {
    for (const Rank size : dimensions) nodes_ *= size;
    std::vector<Rank> pairs;  // the strides of dimensions of two nodes
    Rank stride = 1;
    for (std::size_t d = dimensions.size(); d-- > 0; stride *= dimensions[d]) {
      const Rank size = dimensions[d];
      if (size == 2) pairs.push_back(stride);
      if (size > 2) add_axis([&](Rank v) { return v / stride % size + 1 < size ? v + stride : v - stride * (size - 1); });
    }
    for (; pairs.size() > 1; pairs.resize(pairs.size() - 2)) {
      const Rank a = pairs.back(), b = pairs[pairs.size() - 2];
      add_axis([&](Rank v) { return other(v, (v / a + v / b) % 2 == 0 ? a : b); });  // 00, 10, 11, 01
    }
    sets_ = next_.size();
    for (const Rank left_over : pairs) add_axis([&](Rank v) { return other(v, left_over); });
    circle_.assign(sets_, std::vector<std::size_t>(at(nodes_)));
    circles_.assign(sets_, 0);
    for (std::size_t set = 0; set < sets_; ++set) {
      near_.emplace_back(at(nodes_));
      for (Rank v = 0; v < nodes_; ++v) near_[set][at(v)][0] = next_[set][at(v)], near_[set][at(next_[set][at(v)])][1] = v;
      count_circles(set);
    }
  }

  std::vector<std::vector<Rank>> rings() {
    join_surely();
    std::mt19937 random;  // the same numbers everywhere
    while (!done() && visits_ < kMostVisits) {
      const auto v = static_cast<Rank>(random() % static_cast<std::uint32_t>(nodes_));
      const std::size_t i = random() % next_.size(), j = random() % next_.size();
      ++visits_;
      if (i != j) try_swap(v, i, j);
    }
    std::vector<std::vector<Rank>> result;
    for (std::size_t set = 0; set < sets_; ++set) {
      if (circles_[set] > 1) continue;
      result.push_back(walk(set, 0));
      result.push_back(result.back());
      std::reverse(result.back().begin() + 1, result.back().end());
    }
    return result;
  }

 private:
  // The node whose position differs where `stride` counts.
  static Rank other(Rank v, Rank stride) { return v / stride % 2 == 0 ? v + stride : v - stride; }

  template <class Next>
  void add_axis(Next&& next) {
    set_of_.emplace_back(at(nodes_), next_.size());
    next_.emplace_back();
    for (Rank v = 0; v < nodes_; ++v) next_.back().push_back(next(v));
  }

  [[nodiscard]] bool is_ring(std::size_t set) const { return set < sets_; }  // else its links are left over
  [[nodiscard]] bool done() const {
    return std::ranges::all_of(circles_, [](std::size_t circles) { return circles <= 1; });
  }

  [[nodiscard]] std::vector<Rank> walk(std::size_t set, Rank from) const {
    std::vector<Rank> order{from};
    for (Rank before = from, here = near_[set][at(from)][0]; here != from;) {
      order.push_back(here);
      const auto& [a, b] = near_[set][at(here)];
      before = std::exchange(here, a == before ? b : a);
    }
    return order;
  }

  void count_circles(std::size_t set) {
    circles_[set] = 0;
    std::ranges::fill(circle_[set], 0);
    for (Rank v = 0; v < nodes_; ++v) {
      if (circle_[set][at(v)] != 0) continue;
      ++circles_[set];
      for (const Rank r : walk(set, v)) circle_[set][at(r)] = circles_[set];
    }
    visits_ += at(nodes_);
  }

  // a - b and c - d lie along axis i and are of set f, a - c and b - d along j and of set g.
  struct Square {
    Rank a, b, c, d;
    std::size_t i, j, f, g;
  };
  [[nodiscard]] Square square(Rank v, std::size_t i, std::size_t j) const {
    const Rank b = next_[i][at(v)], c = next_[j][at(v)];
    return {v, b, c, next_[j][at(b)], i, j, set_of_[i][at(v)], set_of_[j][at(v)]};
  }
  [[nodiscard]] bool can_swap(const Square& s) const {
    return s.f != s.g && set_of_[s.i][at(s.c)] == s.f && set_of_[s.j][at(s.b)] == s.g;
  }

  void mark(std::size_t axis, Rank v, std::size_t set) {
    set_of_[axis][at(v)] = set;
    if (!is_ring(axis)) set_of_[axis][at(next_[axis][at(v)])] = set;  // the one link of two nodes
  }
  void replace(std::size_t set, Rank v, Rank from, Rank to) {
    auto& near = near_[set][at(v)];
    (near[0] == from ? near[0] : near[1]) = to;
  }
  void swap(Square& s) {
    if (is_ring(s.f))
      replace(s.f, s.a, s.b, s.c), replace(s.f, s.b, s.a, s.d), replace(s.f, s.c, s.d, s.a), replace(s.f, s.d, s.c, s.b);
    if (is_ring(s.g))
      replace(s.g, s.a, s.c, s.b), replace(s.g, s.c, s.a, s.d), replace(s.g, s.b, s.d, s.a), replace(s.g, s.d, s.b, s.c);
    std::swap(s.f, s.g);
    mark(s.i, s.a, s.f), mark(s.i, s.c, s.f), mark(s.j, s.a, s.g), mark(s.j, s.b, s.g);
    for (const std::size_t set : {s.f, s.g})
      if (is_ring(set)) count_circles(set);
  }

  // As long as there are squares of four circles, or of two and links that are left over.
  void join_surely() {
    const auto joins = [&](std::size_t set, Rank a, Rank b) {
      return !is_ring(set) || circle_[set][at(a)] != circle_[set][at(b)];
    };
    for (Rank v = 0; v < nodes_; ++v)
      for (std::size_t i = 0; i < next_.size(); ++i)
        for (std::size_t j = i + 1; j < next_.size(); ++j)
          if (Square s = square(v, i, j); can_swap(s) && joins(s.f, s.a, s.c) && joins(s.g, s.a, s.b)) swap(s);
  }

  // Keeps it if there are no more circles than before.
  void try_swap(Rank v, std::size_t i, std::size_t j) {
    Square s = square(v, i, j);
    if (!can_swap(s)) return;
    const auto all = [&] { return (is_ring(s.f) ? circles_[s.f] : 0) + (is_ring(s.g) ? circles_[s.g] : 0); };
    const std::size_t before = all();
    swap(s);
    if (all() > before) swap(s);
  }

  Rank nodes_ = 1;
  std::size_t sets_ = 0;                                // that become rings
  std::vector<std::vector<Rank>> next_;                 // [axis][node]: its neighbour
  std::vector<std::vector<std::size_t>> set_of_;        // [axis][node]: of the link to that neighbour
  std::vector<std::vector<std::array<Rank, 2>>> near_;  // [set][node]: its neighbours there
  std::vector<std::vector<std::size_t>> circle_;        // [set][node]: which circle it is on, from 1
  std::vector<std::size_t> circles_;                    // by set
  std::size_t visits_ = 0;
};

}  // namespace

std::vector<std::vector<Rank>> torus_rings(std::span<const Rank> dimensions) {
  std::int64_t nodes = 1;
  for (const Rank size : dimensions) nodes = std::min<std::int64_t>(nodes * size, kMostNodes + 1);
  if (nodes < 2 || nodes > kMostNodes) return {};
  if (nodes == 2) return {{0, 1}};
  return Decomposition(dimensions).rings();
}

}  // namespace tutti
