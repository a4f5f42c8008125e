// A communicator's side of calls in the order of CUDA streams (enqueue.h).
//
// Calls of one communicator are made in the order in which they were given, whatever their streams. What no device can do the
// host does: the stream copies a piece of the input to pinned memory, asks a thread of the communicator for the piece, waits for
// a word of memory that the thread sets, and copies the result back. Nothing spins on the device, and all of it can be captured
// into a graph: the word is set back by the stream itself.
//
// The same thread looks out, while calls are under way, for ranks that died, aborted or are in another call, and sees to it that
// no stream waits for them for ever.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "gpu/call_order.h"
#include "runtime/device_calls.h"
#include "runtime/host_round.h"

namespace tutti {

// Used by one thread at a time, but for what says so.
class StreamOrder {
 public:
  // In the current context, whose streams it follows. Code::resource where there is no thread or no pinned memory for it.
  static Result<std::unique_ptr<StreamOrder>> make(const gpu::Driver& driver, Runner& runner);
  StreamOrder(const StreamOrder&) = delete;
  StreamOrder& operator=(const StreamOrder&) = delete;
  ~StreamOrder();  // waits for all that was given

  [[nodiscard]] Runner& runner() noexcept { return runner_; }
  [[nodiscard]] Rank rank() const noexcept { return runner_.job().rank(); }
  [[nodiscard]] Rank ranks() const noexcept { return runner_.job().size(); }
  [[nodiscard]] gpu::ContextHandle context() const noexcept { return context_; }

  // Whether nothing that was given is left to do, captured graphs apart. From any thread.
  [[nodiscard]] bool idle() const noexcept;
  Status wait_until_idle() { return calls_.wait(); }
  // Why it can do no more, if it cannot. From any thread.
  [[nodiscard]] Status failure() const;
  // What stream waits for goes on. From any thread.
  void fail(const Error& error);
  // Of the device, that devices() holds. From any thread.
  [[nodiscard]] std::uint64_t device_bytes() const noexcept { return device_bytes_.load(); }
  // What the devices did last; empty where the last call was the host's.
  [[nodiscard]] const std::string& last_algorithm() const noexcept { return last_algorithm_; }
  [[nodiscard]] const std::string& last_way() const noexcept { return last_way_; }
  // For calls that bring none, or that of another communicator.
  Result<gpu::StreamHandle> own_stream();

  // Sees to it, with all other ranks, that the devices do what they can, unless that has been tried.
  Status meet();
  // nullptr: they do nothing, or nobody has asked yet.
  [[nodiscard]] DeviceCalls* devices() noexcept { return devices_.get(); }
  [[nodiscard]] const std::string& why_no_devices() const noexcept { return why_no_devices_; }

  [[nodiscard]] gpu::CallOrder& calls() noexcept { return calls_; }

  // Pinned memory for rounds of new calls.
  Result<std::byte*> staging(std::uint64_t bytes, std::size_t slot);
  // Has the stream ask for a round; and wait for it, before it asks for another.
  Status ask_for(HostRound round, gpu::StreamHandle stream);
  Status await_round(gpu::StreamHandle stream);
  // What the devices do. `captured`: into a graph.
  Status enqueue(const DeviceCalls::Ready& ready, const Signature& signature, std::span<const gpu::DeviceBuffers> buffers,
                 const gpu::Factor& factor, gpu::StreamHandle stream, bool captured);

 private:
  // Words of pinned memory that streams and the host change.
  enum class Word : std::size_t { host_done, begun, done };
  static constexpr std::size_t kWords = 3;

  StreamOrder(const gpu::Driver& driver, Runner& runner, gpu::ContextHandle context, gpu::PinnedMemory words,
              gpu::CallOrder calls);
  HostRound& keep(HostRound round);
  void ask(HostRound& round);
  std::uint32_t announce(const Signature& signature, bool captured);
  void loop();
  void run(HostRound& round);
  void look_out();
  Status answer();
  Status look_for_failures();
  void settle();
  Error too_late(const Signature& call);
  [[nodiscard]] std::atomic_ref<std::uint32_t> word(Word w) const noexcept;
  [[nodiscard]] gpu::Address address(Word w) const noexcept;

  const gpu::Driver& driver_;
  Runner& runner_;
  const gpu::ContextHandle context_;
  gpu::PinnedMemory words_;
  gpu::CallOrder calls_;
  gpu::StreamHandle own_stream_ = nullptr;
  // The last one of each slot is for new calls; those before may still be in use.
  std::array<std::deque<gpu::PinnedMemory>, kStagingSlots> staging_;
  std::atomic<std::size_t> unfinished_{0};  // by the host
  std::unique_ptr<DeviceCalls> devices_;    // set under the mutex: the thread looks for it there
  std::string why_no_devices_ = "the ranks' devices have not met";
  std::string last_algorithm_, last_way_;
  std::atomic<std::uint64_t> device_bytes_{0};
  bool met_ = false;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<HostRound> rounds_;  // that a stream may still ask for
  std::deque<HostRound*> asked_;
  std::deque<Signature> given_;  // the last calls of devices
  std::atomic<std::uint32_t> device_calls_{0};
  bool has_graphs_ = false, stopping_ = false;
  std::optional<Error> failure_;
  // The thread's own.
  OverlayWatch watch_;
  std::uint32_t done_before_ = 0;
  std::optional<TimePoint> since_;  // when the first call that is not done was seen
  std::thread thread_;
};

}  // namespace tutti
