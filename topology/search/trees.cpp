#include "topology/search/trees.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "topology/search/branchings.h"
#include "tutti/routes.h"

namespace tutti::search {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

constexpr int kMostBranchings = 16;
constexpr double kAnything = -std::numeric_limits<double>::infinity();

// How the ends of a list hang together: in a row, or entry i below entry (i - 1) / 2.
enum class Form : std::uint8_t { chain, binary };

int above(Form form, int i) { return form == Form::chain ? i - 1 : (i - 1) / 2; }

using Trees = std::vector<WholeTree>;

// Adds ways between ends of one domain to a tree.
class InDomain {
 public:
  InDomain(const Graph& graph, const Domain& domain) : router_(graph), via_(domain.linked ? Via::fast : Via::inside) {}

  // The paths to all but the first of the list, each from the one above it; false where there is no way.
  bool hang(const std::vector<int>& list, Form form, double width, std::vector<Path>& paths) {
    paths.assign(list.size(), {});
    for (std::size_t i = 1; i < list.size(); ++i) {
      const auto path = way(list[at(above(form, static_cast<int>(i)))], list[i], width);
      if (path.empty()) return false;
      paths[i] = path;
    }
    return true;
  }

  // Where links are full a way over full ones; measuring tells what that costs.
  Path way(int from, int to, double width) {
    for (const double least : {width, kAnything}) {
      router_.explore(from, least, via_);
      if (!router_.reached(to)) continue;
      Path path = router_.path_to(to);
      router_.take(path, width);
      return path;
    }
    return {};
  }

  [[nodiscard]] std::uint64_t steps() const { return router_.steps(); }

 private:
  Router router_;
  const Via via_;
};

WholeTree empty_tree(const Graph& graph, double width) {
  WholeTree tree;
  tree.parent.assign(graph.ends.size(), kNoRank);
  tree.way = {width, std::vector<Path>(graph.ends.size())};
  return tree;
}

Rank rank_at(const Graph& graph, int end) { return graph.rank_of[at(end)]; }

void hang_below(WholeTree& tree, const Graph& graph, int parent, int child, Path path) {
  tree.parent[at(rank_at(graph, child))] = rank_at(graph, parent);
  tree.way.paths[at(rank_at(graph, child))] = std::move(path);
}

// --- one domain ---

Trees opened_rings(const Graph& graph, const std::vector<DomainRing>& rings, double width) {
  Trees trees;
  for (const DomainRing& ring : rings) {
    WholeTree tree = empty_tree(graph, width);
    for (std::size_t i = 1; i < ring.order.size(); ++i)
      hang_below(tree, graph, ring.order[i - 1], ring.order[i], ring.hops[i - 1]);
    trees.push_back(std::move(tree));
  }
  return trees;
}

// Pairs of trees over all but the root, the second list backwards: what is inner in one is a leaf in the other. As many pairs as
// there are rings, for no link may be wide enough for one.
Trees two_trees(const Graph& graph, const Domain& domain, std::size_t pairs, double bound_gbps, std::uint64_t& steps) {
  if (domain.ends.size() < 3) return {};
  const double width = bound_gbps / 2 / static_cast<double>(pairs);
  const int root = domain.ends.front();
  InDomain paths(graph, domain);
  std::vector<int> list(domain.ends.begin() + 1, domain.ends.end());
  Trees trees;
  for (std::size_t t = 0; t < 2 * pairs; ++t, std::reverse(list.begin(), list.end())) {
    std::vector<Path> found;
    if (!paths.hang(list, Form::binary, width, found)) return {};
    found.front() = paths.way(root, list.front(), width);
    if (found.front().empty()) return {};
    WholeTree tree = empty_tree(graph, width);
    for (std::size_t i = 0; i < list.size(); ++i)
      hang_below(tree, graph, i == 0 ? root : list[at(above(Form::binary, static_cast<int>(i)))], list[i], found[i]);
    trees.push_back(std::move(tree));
  }
  steps += paths.steps();
  return trees;
}

// Only where links join ends directly.
Trees disjoint_branchings(const Graph& graph, const Domain& domain, double bound_gbps, std::uint64_t& steps) {
  std::vector<const Edge*> edges;
  double least = std::numeric_limits<double>::infinity();
  for (const int e : domain.edges) {
    const Edge& edge = graph.edges[at(e)];
    if (!graph.is_end(edge.a) || !graph.is_end(edge.b) || !is_fast(edge.kind)) continue;
    edges.push_back(&edge);
    least = std::min(least, edge.gbps);
  }
  if (edges.empty()) return {};
  const double unit = std::max(least, bound_gbps / kMostBranchings);
  std::vector<UnitArc> arcs;
  std::vector<int> place(graph.nodes.size(), -1);
  for (std::size_t i = 0; i < domain.ends.size(); ++i) place[at(domain.ends[i])] = static_cast<int>(i);
  for (const Edge* edge : edges) {
    const int count = static_cast<int>(std::floor(edge->gbps / unit * (1 + 1e-6)));
    arcs.push_back({place[at(edge->a)], place[at(edge->b)], count});
    arcs.push_back({place[at(edge->b)], place[at(edge->a)], count});
  }
  // The bound may count other links.
  std::vector<std::vector<int>> found;
  for (int most = static_cast<int>(std::floor(bound_gbps / unit * (1 + 1e-6))); most > 0 && found.empty(); --most)
    found = branchings(static_cast<int>(domain.ends.size()), 0, arcs, most, steps);
  Trees trees;
  for (const auto& parents : found) {
    WholeTree tree = empty_tree(graph, unit);
    for (std::size_t i = 0; i < parents.size(); ++i) {
      if (parents[i] < 0) continue;
      const int from = domain.ends[at(parents[i])], to = domain.ends[i];
      for (const Arc& arc : graph.arcs[at(from)])
        if (arc.to == to && is_fast(graph.kind(arc.id))) hang_below(tree, graph, from, to, {arc.id});
    }
    trees.push_back(std::move(tree));
  }
  return trees;
}

// --- several domains ---

// For every ring's port two trees of domains, and in each domain the ends in the form asked for. Where rings come in at different
// ends, each end has each place in a binary form once, so that all send alike.
class Composed {
 public:
  Composed(Whole& whole, const std::vector<std::vector<DomainRing>>& rings, double width, Form form)
      : whole_(whole), graph_(whole.graph()), rings_(rings), width_(width), form_(form) {
    const auto& domains = whole.domains();
    while (std::find(domains[home_at_].ends.begin(), domains[home_at_].ends.end(), graph_.ends.front()) ==
           domains[home_at_].ends.end())
      ++home_at_;
  }

  Trees make(std::uint64_t& steps) {
    if (!hang_in_kinds(steps) || !hang_at_home(steps)) return {};
    const int others = static_cast<int>(whole_.domains().size()) - 1;
    Trees trees;
    for (std::size_t r = 0; r < rings_.front().size(); ++r)
      for (int t = 0; t < (others > 1 ? 2 : 1); ++t)
        if (!add_tree(r, t == 1, others > 1 ? width_ / 2 : width_, trees)) return {};
    return trees;
  }

 private:
  // Ends in a list, each below another one as the form has it.
  struct Hung {
    std::vector<int> list;
    std::vector<Path> paths;  // to each of the list
  };

  // A domain's ends in their order, round from this one.
  static std::vector<int> from_there_on(const Domain& domain, int first) {
    std::vector<int> list = domain.ends;
    std::rotate(list.begin(), std::find(list.begin(), list.end(), first), list.end());
    return list;
  }

  // Inside a domain of each kind from where each ring comes in.
  bool hang_in_kinds(std::uint64_t& steps) {
    for (std::size_t k = 0; k < whole_.kinds().size(); ++k) {
      const Domain& domain = whole_.domains()[at(whole_.kinds()[k])];
      InDomain paths(graph_, domain);
      auto& of_kind = inside_[domain.alike];
      of_kind_[domain.alike] = &rings_[k];
      for (const DomainRing& ring : rings_[k]) {
        of_kind.push_back({form_ == Form::chain ? ring.order : from_there_on(domain, ring.order.front()), {}});
        if (form_ == Form::chain) {
          of_kind.back().paths.assign(ring.hops.begin(), ring.hops.end() - 1);
        } else if (!paths.hang(of_kind.back().list, form_, width_, of_kind.back().paths)) {
          return false;
        }
      }
      steps += paths.steps();
    }
    return true;
  }

  // Where rank 0 is: from it to where the ring comes in, and from there on.
  bool hang_at_home(std::uint64_t& steps) {
    const Domain& home = whole_.domains()[home_at_];
    const int root = graph_.ends.front();
    InDomain paths(graph_, home);
    for (const DomainRing& ring : *of_kind_.at(home.alike)) {
      const DomainRing here = whole_.moved(ring, home);
      home_.push_back({form_ == Form::chain ? here.order : from_there_on(home, here.order.front()), {}});
      std::vector<int>& list = home_.back().list;
      std::erase(list, root);
      if (!paths.hang(list, form_, width_, home_.back().paths)) return false;
      if (!list.empty()) home_.back().paths.front() = paths.way(root, list.front(), width_);
    }
    steps += paths.steps();
    return true;
  }

  bool add_tree(std::size_t r, bool backwards, double width, Trees& trees) {
    WholeTree tree = empty_tree(graph_, width);
    const Hung& at_root = home_[r];
    for (std::size_t i = 0; i < at_root.list.size(); ++i)
      hang_below(tree, graph_, i == 0 ? graph_.ends.front() : at_root.list[at(above(form_, static_cast<int>(i)))],
                 at_root.list[i], at_root.paths[i]);
    std::vector<std::size_t> order;
    for (std::size_t d = 0; d < whole_.domains().size(); ++d)
      if (d != home_at_) order.push_back(d);
    if (backwards) std::reverse(order.begin(), order.end());
    std::vector<DomainRing> moved;
    for (const std::size_t d : order) {
      const Domain& domain = whole_.domains()[d];
      moved.push_back(whole_.moved((*of_kind_.at(domain.alike))[r], domain));
      hang_inside(tree, inside_.at(domain.alike)[r], domain);
    }
    const Domain& home = whole_.domains()[home_at_];
    const DomainRing at_home = whole_.moved((*of_kind_.at(home.alike))[r], home);
    tree.port = at_home.port;
    for (std::size_t i = 0; i < moved.size(); ++i)
      if (!connect(tree, i == 0 ? at_home : moved[at(above(Form::binary, static_cast<int>(i)))], moved[i])) return false;
    trees.push_back(std::move(tree));
    return true;
  }

  void hang_inside(WholeTree& tree, const Hung& hung, const Domain& domain) {
    std::vector<int> list;
    for (const int end : hung.list) list.push_back(whole_.moved_vertex(end, domain));
    for (std::size_t i = 1; i < list.size(); ++i)
      hang_below(tree, graph_, list[at(above(form_, static_cast<int>(i)))], list[i], whole_.moved(hung.paths[i], domain));
  }

  // From where one domain's ring comes in to where another one's does.
  bool connect(WholeTree& tree, const DomainRing& from, const DomainRing& to) {
    Path path = reversed(from.hops.front()), between;
    if (!whole_.route(graph_.to(from.in ^ 1), graph_.from(to.in), tree.way.width, between)) return false;
    path.push_back(from.in ^ 1);
    path.insert(path.end(), between.begin(), between.end());
    path.push_back(to.in);
    path.insert(path.end(), to.hops.front().begin(), to.hops.front().end());
    hang_below(tree, graph_, from.order.front(), to.order.front(), std::move(path));
    return true;
  }

  Whole& whole_;
  const Graph& graph_;
  const std::vector<std::vector<DomainRing>>& rings_;
  const double width_;
  const Form form_;
  std::size_t home_at_ = 0;
  std::map<int, std::vector<Hung>> inside_;  // of each kind, for each ring
  std::map<int, const std::vector<DomainRing>*> of_kind_;
  std::vector<Hung> home_;  // for each ring
};

}  // namespace

std::vector<WholeTree> pack_trees(Whole& whole, const std::vector<std::vector<DomainRing>>& rings, double width,
                                  double bound_gbps, std::uint64_t& steps) {
  const Graph& graph = whole.graph();
  std::vector<Trees> sets;
  if (whole.several() && !rings.empty()) {
    for (const Form form : {Form::binary, Form::chain}) sets.push_back(Composed(whole, rings, width, form).make(steps));
  } else if (!whole.several()) {
    const Domain& domain = whole.domains().front();
    sets.push_back(disjoint_branchings(graph, domain, bound_gbps, steps));
    if (!rings.empty()) {
      sets.push_back(two_trees(graph, domain, rings.front().size(), bound_gbps, steps));
      sets.push_back(opened_rings(graph, rings.front(), width));
    }
  }
  Trees best;
  double most = 0;
  std::uint32_t deepest = 0;
  for (Trees& trees : sets) {
    std::vector<Way> ways;
    double reached = 0;
    std::uint32_t far = 0;
    for (const WholeTree& tree : trees) {
      ways.push_back(tree.way);
      far = std::max(far, depth(tree.parent));
    }
    for (const double gbps : measure(graph, ways)) reached += gbps;
    if (reached <= most * 0.99 || (reached < most * 1.01 && far >= deepest)) continue;
    best = std::move(trees);
    most = reached;
    deepest = far;
  }
  return best;
}

}  // namespace tutti::search
