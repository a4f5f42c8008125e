// Capturing streams into graphs: a stream that is captured records its operations instead of running them.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "graph.h"
#include "stream.h"

namespace standin {

struct Capture {
  Stream* origin;
  CUstreamCaptureMode mode;
  std::thread::id thread;
  std::uint64_t id;
  std::atomic<CUstreamCaptureStatus> status = kCaptureActive;  // kCaptureNone once it has ended
  std::mutex mutex = {};
  Graph graph = {};
  std::vector<Stream*> streams = {};
};

void invalidate(Capture& capture);

// For calls that may not be made now because of somebody's capture (allocations, for example); they invalidate it.
CUresult refuse_in_capture();
// For calls that wait for a stream, or for a context.
CUresult refuse_while_captured(Stream& stream);
CUresult refuse_while_captured(const Context& context);

// Where the stream is being captured, adds a node for this work.
CUresult record(Stream& stream, const Work& work, bool* recorded);
// The same for a graph that is launched there.
void record(Stream& stream, const Graph& graph);
// The stream's part in a capture; none where it is not being captured.
CUresult captured_position(Stream& stream, Captured* position);
// The stream is being destroyed: its capture is lost.
void abandon_capture(Stream& stream);
// The stream waits for something captured, and so becomes part of that capture.
CUresult join(Stream& stream, const Captured& other);

}  // namespace standin
