// NVIDIA's driver as a table of the functions that are used: filled from libcuda.so.1 at run time, or by a test. Nothing is
// linked and no header of NVIDIA's is needed, so one binary runs on every machine.
// Source: CUDA Driver API Reference (functions, values of attributes and flags).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "tutti/result.h"

namespace tutti::gpu {

using Address = std::uint64_t;  // of memory on a device, or of host memory that the device sees
using ContextHandle = void*;
using StreamHandle = void*;
using EventHandle = void*;
using ModuleHandle = void*;
using KernelHandle = void*;
using GraphHandle = void*;
using ReadyGraphHandle = void*;  // that can be launched

struct IpcMemory {
  std::byte bytes[64];
};
struct DeviceUuid {
  std::byte bytes[16];
};

// Return values that are told apart; 0 is success.
inline constexpr int kOutOfMemory = 2, kNoDevice = 100, kNotReady = 600, kPeerAccessAlreadyEnabled = 704;

enum class PointerAttribute : int { context = 1, memory_type = 2, buffer_id = 7, is_managed = 8, device = 9 };
enum class MemoryType : unsigned { host = 1, device = 2 };
enum class DeviceAttribute : int {
  multiprocessors = 16,
  can_flush_remote_writes = 98,
};
inline constexpr unsigned kHostPortable = 1, kHostMapped = 2;                              // of host memory
inline constexpr unsigned kNonBlocking = 1, kDisableTiming = 2;                            // of streams; of events
inline constexpr unsigned kLazyPeerAccess = 1;                                             // of mapped memory
inline constexpr unsigned kWaitGreaterOrEqual = 0, kWaitEqual = 1, kWaitFlush = 1U << 30;  // of waits for values
// Of cuStreamBatchMemOp.
struct MemoryOperation {
  enum class Kind : unsigned { wait = 1, write = 2 } kind = Kind::wait;  // of 32 bits
  Address word = 0;
  std::uint64_t value = 0;
  unsigned flags = 0;
  Address alias = 0;
  std::uint64_t unused = 0;
};
inline constexpr unsigned kMostMemoryOperations = 256;  // in one call
enum class CaptureStatus : int { none = 0, active = 1, invalidated = 2 };
enum class CaptureMode : int { global = 0, thread_local_ = 1, relaxed = 2 };

struct Driver {
  int (*init)(unsigned flags) = nullptr;
  int (*version)(int* version) = nullptr;
  int (*error_name)(int result, const char** name) = nullptr;
  int (*error_string)(int result, const char** text) = nullptr;

  int (*device_count)(int* count) = nullptr;
  int (*device_attribute)(int* value, DeviceAttribute attribute, int device) = nullptr;
  int (*device_name)(char* name, int length, int device) = nullptr;
  int (*device_pci)(char* bus_id, int length, int device) = nullptr;
  int (*device_uuid)(DeviceUuid* uuid, int device) = nullptr;
  int (*device_memory)(std::size_t* bytes, int device) = nullptr;
  int (*can_access_peer)(int* can, int device, int peer) = nullptr;

  int (*retain_context)(ContextHandle* context, int device) = nullptr;  // the device's primary one
  int (*release_context)(int device) = nullptr;
  int (*current_context)(ContextHandle* context) = nullptr;
  int (*push_context)(ContextHandle context) = nullptr;
  int (*pop_context)(ContextHandle* context) = nullptr;
  int (*context_device)(int* device) = nullptr;  // of the current one
  int (*enable_peer_access)(ContextHandle peer, unsigned flags) = nullptr;

  int (*pointer_attribute)(void* value, PointerAttribute attribute, Address pointer) = nullptr;
  int (*address_range)(Address* base, std::size_t* size, Address pointer) = nullptr;
  int (*memory_left)(std::size_t* left, std::size_t* all) = nullptr;  // of the current context's device
  int (*allocate)(Address* memory, std::size_t size) = nullptr;
  int (*free)(Address memory) = nullptr;
  int (*allocate_host)(void** memory, std::size_t size, unsigned flags) = nullptr;
  int (*free_host)(void* memory) = nullptr;
  int (*host_device_pointer)(Address* device, void* host, unsigned flags) = nullptr;

  int (*ipc_handle)(IpcMemory* handle, Address memory) = nullptr;
  int (*ipc_open)(Address* memory, IpcMemory handle, unsigned flags) = nullptr;
  int (*ipc_close)(Address memory) = nullptr;

  int (*copy)(Address to, Address from, std::size_t bytes, StreamHandle stream) = nullptr;
  int (*set_words)(Address to, unsigned value, std::size_t words, StreamHandle stream) = nullptr;

  int (*make_stream)(StreamHandle* stream, unsigned flags) = nullptr;
  int (*destroy_stream)(StreamHandle stream) = nullptr;
  int (*synchronize)(StreamHandle stream) = nullptr;
  int (*query_stream)(StreamHandle stream) = nullptr;
  int (*stream_context)(StreamHandle stream, ContextHandle* context) = nullptr;
  int (*wait_event)(StreamHandle stream, EventHandle event, unsigned flags) = nullptr;
  int (*wait_value)(StreamHandle stream, Address word, std::uint32_t value, unsigned flags) = nullptr;
  int (*write_value)(StreamHandle stream, Address word, std::uint32_t value, unsigned flags) = nullptr;
  int (*memory_operations)(StreamHandle stream, unsigned count, MemoryOperation* operations, unsigned flags) = nullptr;
  int (*call_host)(StreamHandle stream, void (*function)(void* data), void* data) = nullptr;
  int (*is_capturing)(StreamHandle stream, CaptureStatus* status) = nullptr;
  int (*exchange_capture_mode)(CaptureMode* mode) = nullptr;
  int (*begin_capture)(StreamHandle stream, CaptureMode mode) = nullptr;
  int (*end_capture)(StreamHandle stream, GraphHandle* graph) = nullptr;
  int (*destroy_graph)(GraphHandle graph) = nullptr;
  int (*instantiate)(ReadyGraphHandle* ready, GraphHandle graph, unsigned long long flags) = nullptr;
  int (*launch_graph)(ReadyGraphHandle ready, StreamHandle stream) = nullptr;
  int (*destroy_ready)(ReadyGraphHandle ready) = nullptr;

  int (*make_event)(EventHandle* event, unsigned flags) = nullptr;
  int (*destroy_event)(EventHandle event) = nullptr;
  int (*record)(EventHandle event, StreamHandle stream) = nullptr;
  int (*synchronize_event)(EventHandle event) = nullptr;
  int (*query_event)(EventHandle event) = nullptr;

  int (*load_module)(ModuleHandle* module, const void* image) = nullptr;
  int (*unload_module)(ModuleHandle module) = nullptr;
  int (*kernel)(KernelHandle* kernel, ModuleHandle module, const char* name) = nullptr;
  int (*launch)(KernelHandle kernel, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                unsigned block_z, unsigned shared_bytes, StreamHandle stream, void** arguments, void** extra) = nullptr;
};

// Code::environment, with the reason, where there is none.
[[nodiscard]] Result<Driver> load_driver();

// The driver of this process, once there is a device to be had; looked for at the first call and never again. nullptr: all
// memory is the host's. Thread safe.
[[nodiscard]] const Driver* driver();
// Why there is none.
[[nodiscard]] const Error& why_no_driver();

// As many as there are, in order.
[[nodiscard]] Status submit(const Driver& driver, StreamHandle stream, std::span<MemoryOperation> operations);
[[nodiscard]] Result<std::string> device_name(const Driver& driver, int device);

// {} for 0; else "what: cuMemAlloc's sentence (CUDA_ERROR_...)", Code::resource where memory was short.
[[nodiscard]] Status check(const Driver& driver, int result, std::string_view what);

}  // namespace tutti::gpu
