#include "gpu/memory.h"

#include <fmt/format.h>

namespace tutti::gpu {

Location locate(const Driver& d, const void* memory) {
  MemoryType type{};
  if (memory == nullptr || d.pointer_attribute(&type, PointerAttribute::memory_type, address(memory)) != 0) return {};
  unsigned managed = 0;
  (void)d.pointer_attribute(&managed, PointerAttribute::is_managed, address(memory));
  if (managed == 0 && type == MemoryType::host) return {.kind = MemoryKind::pinned_host};
  Location found{.kind = MemoryKind::cuda_device, .managed = managed != 0};
  (void)d.pointer_attribute(&found.device, PointerAttribute::device, address(memory));
  return found;
}

Result<ContextHandle> context_of_this_thread(const Driver& d) {
  ContextHandle context = nullptr;
  if (auto s = check(d, d.current_context(&context), "cuCtxGetCurrent"); !s) return std::move(s.error());
  if (context == nullptr)
    if (auto s = check(d, d.retain_context(&context, 0), "cuDevicePrimaryCtxRetain"); !s) return std::move(s.error());
  return context;
}

Result<ContextHandle> context_of(const Driver& d, StreamHandle stream) {
  // The legacy stream and the thread's own: numbers, of no context in particular.
  if (reinterpret_cast<std::uintptr_t>(stream) <= 2) return context_of_this_thread(d);
  ContextHandle context = nullptr;
  if (auto s = check(d, d.stream_context(stream, &context), fmt::format("cuStreamGetCtx of stream {}", stream)); !s)
    return std::move(s.error());
  return context;
}

Result<ContextHandle> context_of_memory(const Driver& d, const void* memory) {
  ContextHandle context = nullptr;
  if (d.pointer_attribute(&context, PointerAttribute::context, address(memory)) == 0 && context != nullptr) return context;
  return context_of_this_thread(d);
}

Result<bool> is_capturing(const Driver& d, StreamHandle stream) {
  CaptureStatus status = CaptureStatus::none;
  if (auto s = check(d, d.is_capturing(stream, &status), "cuStreamIsCapturing"); !s) return std::move(s.error());
  return status == CaptureStatus::active;
}

Result<Event> Event::make(const Driver& d) {
  EventHandle handle = nullptr;
  if (auto s = check(d, d.make_event(&handle, kDisableTiming), "cuEventCreate"); !s) return std::move(s.error());
  return Event(d, handle);
}

Result<PinnedMemory> PinnedMemory::make(const Driver& d, std::size_t bytes) {
  void* data = nullptr;
  if (auto s = check(d, d.allocate_host(&data, bytes, kHostPortable | kHostMapped),
                     fmt::format("{} bytes of pinned memory (cuMemHostAlloc)", bytes));
      !s)
    return std::move(s.error());
  Address on_device = 0;
  if (auto s = check(d, d.host_device_pointer(&on_device, data, 0), "cuMemHostGetDevicePointer"); !s) {
    (void)d.free_host(data);
    return std::move(s.error());
  }
  return PinnedMemory(d, data, bytes, on_device);
}

}  // namespace tutti::gpu
