// A stream: a thread that runs a queue of operations in order. Programs' threads append, the stream's thread takes; it never
// takes a lock, so that it is ordered with a program's threads only as CUDA orders them.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "context.h"
#include "flag.h"
#include "memory.h"

namespace standin {

constexpr int kGreatestPriority = -5;  // the least is 0

using Clock = std::chrono::steady_clock;

struct Work {
  std::function<CUresult(Context&)> run;
  std::vector<Range> ranges = {};
  std::vector<const struct Op*> after = {};  // of other streams
};

// An operation in a stream's queue. Kept as long as the process, so that events may point to it.
struct Op {
  std::function<CUresult(Context&)> run;
  std::vector<const Op*> after;  // operations of other streams that come first
  Flag done;
  Clock::time_point ended;  // valid once done
  bool last = false;        // the stream ends with it
  Op* next = nullptr;       // valid once linked
  Flag linked;
};

struct Capture;
// A stream's part in a capture.
struct Captured {
  std::shared_ptr<Capture> capture;
  std::size_t lane = 0;            // of the graph's nodes that come from this stream
  std::vector<std::size_t> after;  // nodes that the next one follows
  std::vector<CUgraphNode> names;  // `after` as handles, for who asks
};

class Stream {
 public:
  Stream(Context& context, unsigned flags, int priority);

  Context& context() const { return context_; }
  unsigned flags() const { return flags_; }
  int priority() const { return priority_; }
  bool is_legacy() const { return context_.legacy == this; }
  bool blocks() const { return (flags_ & kStreamNonBlocking) == 0; }

  // Appends; what this waits for has been appended somewhere already, so nothing can wait in a circle.
  const Op* append(std::function<CUresult(Context&)> run, std::vector<const Op*> after = {});
  const Op* last() const { return last_.load(std::memory_order_acquire); }
  // What an operation appended now has to wait for in other streams: the legacy stream and blocking ones wait for each other.
  std::vector<const Op*> implied() const;
  void finish();

  std::mutex mutex;   // of what a stream's part in a capture is
  Captured captured;  // none where captured.capture is null

 private:
  void run(Op* op);

  Context& context_;
  const unsigned flags_;
  const int priority_;
  Connection* const connection_;  // null where it has one of its own
  std::mutex append_mutex_;
  std::deque<Op> ops_;
  std::atomic<Op*> last_ = nullptr;
};

Handles<Stream>& streams();
std::vector<Stream*> streams_of(const Context& context);
Stream* make_stream(Context& context, unsigned flags, int priority);
// Waits for everything that was appended to a stream of this context before.
void synchronize(const Context& context);

// Calls body(Stream&) with the stream that a handle means: 0 and 1 the legacy one, 2 the calling thread's own.
Stream* find_stream(CUstream handle, CUresult* error);
template <class Body>
CUresult call_on_stream(CUstream handle, Body body, const char* name = __builtin_FUNCTION()) {
  return call(
      [&]() -> CUresult {
        CUresult error = kSuccess;
        Stream* stream = find_stream(handle, &error);
        if (!stream) return error;
        if (const CUresult failed = stream->context().error()) return failed;
        return body(*stream);
      },
      name);
}

// Appends work to a stream, or records it where the stream is being captured (`op` then stays null). Bad addresses are errors;
// good ones whose range is too long make the work a fault.
CUresult submit(Stream& stream, Work work, const Op** op = nullptr);
// The function that runs instead of work with such ranges.
std::function<CUresult(Context&)> runnable(const Work& work, const Verdict& verdict);

}  // namespace standin
