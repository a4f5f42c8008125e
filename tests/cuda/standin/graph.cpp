#include "graph.h"

#include <algorithm>

#include "capture.h"

namespace standin {

Handles<Graph>& graphs() {
  static auto* all = new Handles<Graph>;
  return *all;
}

std::vector<std::size_t> leaves(const Graph& graph) {
  std::vector<bool> followed(graph.nodes.size());
  for (const auto& node : graph.nodes)
    for (const std::size_t before : node.after) followed[before] = true;
  std::vector<std::size_t> last;
  for (std::size_t i = 0; i < followed.size(); ++i)
    if (!followed[i]) last.push_back(i);
  return last;
}

}  // namespace standin

using namespace standin;

namespace {

// A graph's lanes as streams of its own.
struct GraphExec {
  Graph graph;
  std::vector<Stream*> lanes = {};
  std::mutex mutex = {};
  const Op* end = nullptr;  // of the launch before: launches of one graph follow each other
};
Handles<GraphExec>& execs() {
  static auto* all = new Handles<GraphExec>;
  return *all;
}

CUresult nothing(Context&) { return kSuccess; }

CUresult launch(GraphExec& exec, Stream& stream) {
  std::lock_guard lock(exec.mutex);
  const Op* begin = nullptr;
  Work first{nothing};
  if (exec.end) first.after = {exec.end};
  if (const CUresult error = submit(stream, first, &begin)) return error;
  std::vector<const Op*> ops;
  for (const auto& node : exec.graph.nodes) {
    Stream& lane = *exec.lanes[node.lane];
    std::vector<const Op*> after;
    for (const std::size_t before : node.after) after.push_back(ops[before]);
    if (after.empty()) after = {begin};
    Verdict verdict = check(node.work.ranges, lane.context());
    verdict.faults |= verdict.error != kSuccess;  // what was freed since the capture
    ops.push_back(lane.append(runnable(node.work, verdict), std::move(after)));
  }
  Work last{nothing};
  for (const std::size_t leaf : leaves(exec.graph)) last.after.push_back(ops[leaf]);
  return submit(stream, last, &exec.end);
}

}  // namespace

CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph handle, unsigned long long flags) {
  return call_in_context([&](Context&) {
    constexpr unsigned kAllFlags = 15;
    const Graph* graph = graphs().find(handle);
    if (!exec || !graph || flags > kAllFlags) return kInvalidValue;
    auto made = std::unique_ptr<GraphExec>(new GraphExec{*graph});
    for (Context* context : graph->lanes) made->lanes.push_back(make_stream(*context, kStreamNonBlocking, 0));
    *exec = execs().add(std::move(made));
    return kSuccess;
  });
}

CUresult cuGraphLaunch(CUgraphExec handle, CUstream on) {
  return call_on_stream(on, [&](Stream& stream) -> CUresult {
    GraphExec* exec = execs().find(handle);
    if (!exec) return kInvalidValue;
    Captured captured;
    if (const CUresult error = captured_position(stream, &captured)) return error;
    if (!captured.capture) return launch(*exec, stream);
    record(stream, exec->graph);
    return kSuccess;
  });
}

CUresult cuGraphExecDestroy(CUgraphExec handle) {
  return call([&] {
    GraphExec* exec = execs().find(handle);
    if (!exec || !execs().remove(handle)) return kInvalidValue;
    std::lock_guard lock(exec->mutex);
    for (Stream* lane : exec->lanes) {
      streams().remove(lane);
      lane->finish();
    }
    return kSuccess;
  });
}

CUresult cuGraphDestroy(CUgraph graph) {
  return call([&] { return graphs().remove(graph) ? kSuccess : kInvalidValue; });
}

CUresult cuGraphGetNodes(CUgraph handle, CUgraphNode* nodes, std::size_t* count) {
  return call([&] {
    const Graph* graph = graphs().find(handle);
    if (!graph || !count) return kInvalidValue;
    for (std::size_t i = 0; nodes && i < *count; ++i) nodes[i] = i < graph->nodes.size() ? pointer_to(i + 1) : nullptr;
    *count = nodes ? std::min(*count, graph->nodes.size()) : graph->nodes.size();
    return kSuccess;
  });
}
