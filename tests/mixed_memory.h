// Buffers for tests: most lie in memory that peers can map, some do not.
#pragma once

#include <cstdlib>
#include <new>
#include <vector>

#include "tutti/memory.h"

namespace tutti {

struct MixedMemory {
  static inline thread_local bool mapped = true;  // false: none of them
  // Memory of another kind instead.
  struct Other {
    void* (*allocate)(std::size_t bytes);
    bool (*deallocate)(void* memory);  // whether it is of that kind
  };
  static inline thread_local const Other* other = nullptr;
  static inline thread_local unsigned allocated = 0;

  static void* allocate(std::size_t bytes) {
    if (other != nullptr) return other->allocate(bytes);
    if (mapped && ++allocated % 3 != 0) return tutti::allocate(bytes).value_or_throw().release();
    void* memory = std::malloc(bytes > 0 ? bytes : 1);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }
  static void deallocate(void* memory) noexcept {
    if (other != nullptr && other->deallocate(memory)) return;
    if (!tutti::deallocate(memory)) std::free(memory);
  }
};

template <class T>
struct MixedAllocator {
  using value_type = T;
  MixedAllocator() = default;
  template <class U>
  MixedAllocator(const MixedAllocator<U>&) noexcept {}
  T* allocate(std::size_t count) { return static_cast<T*>(MixedMemory::allocate(count * sizeof(T))); }
  void deallocate(T* memory, std::size_t) noexcept { MixedMemory::deallocate(memory); }
  friend bool operator==(const MixedAllocator&, const MixedAllocator&) noexcept { return true; }
};

}  // namespace tutti
