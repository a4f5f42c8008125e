// Which memory the driver knows. What it allocates lies in one range of addresses that is reserved for it, so that a stale
// address is recognised; as with the real driver, an address that was freed is soon given out again.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <shared_mutex>
#include <vector>

#include "context.h"

namespace standin {

enum class Kind { device, managed, pinned, registered, opened };

struct Allocation {
  std::uintptr_t base = 0;
  std::size_t bytes = 0;
  Kind kind = Kind::device;
  int device = 0;
  Context* context = nullptr;
  std::uint64_t id = 0;
  int fd = -1;         // device memory's memfd
  ino_t inode = 0;     // of that memfd, also of one opened from another process
  int times_open = 0;  // by cuIpcOpenMemHandle

  std::uintptr_t end() const { return base + bytes; }
  bool on_device() const { return kind == Kind::device || kind == Kind::managed || kind == Kind::opened; }
};

// Bytes that an operation is going to touch.
struct Range {
  std::uintptr_t address;
  std::size_t bytes;
  bool by_device_only;  // reached by loads and stores of the device: host memory that the driver does not know is not
};

class Memory {
 public:
  Memory();
  CUresult allocate(Context& context, Kind kind, std::size_t bytes, std::uintptr_t* base);
  CUresult adopt(Context& context, std::uintptr_t base, std::size_t bytes);
  // Maps another process's memory, or finds it mapped already.
  CUresult open(Context& context, int fd, ino_t inode, int device, std::size_t bytes, std::uintptr_t* base);
  // Ends what `allocate`, `adopt` or `open` began at exactly this address; false where nothing of that kind begins there.
  bool release(std::uintptr_t base, Kind kind);
  void release_all(const Context& context);

  std::optional<Allocation> find(std::uintptr_t address) const;
  // True for addresses that were or will be given out and belong to nobody now.
  bool stale(std::uintptr_t address) const;
  std::size_t used(int device) const;

  // What was mapped before is seen by who goes on now: for ThreadSanitizer, which does not see that another process lies between.
  void see() const { const std::shared_lock lock(mutex_); }

 private:
  using Map = std::map<std::uintptr_t, Allocation>;
  std::uintptr_t gap(std::size_t bytes) const;
  CUresult map(Allocation allocation, int flags, std::uintptr_t* base);
  std::size_t used_locked(int device) const;
  void unmap(Map::iterator at);

  mutable std::shared_mutex mutex_;
  Map live_;
  std::uintptr_t arena_ = 0;
  std::uint64_t next_id_ = 1;
};
Memory& memory();

// What a check of an operation's ranges says: an error of the call itself, or a fault when the operation runs.
struct Verdict {
  CUresult error = kSuccess;
  bool faults = false;
};
Verdict check(const std::vector<Range>& ranges, Context& context);

template <class T>
std::uintptr_t address_of(T* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer);
}
template <class T = void>
T* pointer_to(std::uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

}  // namespace standin
