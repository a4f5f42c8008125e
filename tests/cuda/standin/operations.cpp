// The operations of a stream that are no kernels: copies, fills, values written and waited for, functions of the host.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>

#include "capture.h"
#include "stream.h"

using namespace standin;

namespace {

std::atomic<unsigned long long> copied_bytes{0};

bool pageable(std::uintptr_t address) { return !memory().find(address); }
bool is_captured(Stream& stream) {
  std::lock_guard lock(stream.mutex);
  return stream.captured.capture != nullptr;
}

Work copy_work(std::uintptr_t to, std::uintptr_t from, std::size_t bytes) {
  return {[=](Context&) {
            std::memmove(pointer_to(to), pointer_to(from), bytes);
            copied_bytes += bytes;
            return kSuccess;
          },
          {{to, bytes, false}, {from, bytes, false}}};
}

// Pageable memory is read before the call returns and written before it returns, as CUDA's documentation has it.
CUresult copy(Stream& stream, std::uintptr_t to, std::uintptr_t from, std::size_t bytes) {
  if (bytes == 0) return kSuccess;
  Work work = copy_work(to, from, bytes);
  if (is_captured(stream)) return submit(stream, work);
  const bool from_pageable = from != 0 && pageable(from) && !memory().stale(from);
  if (from_pageable && !pageable(to)) {
    const auto* source = pointer_to<const std::byte>(from);
    work.run = [to, staged = std::make_shared<std::vector<std::byte>>(source, source + bytes)](Context&) {
      std::memcpy(pointer_to(to), staged->data(), staged->size());
      return kSuccess;
    };
  }
  const Op* op = nullptr;
  const CUresult error = submit(stream, work, &op);
  if (error || !pageable(to)) return error;
  op->done.wait();
  return stream.context().error();
}

CUresult copy_async(std::uintptr_t to, std::uintptr_t from, std::size_t bytes, CUstream handle, const char* name) {
  return call_on_stream(
      handle, [&](Stream& stream) { return copy(stream, to, from, bytes); }, name);
}

// Ordered like the legacy stream's work; the host waits unless both sides are on a device.
CUresult copy_now(std::uintptr_t to, std::uintptr_t from, std::size_t bytes, const char* name) {
  return call_on_stream(
      kStreamLegacy,
      [&](Stream& stream) -> CUresult {
        if (bytes == 0) return kSuccess;
        if (const CUresult error = refuse_in_capture()) return error;
        const auto target = memory().find(to), source = memory().find(from);
        const Op* op = nullptr;
        if (const CUresult error = submit(stream, copy_work(to, from, bytes), &op)) return error;
        if (target && source && target->on_device() && source->on_device()) return kSuccess;
        op->done.wait();
        return stream.context().error();
      },
      name);
}

template <class T>
CUresult fill(std::uintptr_t to, T value, std::size_t count, CUstream handle, const char* name) {
  return call_on_stream(
      handle,
      [&](Stream& stream) {
        if (to % sizeof(T) != 0) return kInvalidValue;
        if (count == 0) return kSuccess;
        return submit(stream, {[=](Context&) {
                                 std::fill_n(pointer_to<T>(to), count, value);
                                 return kSuccess;
                               },
                               {{to, count * sizeof(T), true}}});
      },
      name);
}

template <class T>
bool holds(T found, T value, unsigned condition) {
  using Signed = std::make_signed_t<T>;
  switch (condition) {
    case kWaitGeq:
      return static_cast<Signed>(found - value) >= 0;
    case kWaitEq:
      return found == value;
    case kWaitAnd:
      return (found & value) != 0;
    default:
      return static_cast<T>(~(found | value)) != 0;
  }
}

// For who looks for a deadlock: which word, what is wanted and what is there.
template <class T>
CUresult give_up(std::uintptr_t address, T found, T value, unsigned condition) {
  constexpr std::array kConditions{">=", "==", "&", "nor"};
  std::fprintf(stderr, "stand-in for libcuda: a stream waits for the %zu-byte word at 0x%zx to be %s 0x%llx, it is 0x%llx\n",
               sizeof(T), static_cast<std::size_t>(address), kConditions[condition], static_cast<unsigned long long>(value),
               static_cast<unsigned long long>(found));
  return kLaunchTimeout;
}

template <class T>
CUresult wait_for(std::uintptr_t address, T value, unsigned condition, const Context& context) {
  using namespace std::chrono_literals;
  constexpr int kYields = 64;
  const std::atomic_ref<T> word(*pointer_to<T>(address));
  const std::chrono::seconds patience(settings().timeout_s);
  const auto begun = Clock::now();
  for (int tries = 0;; ++tries) {
    const T found = word.load(std::memory_order_acquire);
    if (holds(found, value, condition) || context.error()) {
      memory().see();
      return kSuccess;
    }
    if (patience > 0s && Clock::now() - begun > patience) return give_up(address, found, value, condition);
    if (tries < kYields)
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(50us);
  }
}

template <class T>
void write(std::uintptr_t address, T value) {
  std::atomic_ref<T>(*pointer_to<T>(address)).store(value, std::memory_order_release);
}

bool is_wait(unsigned operation) { return operation == kOpWait32 || operation == kOpWait64; }
bool is_write(unsigned operation) { return operation == kOpWrite32 || operation == kOpWrite64; }
std::size_t width(unsigned operation) { return operation == kOpWait64 || operation == kOpWrite64 ? 8 : 4; }

// The second version of these functions, which is all there is since CUDA 12, has no writes without a barrier.
bool valid(const CUstreamBatchMemOpParams& op) {
  if (op.operation == kOpBarrier || op.operation == kOpFlushRemoteWrites) return true;
  if (op.address % width(op.operation) != 0) return false;
  return is_wait(op.operation) ? (op.flags & ~kWaitFlush) <= kWaitNor : is_write(op.operation) && op.flags == 0;
}

CUresult perform(const CUstreamBatchMemOpParams& op, const Context& context) {
  switch (op.operation) {
    case kOpWait32:
      return wait_for(op.address, static_cast<std::uint32_t>(op.value), op.flags & ~kWaitFlush, context);
    case kOpWait64:
      return wait_for(op.address, op.value, op.flags & ~kWaitFlush, context);
    case kOpWrite32:
      write(op.address, static_cast<std::uint32_t>(op.value));
      break;
    case kOpWrite64:
      write(op.address, op.value);
      break;
    default:
      break;
  }
  return kSuccess;
}

CUresult batch(CUstream handle, std::vector<CUstreamBatchMemOpParams> ops, const char* name) {
  return call_on_stream(
      handle,
      [&](Stream& stream) {
        if (ops.empty() || !std::all_of(ops.begin(), ops.end(), valid)) return kInvalidValue;
        Work work;
        for (const auto& op : ops)
          if (is_wait(op.operation) || is_write(op.operation)) work.ranges.push_back({op.address, width(op.operation), true});
        work.run = [ops](const Context& context) {
          for (const auto& op : ops)
            if (const CUresult error = context.error() ? context.error() : perform(op, context)) return error;
          return kSuccess;
        };
        return submit(stream, work);
      },
      name);
}

CUresult one(CUstream stream, unsigned operation, CUdeviceptr address, std::uint64_t value, unsigned flags, const char* name) {
  return batch(stream, {{.operation = operation, .address = address, .value = value, .flags = flags, .alias = 0, .padding = 0}},
               name);
}

Work host_work(std::function<void()> function) {
  return {[function = std::move(function)](Context&) {
    inside_host_function() = true;
    function();
    inside_host_function() = false;
    return kSuccess;
  }};
}

}  // namespace

CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) { return copy_now(to, from, bytes, __func__); }
CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, std::size_t bytes) {
  return copy_now(address_of(to), from, bytes, __func__);
}
CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, std::size_t bytes) {
  return copy_now(to, address_of(from), bytes, __func__);
}
CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) { return copy_now(to, from, bytes, __func__); }

CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return copy_async(to, from, bytes, stream, __func__);
}
CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return copy_async(address_of(to), from, bytes, stream, __func__);
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream) {
  return copy_async(to, address_of(from), bytes, stream, __func__);
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return copy_async(to, from, bytes, stream, __func__);
}

// These do not wait for the device either.
CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, std::size_t count) {
  return fill(to, value, count, kStreamLegacy, __func__);
}
CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, std::size_t count) {
  return fill(to, value, count, kStreamLegacy, __func__);
}
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, std::size_t count, CUstream stream) {
  return fill(to, value, count, stream, __func__);
}
CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, std::size_t count, CUstream stream) {
  return fill(to, value, count, stream, __func__);
}

CUresult cuStreamWaitValue32_v2(CUstream stream, CUdeviceptr address, std::uint32_t value, unsigned flags) {
  return one(stream, kOpWait32, address, value, flags, __func__);
}
CUresult cuStreamWriteValue32_v2(CUstream stream, CUdeviceptr address, std::uint32_t value, unsigned flags) {
  return one(stream, kOpWrite32, address, value, flags, __func__);
}
CUresult cuStreamWaitValue64_v2(CUstream stream, CUdeviceptr address, std::uint64_t value, unsigned flags) {
  return one(stream, kOpWait64, address, value, flags, __func__);
}
CUresult cuStreamWriteValue64_v2(CUstream stream, CUdeviceptr address, std::uint64_t value, unsigned flags) {
  return one(stream, kOpWrite64, address, value, flags, __func__);
}

CUresult cuStreamBatchMemOp_v2(CUstream stream, unsigned count, CUstreamBatchMemOpParams* operations, unsigned flags) {
  constexpr unsigned kMost = 256;
  std::vector<CUstreamBatchMemOpParams> ops;  // none is an error
  if (operations && flags == 0 && count <= kMost) ops.assign(operations, operations + count);
  return batch(stream, std::move(ops), __func__);
}

CUresult cuLaunchHostFunc(CUstream handle, CUhostFn function, void* argument) {
  return call_on_stream(handle, [&](Stream& stream) {
    if (!function) return kInvalidValue;
    return submit(stream, host_work([=] { function(argument); }));
  });
}

CUresult cuStreamAddCallback(CUstream handle, CUstreamCallback function, void* argument, unsigned flags) {
  return call_on_stream(handle, [&](Stream& stream) -> CUresult {
    if (!function || flags != 0) return kInvalidValue;
    if (is_captured(stream)) return refuse_while_captured(stream);
    return submit(stream, host_work([=] { function(handle, kSuccess, argument); }));
  });
}

unsigned long long standinCopiedBytes() { return copied_bytes; }
