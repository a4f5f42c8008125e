// From what is found in one domain to all that look like it, and to the whole job.
#pragma once

#include <map>

#include "topology/search/rings.h"
#include "topology/search/route.h"

namespace tutti::search {

// Domains, which of them are searched, and how the others follow.
class Whole {
 public:
  Whole(const Graph& graph, std::vector<Domain> domains);

  [[nodiscard]] const Graph& graph() const { return graph_; }
  // In the order in which rings pass them: those at one network switch in a row.
  [[nodiscard]] const std::vector<Domain>& domains() const { return domains_; }
  [[nodiscard]] bool several() const { return domains_.size() > 1; }
  // Numbers of the first domain of each kind.
  [[nodiscard]] const std::vector<int>& kinds() const { return kinds_; }

  // What was found in the first domain of its kind, moved to another one.
  [[nodiscard]] DomainRing moved(const DomainRing& ring, const Domain& to) const;
  [[nodiscard]] int moved_vertex(int vertex, const Domain& to) const;
  [[nodiscard]] Path moved(const Path& path, const Domain& to) const;

  // Between two network switches, in the direction that arcs point; takes the bandwidth if there is enough.
  // Empty where it is the same switch; nothing where there is no way.
  [[nodiscard]] bool route(int from_switch, int to_switch, double width, Path& path);

  [[nodiscard]] std::uint64_t steps() const { return switches_.steps(); }

 private:
  struct Places {
    std::map<int, std::size_t> vertices, edges;
  };
  [[nodiscard]] int moved_network_arc(int arc, int port, int new_port) const;

  const Graph& graph_;
  std::vector<Domain> domains_;
  std::vector<int> kinds_;
  std::map<int, Places> places_;  // of what lies in the first domain of each kind
  Graph between_switches_;
  Router switches_;
};

// A ring or tree of the whole job: what each rank's data passes on the way to or from another one.
struct Way {
  double width = 0;
  std::vector<Path> paths;
};

// What each of them reaches when all work at once and links that carry too much slow down all that pass them alike.
[[nodiscard]] std::vector<double> measure(const Graph& graph, const std::vector<Way>& ways);

}  // namespace tutti::search
