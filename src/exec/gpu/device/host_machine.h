// The host, one thread of it for each block: the stand-in for GPUs in tests. Flags have the same memory orders as on GPUs, so
// ThreadSanitizer checks that they suffice.
#pragma once

#include <atomic>
#include <bit>
#include <thread>

#include "device/arithmetic.h"
#include "device/machine.h"
#include "device/op.h"

namespace tutti::device {

class HostMachine {
 public:
  HostMachine(std::uint32_t threads, std::uint32_t block, std::uint32_t blocks, std::byte* shared)
      : threads_(threads), block_(block), blocks_(blocks), shared_(shared) {}

  static constexpr float half_to_float(std::uint16_t half) { return Half::decode(half); }
  static constexpr std::uint16_t float_to_half(float value) { return static_cast<std::uint16_t>(Half::encode(value)); }

  static Word load(const std::byte* from) { return *reinterpret_cast<const Word*>(from); }
  static void store(std::byte* to, Word word) { *reinterpret_cast<Word*>(to) = word; }

  static std::uint64_t load_acquire(std::uint64_t* from) { return std::atomic_ref(*from).load(std::memory_order_acquire); }
  static void store_release(std::uint64_t* to, std::uint64_t value) {
    std::atomic_ref(*to).store(value, std::memory_order_release);
  }
  static std::uint32_t load_flag(const std::uint32_t* from) {
    return std::atomic_ref(*const_cast<std::uint32_t*>(from)).load(std::memory_order_acquire);
  }
  static void store_flag(std::uint32_t* to, std::uint32_t value) { std::atomic_ref(*to).store(value, std::memory_order_release); }
  static Pair load_pair(std::byte* from) {
    return {numbers(from)[0].load(std::memory_order_relaxed), numbers(from)[1].load(std::memory_order_relaxed)};
  }
  static void store_pair(std::byte* to, std::uint64_t first, std::uint64_t second) {
    numbers(to)[0].store(first, std::memory_order_relaxed);
    numbers(to)[1].store(second, std::memory_order_relaxed);
  }

  // No store of the host's writes a whole line: the thread that has the flag comes last, and its flag is a release. (Plain loads
  // and stores: what GCC makes of memcpy is not seen by ThreadSanitizer.)
  static void store_line(std::byte* line, std::uint32_t part, Word word, std::uint64_t flag) {
    std::byte* to = line + part * sizeof(Word);
    if (part != kFlagPart) return store(to, word);
    *reinterpret_cast<std::uint64_t*>(to) = std::bit_cast<Pair>(word).first;
    numbers(to)[1].store(flag, std::memory_order_release);
  }
  static bool load_line(std::byte* line, std::uint32_t part, std::uint64_t flag, Word& word) {
    std::byte* from = line + part * sizeof(Word);
    if (numbers(line + kFlagPart * sizeof(Word))[1].load(std::memory_order_acquire) != flag) return false;
    word = part == kFlagPart ? std::bit_cast<Word>(Pair{*reinterpret_cast<std::uint64_t*>(from), 0}) : load(from);
    return true;
  }

  template <class F>
  void each_thread(F&& f) {
    for (std::uint32_t t = 0; t < threads_; ++t) f(Threads{t, threads_});
  }
  template <class F>
  void one(F&& f) {
    f();
  }
  [[nodiscard]] bool barrier() const { return !stopped_; }
  [[nodiscard]] std::uint32_t block() const { return block_; }
  [[nodiscard]] std::uint32_t blocks() const { return blocks_; }
  [[nodiscard]] std::byte* shared() const { return shared_; }

  bool stop(Control& control, std::uint32_t peer) {
    std::this_thread::yield();
    if (std::atomic_ref(control.abort).load(std::memory_order_relaxed) == 0) return false;
    std::uint32_t nobody = 0;
    std::atomic_ref(control.stopped).compare_exchange_strong(nobody, peer + 1, std::memory_order_relaxed);
    stopped_ = true;
    return true;
  }
  bool stop_line(Control& control, std::uint32_t peer) { return stop(control, peer); }

 private:
  static constexpr std::uint32_t kFlagPart = 7;

  struct Numbers {
    std::uint64_t* at;
    std::atomic_ref<std::uint64_t> operator[](std::size_t i) const { return std::atomic_ref(at[i]); }
  };
  static Numbers numbers(std::byte* at) { return {reinterpret_cast<std::uint64_t*>(at)}; }

  std::uint32_t threads_, block_, blocks_;
  std::byte* shared_;
  bool stopped_ = false;
};

}  // namespace tutti::device
