#include "transports/shm/arena.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

namespace tutti::shm {
Result<std::unique_ptr<Arena>> Arena::create(std::size_t bytes) {
  const std::size_t size = std::clamp((bytes + kPage - 1) / kPage * kPage, 4 * kPage, kMostMemfd);
  auto arena = std::make_unique<Arena>();
  auto memory_fd = make_memfd("tutti", size);
  if (!memory_fd) return memory_fd.because("creating this rank's shared memory");
  auto bell_fd = make_memfd("tutti-bell", kPage);
  if (!bell_fd) return bell_fd.because("creating this rank's doorbell");
  auto memory = Mapping::of(memory_fd->get(), size, PROT_READ | PROT_WRITE);
  if (!memory) return std::move(memory.error());
  auto bell = Mapping::of(bell_fd->get(), kPage, PROT_READ | PROT_WRITE);
  if (!bell) return std::move(bell.error());
  for (const int fd : {memory_fd->get(), bell_fd->get()})
    if (fallocate(fd, 0, 0, kPage) != 0) return system_error(errno, "taking the first page of shared memory from the system");
  // Linux 5.1 and later can forbid everybody else to write; before that peers are trusted not to.
  if (!seal(*memory_fd, F_SEAL_FUTURE_WRITE)) {
    if (Status sealed = seal(*memory_fd); !sealed) return std::move(sealed.error());
  }
  if (Status sealed = seal(*bell_fd); !sealed) return std::move(sealed.error());
  arena->memory_fd_ = std::move(*memory_fd);
  arena->bell_fd_ = std::move(*bell_fd);
  arena->memory_ = std::move(*memory);
  arena->bell_memory_ = std::move(*bell);
  return arena;
}

Result<Region> Arena::allocate(std::size_t bytes) {
  Region region{end_, bytes};
  if (const auto free = smallest_free(bytes); free != free_.end()) {
    region.offset = free->offset;
    *free = {free->offset + bytes, free->size - bytes};
    if (free->size == 0) free_.erase(free);
  } else if (size() - end_ < bytes) {
    return Error(Code::resource, fmt::format("all of the {} bytes of shared memory are in use", size()));
  } else if (fallocate(memory_fd_.get(), 0, static_cast<off_t>(end_), static_cast<off_t>(bytes)) != 0) {
    return system_error(errno, fmt::format("taking {} bytes of shared memory from the system", bytes));
  } else {
    end_ += bytes;
  }
  std::memset(at(region.offset), 0, bytes);
  return region;
}

std::vector<Region>::iterator Arena::smallest_free(std::size_t bytes) {
  auto best = free_.end();
  for (auto region = free_.begin(); region != free_.end(); ++region)
    if (region->size >= bytes && (best == free_.end() || region->size < best->size)) best = region;
  return best;
}

std::size_t Arena::free_bytes() const noexcept {
  std::size_t bytes = size() - end_;
  for (const Region& region : free_) bytes += region.size;
  return bytes;
}

Result<CellMemory> CellMemory::create(std::size_t bytes) {
  auto fd = make_memfd("tutti-cells", bytes);
  if (!fd) return fd.because("creating memory for large messages");
  if (fallocate(fd->get(), 0, 0, static_cast<off_t>(bytes)) != 0)
    return system_error(errno, fmt::format("taking {} bytes of shared memory from the system", bytes));
  if (Status sealed = seal(*fd); !sealed) return std::move(sealed.error());
  auto mapping = Mapping::of(fd->get(), bytes, PROT_READ | PROT_WRITE);
  if (!mapping) return std::move(mapping.error());
  mapping->enter(0, bytes);
  return CellMemory{std::move(*fd), std::move(*mapping)};
}

Result<CellMemory> CellMemory::map(const Fd& memory, Rank peer) {
  if (!memory) return Error(Code::protocol, fmt::format("rank {} sent no memory for large messages", peer), peer);
  const auto size = sealed_size(memory, peer);
  if (!size) return size.error().clone();
  if (!std::has_single_bit(*size) || *size < Cells::kLeastMemory || *size > Cells::kMostMemory)
    return Error(Code::protocol, fmt::format("rank {} sent {} bytes of memory for large messages", peer, *size), peer);
  auto mapping = Mapping::of(memory.get(), *size, PROT_READ | PROT_WRITE);
  if (!mapping) return mapping.because(fmt::format("memory for large messages of rank {}", peer));
  mapping->enter(0, *size);
  return CellMemory{Fd(), std::move(*mapping)};
}

Result<std::shared_ptr<PeerArena>> PeerArena::map(const Fd& memory, const Fd& bell, bool fenced, Rank peer) {
  const auto memory_size = sealed_size(memory, peer), bell_size = sealed_size(bell, peer);
  if (!memory_size) return memory_size.error().clone();
  if (!bell_size) return bell_size.error().clone();
  auto arena = std::make_shared<PeerArena>();
  auto mapped = Mapping::of(memory.get(), *memory_size, PROT_READ);
  if (!mapped) return mapped.because(fmt::format("the shared memory of rank {}", peer));
  auto mapped_bell = Mapping::of(bell.get(), kPage, PROT_READ | PROT_WRITE);
  if (!mapped_bell) return mapped_bell.because(fmt::format("the doorbell of rank {}", peer));
  arena->memory_ = std::move(*mapped);
  arena->bell_memory_ = std::move(*mapped_bell);
  arena->header_ = reinterpret_cast<const ArenaHeader*>(arena->memory_.data());
  arena->bell_ = reinterpret_cast<Doorbell*>(arena->bell_memory_.data());
  arena->sleepers_fence_ = fenced && arena->header_->sleepers_fence.load() != 0;
  return arena;
}

}  // namespace tutti::shm
