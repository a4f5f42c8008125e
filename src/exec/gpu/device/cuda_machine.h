// GPUs, in PTX (Parallel Thread Execution ISA; memory consistency model). nvcc only.
#pragma once

#include <bit>

#include "device/machine.h"
#include "device/op.h"

namespace tutti::device {

class CudaMachine {
 public:
  constexpr CudaMachine(Threads threads, std::uint32_t block, std::uint32_t blocks, std::byte* shared)
      : threads_(threads), block_(block), blocks_(blocks), shared_(shared) {}

  static constexpr float half_to_float(std::uint16_t half) {
    float value = 0;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
  }
  static constexpr std::uint16_t float_to_half(float value) {
    std::uint16_t half = 0;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
    return half;
  }

  static constexpr Word load(const std::byte* from) {
    const uint4 v = *reinterpret_cast<const uint4*>(from);
    return {v.x, v.y, v.z, v.w};
  }
  static constexpr void store(std::byte* to, Word word) {
    *reinterpret_cast<uint4*>(to) = {word.part[0], word.part[1], word.part[2], word.part[3]};
  }

  static constexpr std::uint64_t load_acquire(std::uint64_t* from) {
    std::uint64_t value = 0;
    asm volatile("ld.acquire.sys.u64 %0, [%1];" : "=l"(value) : "l"(from) : "memory");
    return value;
  }
  static constexpr void store_release(std::uint64_t* to, std::uint64_t value) {
    asm volatile("st.release.sys.u64 [%0], %1;" ::"l"(to), "l"(value) : "memory");
  }
  static constexpr std::uint32_t load_flag(const std::uint32_t* from) {
    std::uint32_t value = 0;
    asm volatile("ld.acquire.sys.u32 %0, [%1];" : "=r"(value) : "l"(from) : "memory");
    return value;
  }
  static constexpr void store_flag(std::uint32_t* to, std::uint32_t value) {
    asm volatile("st.release.sys.u32 [%0], %1;" ::"l"(to), "r"(value) : "memory");
  }
  // A vector's elements are accesses of their own: each is whole.
  static constexpr Pair load_pair(std::byte* from) {
    Pair pair = {};
    asm volatile("ld.relaxed.sys.v2.u64 {%0, %1}, [%2];" : "=l"(pair.first), "=l"(pair.second) : "l"(from) : "memory");
    return pair;
  }
  static constexpr void store_pair(std::byte* to, std::uint64_t first, std::uint64_t second) {
    asm volatile("st.relaxed.sys.v2.u64 [%0], {%1, %2};" ::"l"(to), "l"(first), "l"(second) : "memory");
  }

  // The eight threads of a line store and load it in one instruction of their warp.
  static constexpr void store_line(std::byte* line, std::uint32_t part, Word word, std::uint64_t flag) {
    const auto numbers = std::bit_cast<Pair>(word);
    asm volatile("bar.warp.sync %0;" ::"r"(threads_of_line()) : "memory");
    store_pair(line + part * sizeof(Word), numbers.first, part == kFlagPart ? flag : numbers.second);
  }
  static constexpr bool load_line(std::byte* line, std::uint32_t part, std::uint64_t flag, Word& word) {
    const Pair numbers = load_pair(line + part * sizeof(Word));
    word = std::bit_cast<Word>(numbers);
    return !any_of_line(part == kFlagPart && numbers.second != flag);
  }

  template <class F>
  constexpr void each_thread(F&& f) {
    f(threads_);
  }
  template <class F>
  constexpr void one(F&& f) {
    if (threads_.index == 0) f();
  }
  constexpr bool barrier() {
    std::uint32_t stopped = 0;
    asm volatile("{ .reg .pred mine, all; setp.ne.u32 mine, %1, 0; bar.red.or.pred all, 0, mine; selp.u32 %0, 1, 0, all; }"
                 : "=r"(stopped)
                 : "r"(static_cast<std::uint32_t>(stopped_))
                 : "memory");
    return stopped == 0;
  }
  [[nodiscard]] constexpr std::uint32_t block() const { return block_; }
  [[nodiscard]] constexpr std::uint32_t blocks() const { return blocks_; }
  [[nodiscard]] constexpr std::byte* shared() const { return shared_; }

  // The host's word is far away.
  constexpr bool stop(Control& control, std::uint32_t peer) {
    if (++looks_ % kLooksAtOnce != 0) return false;
    std::uint32_t abort = 0;
    asm volatile("ld.relaxed.sys.u32 %0, [%1];" : "=r"(abort) : "l"(&control.abort) : "memory");
    if (abort == 0) return false;
    std::uint32_t stopped = 0;  // those that come later wait for what has stopped here
    asm volatile("ld.relaxed.sys.u32 %0, [%1];" : "=r"(stopped) : "l"(&control.stopped) : "memory");
    if (stopped == 0) asm volatile("st.relaxed.sys.u32 [%0], %1;" ::"l"(&control.stopped), "r"(peer + 1) : "memory");
    stopped_ = true;
    return true;
  }
  constexpr bool stop_line(Control& control, std::uint32_t peer) {
    if (!any_of_line(stop(control, peer))) return false;
    stopped_ = true;
    return true;
  }

 private:
  static constexpr std::uint32_t kFlagPart = 7;
  static constexpr std::uint32_t kLooksAtOnce = 4096;

  static constexpr std::uint32_t threads_of_line() {
    std::uint32_t lane = 0;
    asm("mov.u32 %0, %%laneid;" : "=r"(lane));
    return 0xffU << (lane & ~7U);
  }
  static constexpr bool any_of_line(bool mine) {
    std::uint32_t any = 0;
    asm volatile("{ .reg .pred p, q; setp.ne.u32 p, %1, 0; vote.sync.any.pred q, p, %2; selp.u32 %0, 1, 0, q; }"
                 : "=r"(any)
                 : "r"(static_cast<std::uint32_t>(mine)), "r"(threads_of_line())
                 : "memory");
    return any != 0;
  }

  Threads threads_;
  std::uint32_t block_, blocks_;
  std::byte* shared_;
  std::uint32_t looks_ = 0;
  bool stopped_ = false;
};

}  // namespace tutti::device
