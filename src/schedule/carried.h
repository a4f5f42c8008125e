// What the network between ranks has to carry: over all links of a torus, or over the way up of the busiest pod (Shape::torus,
// Shape::pod). The verifier counts messages with it, and rows declare what they know of theirs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "tutti/schedule.h"

namespace tutti {

// How many links lie between two nodes of a torus.
[[nodiscard]] inline std::uint64_t links_between(std::span<const Rank> torus, Rank a, Rank b) noexcept {
  std::uint64_t links = 0;
  for (std::size_t d = torus.size(); d-- > 0; a /= torus[d], b /= torus[d]) {
    const Rank apart = a % torus[d] > b % torus[d] ? a % torus[d] - b % torus[d] : b % torus[d] - a % torus[d];
    links += static_cast<std::uint64_t>(std::min(apart, torus[d] - apart));
  }
  return links;
}

class Carried {
 public:
  Carried(Rank ranks, std::span<const Rank> torus, Rank pod) : ranks_(ranks), torus_(torus), pod_(torus.empty() ? pod : 0) {
    if (pod_ > 0) across_.resize(static_cast<std::size_t>((ranks - 1) / pod_ + 1));
  }

  void message(Rank from, Rank to, std::uint64_t chunks) {
    all_ += chunks * links_between(torus_, from, to);
    if (pod_ == 0 || from / pod_ == to / pod_) return;
    across_[static_cast<std::size_t>(from / pod_)].out += chunks;
    across_[static_cast<std::size_t>(to / pod_)].in += chunks;
  }
  void exchange(Rank a, Rank b, std::uint64_t chunks) {
    message(a, b, chunks);
    message(b, a, chunks);
  }
  // From each rank to the one so far to its right on the circle of ranks.
  void shift(Rank steps, std::uint64_t chunks) {
    for (Rank r = 0; r < ranks_; ++r) message(r, (r + steps) % ranks_, chunks);
  }
  // From each rank to each other one.
  void all_pairs(std::uint64_t chunks) {
    for (Rank r = 0; r < ranks_; ++r) all_ += static_cast<std::uint64_t>(ranks_) * chunks * links_between(torus_, 0, r);
    for (std::size_t i = 0; i < across_.size(); ++i) {
      const Rank size = std::min(pod_, ranks_ - static_cast<Rank>(i) * pod_);
      const auto pairs = static_cast<std::uint64_t>(size) * static_cast<std::uint64_t>(ranks_ - size);
      across_[i].out += pairs * chunks;
      across_[i].in += pairs * chunks;
    }
  }
  // From one rank to each other one.
  void star(Rank root, std::uint64_t chunks) {
    for (Rank r = 0; r < ranks_; ++r)
      if (r != root) message(root, r, chunks);
  }
  [[nodiscard]] std::uint64_t most() const noexcept {
    std::uint64_t most = all_;
    for (const auto& pod : across_) most = std::max({most, pod.out, pod.in});
    return most;
  }

 private:
  struct Across {
    std::uint64_t out = 0, in = 0;
  };
  Rank ranks_;
  std::span<const Rank> torus_;
  Rank pod_;
  std::uint64_t all_ = 0;       // over the links of a torus
  std::vector<Across> across_;  // by pod
};

// LevelCost::carried of what `tell` tells a Carried; 0, at no cost, where the shape says nothing of a network.
template <class Tell>
[[nodiscard]] std::uint64_t carried(const Shape& shape, Tell&& tell) {
  if (shape.torus.empty() && shape.pod == 0) return 0;
  Carried network(shape.ranks, shape.torus, shape.pod);
  tell(network);
  return network.most();
}

}  // namespace tutti
