// Calls in the order of CUDA streams. What a stream has been given before is done before such a call begins, and what it is given
// afterwards waits for it, while the thread that makes the call goes on at once.
//
// Here the host does them: the stream copies a piece of the input to pinned memory, asks a thread of the communicator for the
// piece, waits for a word of memory that the thread sets, and copies the result back. Nothing spins on the device, and all of it
// can be captured into a graph: the word is set back by the stream itself.
//
// Calls of one communicator are made in the order in which they were given, whatever their streams.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "gpu/memory.h"
#include "runtime/host_pieces.h"
#include "runtime/together.h"

namespace tutti {

// Pieces that are done side by side.
struct HostRound;

// A communicator's side of it. Used by one thread at a time, but for failure().
class StreamOrder {
 public:
  // In the current context, whose streams it follows. Code::resource where there is no thread or no pinned memory for it.
  static Result<std::unique_ptr<StreamOrder>> make(const gpu::Driver& driver, Runner& runner);
  StreamOrder(const StreamOrder&) = delete;
  StreamOrder& operator=(const StreamOrder&) = delete;
  ~StreamOrder();  // waits for all that was given

  struct StreamCall {
    StreamOrder* order;
    Call call;
    Request request;  // of the call
    gpu::StreamHandle stream;
  };
  // All side by side: each of their streams waits for all of them.
  static Status enqueue(std::span<const StreamCall> calls);

  // Whether the host has nothing left to do, captured graphs apart.
  [[nodiscard]] bool idle() const noexcept { return unfinished_.load(std::memory_order_acquire) == 0; }
  Status wait_until_idle();
  // Why it can do no more, if it cannot. From any thread.
  [[nodiscard]] Status failure() const;
  // For calls that bring none.
  Result<gpu::StreamHandle> own_stream();

 private:
  StreamOrder(const gpu::Driver& driver, Runner& runner, gpu::ContextHandle context, gpu::PinnedMemory word, gpu::Event last);
  friend struct HostRound;
  friend class Enqueuing;

  Status follow(gpu::StreamHandle stream);
  Status lead(gpu::StreamHandle stream);
  Result<std::byte*> staging(std::uint64_t bytes);
  HostRound& keep(HostRound round);
  void ask(HostRound& round);
  void loop();
  void run(HostRound& round);
  void fail(const Error& error);
  [[nodiscard]] std::atomic_ref<std::uint32_t> word() const noexcept {
    return std::atomic_ref(*reinterpret_cast<std::uint32_t*>(word_.data()));
  }

  const gpu::Driver& driver_;
  Runner& runner_;
  const gpu::ContextHandle context_;
  gpu::PinnedMemory word_;  // 1: what the stream waits for is done
  gpu::Event last_;         // after the last call
  std::optional<gpu::StreamHandle> last_stream_;
  gpu::StreamHandle own_stream_ = nullptr;
  std::deque<gpu::PinnedMemory> staging_;  // the last one is for new calls; those before may still be in use
  std::atomic<std::size_t> unfinished_{0};

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<HostRound> rounds_;  // that a stream may still ask for
  std::deque<HostRound*> asked_;
  bool stopping_ = false;
  std::optional<Error> failure_;
  std::thread thread_;
};

}  // namespace tutti
