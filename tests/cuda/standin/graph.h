// Graphs, which captures make.
#pragma once

#include <vector>

#include "stream.h"

namespace standin {

// Operations and what they follow. Those of one captured stream are a lane: at a launch, lanes run beside each other.
struct Graph {
  struct Node {
    Work work;
    std::vector<std::size_t> after;
    std::size_t lane;
  };
  std::vector<Node> nodes;
  std::vector<Context*> lanes;
};

Handles<Graph>& graphs();
// What is last in a graph.
std::vector<std::size_t> leaves(const Graph& graph);

}  // namespace standin
