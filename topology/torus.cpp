// A torus is found in the links themselves, so every source may describe one, and no two statements can disagree.
#include <algorithm>

#include "topology/gpus.h"
#include "tutti/topology.h"

namespace tutti {
namespace {

using Pair = std::pair<int, int>;  // of hosts, the smaller one first

// Which hosts links of the network join, ascending.
std::vector<Pair> joined_hosts(const Topology& topology) {
  const std::vector<int> host = host_of_nodes(topology);
  std::vector<Pair> pairs;
  for (const Link& link : topology.links) {
    const int a = host[static_cast<std::size_t>(link.a)], b = host[static_cast<std::size_t>(link.b)];
    if (link.kind == LinkKind::network && a >= 0 && b >= 0 && a != b) pairs.push_back(std::minmax(a, b));
  }
  std::ranges::sort(pairs);
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  return pairs;
}

class Search {
 public:
  Search(int hosts, std::vector<Pair> pairs) : hosts_(hosts), pairs_(std::move(pairs)) {
    for (auto it = pairs_.begin(); it != pairs_.end() && it->first == 0; ++it) near_.push_back(it->second);
  }

  // Lengths from the last dimension to the first.
  std::vector<int> run() {
    const bool likely = !near_.empty() && near_.size() <= 2 * kMaxTorusDimensions;
    return likely && extend(1) ? lengths_ : std::vector<int>();
  }

 private:
  [[nodiscard]] bool beside_first(int host) const { return std::ranges::binary_search(near_, host); }

  // Host 0's neighbours give the candidates: one at `stride`, and, round the back, one at stride * (length - 1).
  bool extend(int stride) {
    if (stride == hosts_) return is_torus();
    if (!beside_first(stride)) return false;
    for (int length = 2; length <= hosts_ / stride; ++length) {
      const int next = stride * length;
      if (hosts_ % next != 0 || !beside_first(stride * (length - 1)) || (next < hosts_ && !beside_first(next))) continue;
      lengths_.push_back(length);
      if (extend(next)) return true;
      lengths_.pop_back();
    }
    return false;
  }

  // Exactly the links of a torus of these lengths are there.
  [[nodiscard]] bool is_torus() const {
    const auto degree = static_cast<std::size_t>(2 * std::ranges::count_if(lengths_, [](int n) { return n > 2; }) +
                                                 std::ranges::count(lengths_, 2));
    if (near_.size() != degree || pairs_.size() != degree * static_cast<std::size_t>(hosts_) / 2) return false;
    int stride = 1;
    for (const int length : lengths_) {
      for (int host = 0; host < hosts_; ++host) {
        const int next = host / stride % length + 1 < length ? host + stride : host - stride * (length - 1);
        if (!std::ranges::binary_search(pairs_, Pair(std::minmax(host, next)))) return false;
      }
      stride *= length;
    }
    return true;
  }

  const int hosts_;
  const std::vector<Pair> pairs_;
  std::vector<int> near_;  // neighbours of host 0, ascending
  std::vector<int> lengths_;
};

}  // namespace

std::vector<int> torus_dimensions(const Topology& topology) {
  std::vector<int> lengths = Search(hosts(topology), joined_hosts(topology)).run();
  std::ranges::reverse(lengths);
  return lengths;
}

}  // namespace tutti
