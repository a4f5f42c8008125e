// Memory that has a descriptor instead of a name, so that it can be handed to others: how it is made, and mapped.
#pragma once

#include <cstddef>
#include <utility>

#include "core/fd.h"
#include "tutti/result.h"
#include "tutti/types.h"

namespace tutti::shm {

inline constexpr std::size_t kPage = 4096;
inline constexpr std::size_t kMostMemfd = std::size_t{1} << 40;

// Its pages are taken from the system when they are first used.
[[nodiscard]] Result<Fd> make_memfd(const char* name, std::size_t bytes);
// Whether another one may be taken, where so many are: the rest of the process's descriptors is for its files and sockets.
[[nodiscard]] bool may_take_another(std::size_t taken) noexcept;
// Whether half of the numbers that descriptors may have lie beyond this one, which is the lowest that was free: the process may
// need them for other things than shared memory.
[[nodiscard]] bool leaves_half(const Fd& fd) noexcept;
// Nobody can change its size from then on, nor what else `seals` (fcntl's F_SEAL_...) forbids.
[[nodiscard]] Status seal(const Fd& fd, int seals = 0);
// The size of memory that a peer has sent: it is sealed, and neither tiny nor absurdly large, or else Code::protocol.
[[nodiscard]] Result<std::size_t> sealed_size(const Fd& fd, Rank peer);

// A mapping that unmaps itself.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(other.size_), writable_(other.writable_) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(writable_, other.writable_);
    return *this;
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();
  static Result<Mapping> of(int fd, std::size_t size, int protection, std::size_t offset = 0);
  // Private memory, which is empty.
  static Result<Mapping> of_own(std::size_t size);
  // What was mapped is somebody else's from now on.
  void forget() noexcept { data_ = nullptr; }
  // Enters the pages of this part into this process's tables now, rather than one by one when they are first used (where Linux
  // can do that, from 5.14 on).
  void enter(std::size_t offset, std::size_t size) const noexcept;

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] Bytes bytes() const noexcept { return {data_, size_}; }

 private:
  static Result<Mapping> map(int fd, std::size_t size, int protection, int flags, std::size_t offset);
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  bool writable_ = false;
};

}  // namespace tutti::shm
