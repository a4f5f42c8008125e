#include "stream.h"

#include <algorithm>
#include <map>
#include <random>
#include <thread>
#include <utility>

#include "capture.h"

namespace standin {
namespace {

// STANDIN_JITTER: sleeps for a random time of at most that.
void jitter(unsigned most_us) {
  if (most_us == 0) return;
  thread_local std::minstd_rand random{std::random_device{}()};
  std::this_thread::sleep_for(std::chrono::microseconds(random() % (most_us + 1)));
}

Connection* connect(Context& context) {
  const unsigned count = settings().connections;
  return count == 0 ? nullptr : &context.connections[context.streams_made++ % count];
}

void destroy(Stream* stream) {
  if (streams().remove(stream)) stream->finish();
}

// A thread's own streams, one per context, which go with it.
struct OwnStreams {
  std::map<const Context*, Stream*> streams;
  ~OwnStreams() {
    for (const auto& [context, stream] : streams) destroy(stream);
  }
};

Stream* per_thread_stream(Context& context) {
  thread_local OwnStreams own;
  Stream*& stream = own.streams[&context];
  if (!stream) stream = make_stream(context, 0, 0);
  return stream;
}

}  // namespace

Stream::Stream(Context& context, unsigned flags, int priority)
    : context_(context), flags_(flags), priority_(std::clamp(priority, kGreatestPriority, 0)), connection_(connect(context)) {
  last_ = &ops_.emplace_back();
  ops_.back().done.raise();
  std::thread(&Stream::run, this, last_.load()).detach();
}

const Op* Stream::append(std::function<CUresult(Context&)> run, std::vector<const Op*> after) {
  std::lock_guard lock(append_mutex_);
  Op& op = ops_.emplace_back();
  op.run = std::move(run);
  op.after = std::move(after);
  op.last = !op.run;
  const Op* ahead = connection_ ? connection_->exchange(&op) : nullptr;
  if (ahead) op.after.push_back(ahead);
  Op* before = last_.load(std::memory_order_relaxed);
  last_.store(&op, std::memory_order_release);
  before->next = &op;
  before->linked.raise();
  return &op;
}

void Stream::run(Op* op) {
  const unsigned jitter_us = settings().jitter_us;
  while (!op->last) {
    op->linked.wait();
    op = op->next;
    for (const Op* other : op->after) other->done.wait();
    jitter(jitter_us);
    if (op->run && !context_.error())
      if (const CUresult error = op->run(context_)) context_.fail(error);
    op->run = nullptr;
    op->ended = Clock::now();
    op->done.raise();
  }
}

std::vector<const Op*> Stream::implied() const {
  if (!blocks()) return {};
  if (!is_legacy()) return {context_.legacy->last()};
  std::vector<const Op*> all;
  for (const Stream* other : streams_of(context_))
    if (other != this && other->blocks()) all.push_back(other->last());
  return all;
}

void Stream::finish() { append({}); }

Handles<Stream>& streams() {
  static auto* all = new Handles<Stream>;
  return *all;
}

std::vector<Stream*> streams_of(const Context& context) {
  std::vector<Stream*> of = streams().all();
  std::erase_if(of, [&](const Stream* stream) { return &stream->context() != &context; });
  return of;
}

Stream* make_stream(Context& context, unsigned flags, int priority) {
  return streams().add(std::make_unique<Stream>(context, flags, priority));
}

void synchronize(const Context& context) {
  for (const Stream* stream : streams_of(context)) stream->last()->done.wait();
}

Stream* find_stream(CUstream handle, CUresult* error) {
  *error = kInvalidContext;
  if (handle != nullptr && handle != kStreamLegacy && handle != kStreamPerThread) {
    *error = kInvalidHandle;
    return streams().find(handle);
  }
  Context* context = current_context();
  if (!context) return nullptr;
  return handle == kStreamPerThread ? per_thread_stream(*context) : context->legacy;
}

std::function<CUresult(Context&)> runnable(const Work& work, const Verdict& verdict) {
  if (!verdict.faults) return work.run;
  return [](Context&) { return kIllegalAddress; };
}

CUresult submit(Stream& stream, Work work, const Op** op) {
  const Verdict verdict = check(work.ranges, stream.context());
  if (verdict.error) return verdict.error;
  bool recorded = false;
  const CUresult error = record(stream, work, &recorded);
  if (error || recorded) return error;
  std::vector<const Op*> after = stream.implied();
  after.insert(after.end(), work.after.begin(), work.after.end());
  const Op* appended = stream.append(runnable(work, verdict), std::move(after));
  if (op) *op = appended;
  return kSuccess;
}

}  // namespace standin

using namespace standin;

namespace {

CUresult create(CUstream* result, unsigned flags, int priority, const char* name) {
  return call_in_context(
      [&](Context& context) {
        if (!result || flags > kStreamNonBlocking) return kInvalidValue;
        *result = make_stream(context, flags, priority);
        return kSuccess;
      },
      name);
}

// All that a wait for this stream waits for.
std::vector<const Op*> outstanding(const Stream& stream) {
  std::vector<const Op*> ops{stream.last()};
  if (stream.is_legacy())
    for (const Op* op : stream.implied()) ops.push_back(op);
  return ops;
}

}  // namespace

CUresult cuStreamCreate(CUstream* stream, unsigned flags) { return create(stream, flags, 0, __func__); }

CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int priority) {
  return create(stream, flags, priority, __func__);
}

// The stream goes when its work is done; this does not wait for it.
CUresult cuStreamDestroy_v2(CUstream handle) {
  return call([&] {
    Stream* stream = streams().find(handle);
    if (!stream || stream->is_legacy() || !streams().remove(handle)) return kInvalidHandle;
    abandon_capture(*stream);
    stream->finish();
    return kSuccess;
  });
}

CUresult cuStreamSynchronize(CUstream handle) {
  return call_on_stream(handle, [&](Stream& stream) -> CUresult {
    if (const CUresult error = refuse_while_captured(stream)) return error;
    for (const Op* op : outstanding(stream)) op->done.wait();
    return stream.context().error();
  });
}

CUresult cuStreamQuery(CUstream handle) {
  return call_on_stream(handle, [&](Stream& stream) -> CUresult {
    if (const CUresult error = refuse_while_captured(stream)) return error;
    for (const Op* op : outstanding(stream))
      if (!op->done.raised()) return kNotReady;
    return stream.context().error();
  });
}

CUresult cuStreamGetCtx(CUstream handle, CUcontext* context) {
  return call_on_stream(handle, [&](const Stream& stream) {
    if (!context) return kInvalidValue;
    *context = &stream.context();
    return kSuccess;
  });
}

CUresult cuStreamGetFlags(CUstream handle, unsigned* flags) {
  return call_on_stream(handle, [&](const Stream& stream) {
    if (!flags) return kInvalidValue;
    *flags = stream.flags();
    return kSuccess;
  });
}

CUresult cuStreamGetPriority(CUstream handle, int* priority) {
  return call_on_stream(handle, [&](const Stream& stream) {
    if (!priority) return kInvalidValue;
    *priority = stream.priority();
    return kSuccess;
  });
}

CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  return call_in_context([&](Context&) {
    if (least) *least = 0;
    if (greatest) *greatest = kGreatestPriority;
    return kSuccess;
  });
}
