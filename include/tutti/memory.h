// Memory that the other ranks of a host can read and write in place.
//
//   auto memory = tutti::allocate(n * sizeof(float)).value_or_throw();
//   std::span<float> gradients = memory.as<float>();
//   comm.all_reduce(gradients).value_or_throw();
//
//   std::vector<float, tutti::Allocator<float>> field(n);
//
// Any memory may be given to a collective. Of this memory large messages need not be copied on their way between two ranks of
// one host: a rank maps what the other one has allocated, once, and from then on reads and writes there. Where the ranks share
// no memory, it is like any other.
//
// Allocating takes a few system calls, and a first use costs a page fault for every page on every rank that uses it: for buffers
// that are used again and again. Each holds a file descriptor; when a quarter of those that the process may have (ulimit -n) are
// used so, further memory is ordinary. A child made by fork() shares this memory with its parent, and does not get a copy.
//
// All functions are thread safe. Memory may be freed at any time when no call uses it; a peer that still has it mapped keeps
// none of its pages. A child that frees what it has from its parent takes nothing away from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <new>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "tutti/result.h"

namespace tutti {

// Less than this is taken from the heap: messages so small are copied anyway.
inline constexpr std::size_t kLeastMapped = std::size_t{16} << 10;

// Frees what Memory::release() returned. false: it is no such memory (or nullptr), and nothing has happened.
bool deallocate(void* memory) noexcept;

// What has become of buffers that are not such memory, but have come so often that their pages were made shared in place
// (TUTTI_ADOPT), in this process since it began.
struct AdoptionReport {
  std::uint64_t adopted = 0, given_back = 0;     // ranges of memory; made private again
  std::uint64_t lost = 0;                        // ranges that the program has freed, or mapped anew
  std::uint64_t pages = 0;                       // that were adopted
  std::uint64_t bytes_now = 0;                   // that are
  std::map<std::string, std::uint64_t> refused;  // ranges, by the reason, in which sizes are "N"
};
[[nodiscard]] AdoptionReport adoption_report();
// In a line.
[[nodiscard]] std::string to_string(const AdoptionReport& report);

// Owns memory.
class Memory {
 public:
  Memory() = default;
  Memory(void* data, std::size_t size) noexcept : data_(data), size_(size) {}
  Memory(Memory&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Memory& operator=(Memory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { deallocate(data_); }

  [[nodiscard]] void* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }  // bytes
  // As many whole T as fit.
  template <class T>
  requires std::is_trivially_copyable_v<T>
  [[nodiscard]] std::span<T> as() const noexcept { return {static_cast<T*>(data_), size_ / sizeof(T)}; }
  // Gives it to the caller, who ends it with deallocate().
  [[nodiscard]] void* release() noexcept {
    size_ = 0;
    return std::exchange(data_, nullptr);
  }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

// Zeroed memory, aligned to 64 bytes at least. Where it would be of no use (it is small) or cannot be had (no descriptor is
// left), ordinary memory. Code::resource when there is none at all.
Result<Memory> allocate(std::size_t bytes);

// For containers.
template <class T>
struct Allocator {
  static_assert(alignof(T) <= 64);
  using value_type = T;
  Allocator() = default;
  template <class U>
  Allocator(const Allocator<U>&) noexcept {}
  [[nodiscard]] T* allocate(std::size_t count) {
    if (count > std::size_t(-1) / sizeof(T)) throw std::bad_array_new_length();
    auto memory = tutti::allocate(count * sizeof(T));
    if (!memory) throw std::bad_alloc();
    return static_cast<T*>(memory->release());
  }
  void deallocate(T* memory, std::size_t) noexcept { tutti::deallocate(memory); }
  friend bool operator==(const Allocator&, const Allocator&) noexcept { return true; }
};

}  // namespace tutti
