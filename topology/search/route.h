// Paths over what is left of the links.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "topology/search/graph.h"

namespace tutti::search {

using Path = std::vector<int>;  // arcs, one after the other

// Links that a path may take: NVLink and xGMI; all inside a domain; those of the network; all.
enum class Via : std::uint8_t { fast, inside, network, any };

class Router {
 public:
  explicit Router(const Graph& graph);

  // Finds the cheapest way from `from` to all that can be reached over arcs with `width` left, ends being passed by none. Cheap
  // is NVLink, then PCIe, then the way to another package; of equally cheap ways the one with most left.
  void explore(int from, double width, Via via);
  [[nodiscard]] bool reached(int vertex) const { return found_[static_cast<std::size_t>(vertex)].stamp == stamp_; }
  [[nodiscard]] int cost(int vertex) const { return found_[static_cast<std::size_t>(vertex)].cost; }
  [[nodiscard]] double left_to(int vertex) const { return found_[static_cast<std::size_t>(vertex)].left; }
  [[nodiscard]] Path path_to(int vertex) const;

  [[nodiscard]] double left(int arc) const { return left_[static_cast<std::size_t>(arc)]; }
  [[nodiscard]] bool has(int arc, double width) const { return left(arc) >= width * (1 - 1e-6); }
  [[nodiscard]] bool has(const Path& path, double width) const;
  void take(std::span<const int> path, double width);
  void give_back(std::span<const int> path, double width) { take(path, -width); }

  [[nodiscard]] std::uint64_t steps() const { return steps_; }  // vertices settled so far

 private:
  struct Found {
    std::uint32_t stamp = 0, settled = 0;
    int cost = 0;
    double left = 0;
    int arc = -1;  // by which it was reached
  };
  const Graph& graph_;
  std::vector<double> left_;
  std::vector<Found> found_;
  std::uint32_t stamp_ = 0;
  int from_ = 0;
  std::uint64_t steps_ = 0;
};

// The same links the other way.
[[nodiscard]] Path reversed(const Path& path);

}  // namespace tutti::search
