#include "memory.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "capture.h"
#include "stream.h"

namespace standin {
namespace {

constexpr std::size_t kArenaBytes = std::size_t{256} << 30;
constexpr std::size_t kPageBytes = 4096;
// New memory holds no zeros, so that what nobody wrote is noticed; the start of it suffices.
constexpr std::size_t kPoisonedBytes = std::size_t{1} << 20;
constexpr int kPoison = 0xA5;

std::size_t pages(std::size_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes; }

}  // namespace

Memory& memory() {
  static auto* all = new Memory;
  return *all;
}

Memory::Memory() {
  void* arena = mmap(nullptr, kArenaBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (arena != MAP_FAILED) arena_ = address_of(arena);
}

// The lowest free address with so much space behind it, or 0.
std::uintptr_t Memory::gap(std::size_t bytes) const {
  std::uintptr_t at = arena_;
  for (auto i = live_.lower_bound(arena_); i != live_.end() && i->first < arena_ + kArenaBytes; ++i) {
    if (i->first - at >= pages(bytes)) break;
    at = i->first + pages(i->second.bytes);
  }
  return arena_ != 0 && pages(bytes) <= arena_ + kArenaBytes - at ? at : 0;
}

CUresult Memory::map(Allocation allocation, int flags, std::uintptr_t* base) {
  allocation.base = gap(allocation.bytes);
  if (allocation.base == 0) return kOutOfMemory;
  void* mapped =
      mmap(pointer_to(allocation.base), pages(allocation.bytes), PROT_READ | PROT_WRITE, flags | MAP_FIXED, allocation.fd, 0);
  if (mapped == MAP_FAILED) return kOutOfMemory;
  allocation.id = next_id_++;
  live_[allocation.base] = allocation;
  *base = allocation.base;
  return kSuccess;
}

CUresult Memory::allocate(Context& context, Kind kind, std::size_t bytes, std::uintptr_t* base) {
  const std::size_t limit = settings().memory_bytes;
  std::unique_lock lock(mutex_);
  Allocation made{.bytes = bytes, .kind = kind, .device = context.device, .context = &context};
  if (made.on_device() && (bytes > limit || used_locked(context.device) > limit - bytes)) return kOutOfMemory;
  if (kind != Kind::device) return map(made, MAP_PRIVATE | MAP_ANONYMOUS, base);
  made.fd = memfd_create("standin", MFD_CLOEXEC);
  if (made.fd < 0) return kOperatingSystem;
  struct stat about {};
  CUresult result =
      ftruncate(made.fd, static_cast<off_t>(pages(bytes))) == 0 && fstat(made.fd, &about) == 0 ? kSuccess : kOutOfMemory;
  made.inode = about.st_ino;
  if (!result) result = map(made, MAP_SHARED, base);
  if (result)
    close(made.fd);
  else
    std::memset(pointer_to(*base), kPoison, std::min(bytes, kPoisonedBytes));
  return result;
}

CUresult Memory::adopt(Context& context, std::uintptr_t base, std::size_t bytes) {
  std::unique_lock lock(mutex_);
  auto after = live_.lower_bound(base + bytes);
  if (after != live_.begin() && std::prev(after)->second.end() > base) return kHostMemoryAlreadyRegistered;
  live_[base] = {
      .base = base, .bytes = bytes, .kind = Kind::registered, .device = context.device, .context = &context, .id = next_id_++};
  return kSuccess;
}

CUresult Memory::open(Context& context, int fd, ino_t inode, int device, std::size_t bytes, std::uintptr_t* base) {
  std::unique_lock lock(mutex_);
  for (auto& [at, known] : live_) {
    if (known.kind != Kind::opened || known.inode != inode) continue;
    ++known.times_open;
    *base = at;
    return kSuccess;
  }
  const Allocation made{
      .bytes = bytes, .kind = Kind::opened, .device = device, .context = &context, .fd = fd, .inode = inode, .times_open = 1};
  return map(made, MAP_SHARED, base) ? kMapFailed : kSuccess;
}

bool Memory::release(std::uintptr_t base, Kind kind) {
  std::unique_lock lock(mutex_);
  const auto found = live_.find(base);
  if (found == live_.end() || found->second.kind != kind) return false;
  if (--found->second.times_open <= 0) unmap(found);
  return true;
}

void Memory::release_all(const Context& context) {
  std::unique_lock lock(mutex_);
  for (auto i = live_.begin(); i != live_.end();) {
    const auto at = i++;
    if (at->second.context == &context) unmap(at);
  }
}

void Memory::unmap(Map::iterator at) {
  const Allocation& gone = at->second;
  if (gone.kind != Kind::registered)
    static_cast<void>(mmap(pointer_to(gone.base), pages(gone.bytes), PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0));
  if (gone.kind == Kind::device) close(gone.fd);
  live_.erase(at);
}

std::optional<Allocation> Memory::find(std::uintptr_t address) const {
  std::shared_lock lock(mutex_);
  const auto after = live_.upper_bound(address);
  if (after == live_.begin() || std::prev(after)->second.end() <= address) return std::nullopt;
  return std::prev(after)->second;
}

bool Memory::stale(std::uintptr_t address) const { return address >= arena_ && address < arena_ + kArenaBytes && !find(address); }

std::size_t Memory::used(int device) const {
  std::shared_lock lock(mutex_);
  return used_locked(device);
}

std::size_t Memory::used_locked(int device) const {
  std::size_t sum = 0;
  for (const auto& [base, allocation] : live_)
    if (allocation.device == device && (allocation.kind == Kind::device || allocation.kind == Kind::managed))
      sum += allocation.bytes;
  return sum;
}

Verdict check(const std::vector<Range>& ranges, Context& context) {
  Verdict verdict;
  for (const Range& range : ranges) {
    const auto known = memory().find(range.address);
    if (range.address == 0 || memory().stale(range.address)) return {.error = kInvalidValue};
    if (!known && range.by_device_only) return {.error = kInvalidValue};
    if (!known) continue;
    const bool far = known->kind == Kind::device && known->context != &context;
    if (range.by_device_only && far && !context.reaches(known->device)) return {.error = kInvalidValue};
    if (range.bytes > known->end() - range.address) verdict.faults = true;
  }
  return verdict;
}

}  // namespace standin

using namespace standin;

namespace {

CUresult allocate(Kind kind, void* result, std::size_t bytes, bool flags_are_valid, const char* name) {
  return call_in_context(
      [&](Context& context) {
        if (!result || bytes == 0 || !flags_are_valid) return kInvalidValue;
        if (const CUresult error = refuse_in_capture()) return error;
        std::uintptr_t base = 0;
        const CUresult error = memory().allocate(context, kind, bytes, &base);
        if (!error) std::memcpy(result, &base, sizeof base);
        return error;
      },
      name);
}

// Freeing waits for everything that the device does, so it hangs where the real driver hangs.
CUresult release(std::uintptr_t address, std::initializer_list<Kind> kinds, CUresult otherwise, const char* name) {
  return call_in_context(
      [&](Context& context) {
        if (address == 0) return name == std::string_view("cuMemFree_v2") ? kSuccess : kInvalidValue;
        const auto known = memory().find(address);
        if (!known || known->base != address || std::count(kinds.begin(), kinds.end(), known->kind) == 0) return otherwise;
        if (const CUresult error = refuse_in_capture()) return error;
        synchronize(*known->context);
        if (known->context != &context) synchronize(context);
        if (const CUresult error = context.error()) return error;
        return memory().release(address, known->kind) ? kSuccess : otherwise;
      },
      name);
}

// One attribute of an allocation, written as the type that the real driver writes.
CUresult attribute(const Allocation& of, CUpointer_attribute which, std::uintptr_t address, void* value) {
  const auto put = [value](auto x) {
    std::memcpy(value, &x, sizeof x);
    return kSuccess;
  };
  switch (which) {
    case kAttributeContext:
      return put(address_of(of.context));
    case kAttributeMemoryType:
      return put(of.on_device() ? kMemoryDevice : kMemoryHost);
    case kAttributeDevicePointer:
      return put(address);
    case kAttributeHostPointer:
      return of.kind == Kind::device || of.kind == Kind::opened ? kInvalidValue : put(address);
    case kAttributeBufferId:
      return put(of.id);
    case kAttributeIsManaged:
      return put(static_cast<unsigned>(of.kind == Kind::managed));
    case kAttributeDeviceOrdinal:
      return put(of.device);
    case kAttributeIsIpcCapable:
      return put(static_cast<unsigned>(of.kind == Kind::device));
    case kAttributeRangeStart:
      return put(of.base);
    case kAttributeRangeSize:
      return put(of.bytes);
    case kAttributeMapped:
      return put(1U);
  }
  return kNotSupported;
}

}  // namespace

CUresult cuMemGetInfo_v2(std::size_t* free_bytes, std::size_t* total_bytes) {
  return call_in_context([&](Context& context) {
    if (!free_bytes || !total_bytes) return kInvalidValue;
    *total_bytes = settings().memory_bytes;
    *free_bytes = *total_bytes - memory().used(context.device);
    return kSuccess;
  });
}

CUresult cuMemAlloc_v2(CUdeviceptr* address, std::size_t bytes) { return allocate(Kind::device, address, bytes, true, __func__); }

CUresult cuMemAllocManaged(CUdeviceptr* address, std::size_t bytes, unsigned flags) {
  constexpr unsigned kGlobal = 1, kHost = 2;
  return allocate(Kind::managed, address, bytes, flags == kGlobal || flags == kHost, __func__);
}

CUresult cuMemHostAlloc(void** address, std::size_t bytes, unsigned flags) {
  constexpr unsigned kAllFlags = 7;
  return allocate(Kind::pinned, address, bytes, flags <= kAllFlags, __func__);
}

CUresult cuMemFree_v2(CUdeviceptr address) { return release(address, {Kind::device, Kind::managed}, kInvalidValue, __func__); }

CUresult cuMemFreeHost(void* address) { return release(address_of(address), {Kind::pinned}, kInvalidValue, __func__); }

CUresult cuIpcCloseMemHandle(CUdeviceptr address) { return release(address, {Kind::opened}, kInvalidValue, __func__); }

CUresult cuMemHostUnregister(void* address) {
  return release(address_of(address), {Kind::registered}, kHostMemoryNotRegistered, __func__);
}

CUresult cuMemHostRegister_v2(void* address, std::size_t bytes, unsigned flags) {
  return call_in_context([&](Context& context) {
    constexpr unsigned kAllFlags = 15;
    if (!address || bytes == 0 || flags > kAllFlags) return kInvalidValue;
    if (const CUresult error = refuse_in_capture()) return error;
    return memory().adopt(context, address_of(address), bytes);
  });
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* device, void* host, unsigned flags) {
  return call_in_context([&](Context&) {
    const auto known = memory().find(address_of(host));
    if (!device || flags != 0 || !known || (known->kind != Kind::pinned && known->kind != Kind::registered)) return kInvalidValue;
    *device = address_of(host);
    return kSuccess;
  });
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, std::size_t* bytes, CUdeviceptr address) {
  return call_in_context([&](Context&) {
    const auto known = memory().find(address);
    if (!known) return kNotFound;
    if (base) *base = known->base;
    if (bytes) *bytes = known->bytes;
    return kSuccess;
  });
}

// Addresses mean the same in all contexts, so none has to be current.
CUresult cuPointerGetAttribute(void* value, CUpointer_attribute which, CUdeviceptr address) {
  return call([&] {
    const auto known = memory().find(address);
    return value && known ? attribute(*known, which, address, value) : kInvalidValue;
  });
}

// Unlike the function for one attribute this one knows every address: what is not the driver's has zeros.
CUresult cuPointerGetAttributes(unsigned count, CUpointer_attribute* attributes, void** values, CUdeviceptr address) {
  return call([&] {
    if (!attributes || !values || count == 0) return kInvalidValue;
    const auto known = memory().find(address);
    for (unsigned i = 0; i < count; ++i) {
      const bool wide = attributes[i] == kAttributeContext || attributes[i] == kAttributeDevicePointer ||
                        attributes[i] == kAttributeHostPointer || attributes[i] == kAttributeBufferId ||
                        attributes[i] == kAttributeRangeStart || attributes[i] == kAttributeRangeSize;
      std::memset(values[i], 0, wide ? 8 : 4);
      if (!known && attributes[i] == kAttributeDeviceOrdinal) std::memset(values[i], 0xFF, 4);
      if (known) attribute(*known, attributes[i], address, values[i]);
    }
    return kSuccess;
  });
}
