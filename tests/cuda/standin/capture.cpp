#include "capture.h"

#include <algorithm>

namespace standin {
namespace {

struct Active {
  std::mutex mutex;
  std::vector<std::shared_ptr<Capture>> captures;
  std::atomic<std::size_t> count = 0;  // so that nobody takes the lock, and is ordered by it, while nothing is captured
  std::uint64_t next_id = 1;
};
Active& active() {
  static auto* all = new Active;
  return *all;
}

std::vector<std::shared_ptr<Capture>> active_captures() {
  if (active().count.load(std::memory_order_relaxed) == 0) return {};
  std::lock_guard lock(active().mutex);
  return active().captures;
}

CUstreamCaptureMode& thread_mode() {
  thread_local CUstreamCaptureMode mode = kCaptureGlobal;
  return mode;
}

bool forbids_unsafe_calls(const Capture& capture) {
  if (capture.mode == kCaptureRelaxed || thread_mode() == kCaptureRelaxed) return false;
  if (capture.thread == std::this_thread::get_id()) return true;
  return capture.mode == kCaptureGlobal && thread_mode() == kCaptureGlobal;
}

template <class Predicate>
bool has_stream(Capture& capture, Predicate predicate) {
  std::lock_guard lock(capture.mutex);
  return std::any_of(capture.streams.begin(), capture.streams.end(), predicate);
}

// The capture that work on the legacy stream would have to be ordered with, which is impossible.
std::shared_ptr<Capture> implied_capture(const Stream& legacy) {
  for (auto& capture : active_captures())
    if (has_stream(*capture, [&](const Stream* s) { return &s->context() == &legacy.context() && s->blocks(); })) return capture;
  return nullptr;
}

CUresult refuse_legacy(const Stream& stream) {
  const auto capture = stream.is_legacy() ? implied_capture(stream) : nullptr;
  if (!capture) return kSuccess;
  invalidate(*capture);
  return kCaptureImplicit;
}

void merge(std::vector<std::size_t>& into, const std::vector<std::size_t>& more) {
  into.insert(into.end(), more.begin(), more.end());
  std::sort(into.begin(), into.end());
  into.erase(std::unique(into.begin(), into.end()), into.end());
}

CUresult usable(const Capture& capture) { return capture.status == kCaptureInvalid ? kCaptureInvalidated : kSuccess; }

std::size_t add_lane(Capture& capture, Stream& stream) {
  std::lock_guard lock(capture.mutex);
  capture.streams.push_back(&stream);
  capture.graph.lanes.push_back(&stream.context());
  return capture.graph.lanes.size() - 1;
}

// Whether everything in the graph comes before the end of the stream that began the capture.
bool joined(const Graph& graph, const std::vector<std::size_t>& end) {
  std::vector<bool> before(graph.nodes.size());
  for (const std::size_t node : end) before[node] = true;
  for (std::size_t i = graph.nodes.size(); i-- > 0;)
    if (before[i])
      for (const std::size_t node : graph.nodes[i].after) before[node] = true;
  return std::find(before.begin(), before.end(), false) == before.end();
}

// Streams are free again, events know that what they were recorded in is over.
void end(const std::shared_ptr<Capture>& capture) {
  capture->status = kCaptureNone;
  {
    std::lock_guard lock(active().mutex);
    active().count -= std::erase(active().captures, capture);
  }
  std::vector<Stream*> members;
  {
    std::lock_guard lock(capture->mutex);
    members = capture->streams;
  }
  for (Stream* stream : members) {
    std::lock_guard lock(stream->mutex);
    if (stream->captured.capture == capture) stream->captured = {};
  }
}

}  // namespace

void invalidate(Capture& capture) {
  CUstreamCaptureStatus expected = kCaptureActive;
  capture.status.compare_exchange_strong(expected, kCaptureInvalid);
}

CUresult refuse_in_capture() {
  CUresult result = kSuccess;
  for (const auto& capture : active_captures()) {
    if (!forbids_unsafe_calls(*capture)) continue;
    invalidate(*capture);
    result = kCaptureUnsupported;
  }
  return result;
}

CUresult refuse_while_captured(Stream& stream) {
  {
    std::lock_guard lock(stream.mutex);
    if (const auto& capture = stream.captured.capture) {
      invalidate(*capture);
      return kCaptureUnsupported;
    }
  }
  if (const CUresult error = refuse_legacy(stream)) return error;
  return refuse_in_capture();
}

CUresult refuse_while_captured(const Context& context) {
  CUresult result = refuse_in_capture();
  for (const auto& capture : active_captures()) {
    if (!has_stream(*capture, [&](const Stream* s) { return &s->context() == &context; })) continue;
    invalidate(*capture);
    result = kCaptureUnsupported;
  }
  return result;
}

CUresult record(Stream& stream, const Work& work, bool* recorded) {
  std::unique_lock lock(stream.mutex);
  Captured& mine = stream.captured;
  if (!mine.capture) {
    lock.unlock();
    return refuse_legacy(stream);
  }
  if (const CUresult error = usable(*mine.capture)) return error;
  std::lock_guard graph_lock(mine.capture->mutex);
  auto& nodes = mine.capture->graph.nodes;
  nodes.push_back({work, mine.after, mine.lane});
  mine.after = {nodes.size() - 1};
  *recorded = true;
  return kSuccess;
}

void record(Stream& stream, const Graph& graph) {
  std::lock_guard lock(stream.mutex);
  Captured& mine = stream.captured;
  std::lock_guard graph_lock(mine.capture->mutex);
  Graph& into = mine.capture->graph;
  const std::size_t nodes = into.nodes.size(), lanes = into.lanes.size();
  into.lanes.insert(into.lanes.end(), graph.lanes.begin(), graph.lanes.end());
  for (Graph::Node node : graph.nodes) {
    for (std::size_t& before : node.after) before += nodes;
    if (node.after.empty()) node.after = mine.after;
    node.lane += lanes;
    into.nodes.push_back(std::move(node));
  }
  std::vector<std::size_t> last = leaves(graph);
  for (std::size_t& node : last) node += nodes;
  if (!last.empty()) mine.after = last;
}

CUresult captured_position(Stream& stream, Captured* position) {
  std::lock_guard lock(stream.mutex);
  *position = stream.captured;
  return position->capture ? usable(*position->capture) : kSuccess;
}

CUresult join(Stream& stream, const Captured& other) {
  if (other.capture->status == kCaptureNone) return kInvalidValue;
  if (const CUresult error = usable(*other.capture)) return error;
  if (stream.is_legacy()) {
    invalidate(*other.capture);
    return kCaptureImplicit;
  }
  std::lock_guard lock(stream.mutex);
  Captured& mine = stream.captured;
  if (mine.capture && mine.capture != other.capture) {
    invalidate(*mine.capture);
    invalidate(*other.capture);
    return kCaptureMerge;
  }
  if (!mine.capture) mine = {.capture = other.capture, .lane = add_lane(*other.capture, stream), .after = {}, .names = {}};
  merge(mine.after, other.after);
  return kSuccess;
}

void abandon_capture(Stream& stream) {
  Captured mine;
  static_cast<void>(captured_position(stream, &mine));
  if (!mine.capture) return;
  invalidate(*mine.capture);
  if (mine.capture->origin == &stream) end(mine.capture);
}

}  // namespace standin

using namespace standin;

CUresult cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode) {
  return call_on_stream(handle, [&](Stream& stream) {
    if (mode < kCaptureGlobal || mode > kCaptureRelaxed) return kInvalidValue;
    if (stream.is_legacy()) return kCaptureUnsupported;
    std::lock_guard lock(stream.mutex);
    if (stream.captured.capture) return kIllegalState;
    std::lock_guard active_lock(active().mutex);
    auto capture = std::shared_ptr<Capture>(new Capture{&stream, mode, std::this_thread::get_id(), active().next_id++});
    active().captures.push_back(capture);
    ++active().count;
    stream.captured = {.capture = capture, .lane = add_lane(*capture, stream), .after = {}, .names = {}};
    return kSuccess;
  });
}

CUresult cuStreamEndCapture(CUstream handle, CUgraph* graph) {
  return call_on_stream(handle, [&](Stream& stream) -> CUresult {
    if (!graph) return kInvalidValue;
    *graph = nullptr;
    Captured mine;
    static_cast<void>(captured_position(stream, &mine));
    if (!mine.capture) return kIllegalState;
    if (mine.capture->origin != &stream) {
      invalidate(*mine.capture);
      return kCaptureUnmatched;
    }
    if (mine.capture->mode != kCaptureRelaxed && mine.capture->thread != std::this_thread::get_id()) return kCaptureWrongThread;
    const CUresult error = usable(*mine.capture);
    end(mine.capture);
    if (error) return error;
    std::lock_guard lock(mine.capture->mutex);
    if (!joined(mine.capture->graph, mine.after)) return kCaptureUnjoined;
    *graph = graphs().add(std::make_unique<Graph>(mine.capture->graph));
    return kSuccess;
  });
}

CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus* status) {
  return cuStreamGetCaptureInfo_v3(handle, status, nullptr, nullptr, nullptr, nullptr, nullptr);
}

CUresult cuStreamGetCaptureInfo_v3(CUstream handle, CUstreamCaptureStatus* status, std::uint64_t* id, CUgraph* graph,
                                   const CUgraphNode** dependencies, const void** edges, std::size_t* count) {
  return call_on_stream(handle, [&](Stream& stream) {
    if (!status) return kInvalidValue;
    if (stream.is_legacy() && implied_capture(stream)) return kCaptureImplicit;
    std::lock_guard lock(stream.mutex);
    Captured& mine = stream.captured;
    *status = mine.capture ? mine.capture->status.load() : kCaptureNone;
    if (*status != kCaptureActive) return kSuccess;
    mine.names.clear();
    for (const std::size_t node : mine.after) mine.names.push_back(pointer_to(node + 1));
    if (id) *id = mine.capture->id;
    if (graph) *graph = &mine.capture->graph;
    if (dependencies) *dependencies = mine.names.data();
    if (edges) *edges = nullptr;
    if (count) *count = mine.names.size();
    return kSuccess;
  });
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  return call([&] {
    if (!mode || *mode < kCaptureGlobal || *mode > kCaptureRelaxed) return kInvalidValue;
    std::swap(*mode, thread_mode());
    return kSuccess;
  });
}
