#include "topology/search/rings.h"

#include <algorithm>

namespace tutti::search {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

class Packing {
 public:
  Packing(const Graph& graph, const Domain& domain, bool ports, double width, std::size_t most, std::uint64_t limit)
      : graph_(graph),
        domain_(domain),
        ports_(ports),
        width_(width),
        most_(most),
        limit_(limit),
        router_(graph),
        between_ends_(domain.linked ? Via::fast : Via::inside),
        position_(graph.nodes.size(), -1),
        visited_(graph.nodes.size(), false) {
    for (std::size_t i = 0; i < domain.ends.size(); ++i) position_[at(domain.ends[i])] = static_cast<int>(i);
  }

  std::vector<DomainRing> run(std::uint64_t& steps) {
    next_ring();
    steps += router_.steps() + extensions_;
    return std::move(best_);
  }

 private:
  // Each of these returns true when the search is over, and else leaves everything as it was.
  bool next_ring() {
    if (rings_.size() > best_.size()) best_ = rings_;
    if (rings_.size() == most_) return true;
    if (!ports_) return reverse_of_last() || start({});
    for (const auto& [left, port] : ports_by_room()) {
      DomainRing ring;
      ring.port = port;
      ring.in = network_arc(port, true);
      ring.out = network_arc(port, false);
      if (ring.in < 0 || ring.out < 0) break;
      const Path both = {ring.in, ring.out};
      router_.take(both, width_);
      if (start(ring)) return true;
      router_.give_back(both, width_);
    }
    return false;
  }

  // Those with most bandwidth left, and of these the first.
  [[nodiscard]] std::vector<std::pair<double, int>> ports_by_room() const {
    std::vector<std::pair<double, int>> result;
    for (const int port : domain_.ports) {
      const int in = network_arc(port, true);
      result.emplace_back(in < 0 ? 0 : -router_.left(in), port);
    }
    std::sort(result.begin(), result.end());
    return result;
  }

  // The port's widest arc from or to a network switch with room; -1 where there is none.
  [[nodiscard]] int network_arc(int port, bool in) const {
    int best = -1;
    for (const Arc& arc : graph_.arcs[at(port)]) {
      if (graph_.kinds[at(arc.to)] != NodeKind::net_switch) continue;
      const int id = in ? arc.id ^ 1 : arc.id;
      if (router_.has(id, width_) && (best < 0 || router_.left(id) > router_.left(best))) best = id;
    }
    return best;
  }

  bool reverse_of_last() {
    if (rings_.empty() || reversed_last_) return false;
    DomainRing back = rings_.back();
    std::reverse(back.order.begin() + 1, back.order.end());
    std::reverse(back.hops.begin(), back.hops.end());
    for (std::size_t i = 0; i < back.hops.size(); ++i) {
      back.hops[i] = reversed(back.hops[i]);
      if (router_.has(back.hops[i], width_)) {
        router_.take(back.hops[i], width_);
        continue;
      }
      for (std::size_t j = 0; j < i; ++j) router_.give_back(back.hops[j], width_);
      return false;
    }
    reversed_last_ = true;
    if (add(back)) return true;
    reversed_last_ = false;
    for (const Path& hop : back.hops) router_.give_back(hop, width_);
    return false;
  }

  bool start(DomainRing ring) {
    const bool reversed_before = reversed_last_;
    reversed_last_ = false;
    bool over = false;
    if (ring.port < 0) {
      const int first = domain_.ends.front();
      ring.order.push_back(first);
      visited_[at(first)] = true;
      over = extend(ring, first);
      visited_[at(first)] = false;
    } else {
      over = extend(ring, ring.port);
    }
    if (!over) reversed_last_ = reversed_before;
    return over;
  }

  bool extend(DomainRing& ring, int from) {
    if (++extensions_ > limit_) return true;
    if (ring.order.size() == domain_.ends.size()) return close(ring, from);
    bool looked_elsewhere = false;
    for (const int to : nearest(ring, from)) {
      if (looked_elsewhere) router_.explore(from, width_, via(ring, from));
      looked_elsewhere = true;
      ring.hops.push_back(router_.path_to(to));
      ring.order.push_back(to);
      router_.take(ring.hops.back(), width_);
      visited_[at(to)] = true;
      if (extend(ring, to)) return true;
      visited_[at(to)] = false;
      router_.give_back(ring.hops.back(), width_);
      ring.order.pop_back();
      ring.hops.pop_back();
    }
    return false;
  }

  [[nodiscard]] Via via(const DomainRing& ring, int from) const { return from == ring.port ? Via::inside : between_ends_; }

  // Ends to go on to, the best first.
  std::vector<int> nearest(const DomainRing& ring, int from) {
    struct Choice {
      int cost;
      double left;
      int ahead, end;
    };
    router_.explore(from, width_, via(ring, from));
    const int n = static_cast<int>(domain_.ends.size());
    // Rings through different ports begin at different ends, so that what they have in common is spread.
    const int here = from == ring.port ? 0 : position_[at(from)];
    std::vector<Choice> choices;
    for (const int end : domain_.ends)
      if (!visited_[at(end)] && router_.reached(end))
        choices.push_back({router_.cost(end), router_.left_to(end), (position_[at(end)] - here + n) % n, end});
    std::sort(choices.begin(), choices.end(), [](const Choice& a, const Choice& b) {
      if (a.cost != b.cost) return a.cost < b.cost;
      return a.left != b.left ? a.left > b.left : a.ahead < b.ahead;
    });
    std::vector<int> result;
    for (const Choice& choice : choices) result.push_back(choice.end);
    return result;
  }

  bool close(DomainRing& ring, int from) {
    const int start = ring.port >= 0 ? ring.port : ring.order.front();
    if (from != start) {
      router_.explore(from, width_, ring.port >= 0 ? Via::inside : between_ends_);
      if (!router_.reached(start)) return false;
      ring.hops.push_back(router_.path_to(start));
      router_.take(ring.hops.back(), width_);
    }
    const std::vector<bool> visited = visited_;
    visited_.assign(visited_.size(), false);
    if (add(ring)) return true;
    visited_ = visited;
    if (from != start) {
      router_.give_back(ring.hops.back(), width_);
      ring.hops.pop_back();
    }
    return false;
  }

  bool add(const DomainRing& ring) {
    rings_.push_back(ring);
    if (next_ring()) return true;
    rings_.pop_back();
    return false;
  }

  const Graph& graph_;
  const Domain& domain_;
  const bool ports_;
  const double width_;
  const std::size_t most_;
  const std::uint64_t limit_;
  Router router_;
  const Via between_ends_;
  std::vector<int> position_;
  std::vector<bool> visited_;
  bool reversed_last_ = false;
  std::uint64_t extensions_ = 0;
  std::vector<DomainRing> rings_, best_;
};

}  // namespace

std::vector<DomainRing> pack_rings(const Graph& graph, const Domain& domain, bool ports, double width, std::size_t most,
                                   std::uint64_t limit, std::uint64_t& steps) {
  return Packing(graph, domain, ports, width, most, limit).run(steps);
}

}  // namespace tutti::search
