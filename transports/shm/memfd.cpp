#include "transports/shm/memfd.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace tutti::shm {

namespace {

// The system counts this memory as a file, and would end the process (SIGXFSZ) where it is larger than files may be.
Status check_file_limit(std::size_t bytes) {
  rlimit file{};
  if (getrlimit(RLIMIT_FSIZE, &file) != 0 || bytes <= file.rlim_cur) return {};
  return Error(Code::resource, fmt::format("{} bytes of shared memory are more than the {} that a file may have (ulimit -f)",
                                           bytes, file.rlim_cur));
}

}  // namespace

Result<Fd> make_memfd(const char* name, std::size_t bytes) {
  if (Status s = check_file_limit(bytes); !s) return std::move(s.error());
  Fd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return system_error(errno, "memfd_create for shared memory");
  if (ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0)
    return system_error(errno, fmt::format("sizing shared memory to {} bytes", bytes));
  return fd;
}

bool may_take_another(std::size_t taken) noexcept {
  rlimit files{};
  return getrlimit(RLIMIT_NOFILE, &files) == 0 && taken < files.rlim_cur / 4;
}

bool leaves_half(const Fd& fd) noexcept {
  rlimit files{};
  return getrlimit(RLIMIT_NOFILE, &files) == 0 && static_cast<rlim_t>(fd.get()) < files.rlim_cur / 2;
}

Status seal(const Fd& fd, int seals) {
  if (fcntl(fd.get(), F_ADD_SEALS, seals | F_SEAL_SHRINK | F_SEAL_GROW) != 0) return system_error(errno, "sealing shared memory");
  return {};
}

Result<std::size_t> sealed_size(const Fd& fd, Rank peer) {
  struct stat status {};
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  if (fstat(fd.get(), &status) != 0) return system_error(errno, "looking at a peer's shared memory", peer);
  const auto size = static_cast<std::size_t>(std::max<off_t>(status.st_size, 0));
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || size < kPage || size > kMostMemfd)
    return Error(Code::protocol, fmt::format("rank {} sent something that is not sealed shared memory", peer), peer);
  return size;
}

Mapping::~Mapping() {
  if (data_ != nullptr) munmap(data_, size_);
}

Result<Mapping> Mapping::of(int fd, std::size_t size, int protection, std::size_t offset) {
  return map(fd, size, protection, MAP_SHARED | MAP_NORESERVE, offset);
}

Result<Mapping> Mapping::of_own(std::size_t size) {
  return map(-1, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, 0);
}

Result<Mapping> Mapping::map(int fd, std::size_t size, int protection, int flags, std::size_t offset) {
  void* data = mmap(nullptr, size, protection, flags, fd, static_cast<off_t>(offset));
  if (data == MAP_FAILED) return system_error(errno, fmt::format("mapping {} bytes of {}memory", size, fd < 0 ? "" : "shared "));
  Mapping mapping;
  mapping.data_ = static_cast<std::byte*>(data);
  mapping.size_ = size;
  mapping.writable_ = (protection & PROT_WRITE) != 0;
  return mapping;
}

void Mapping::enter(std::size_t offset, std::size_t size) const noexcept {
  const std::size_t begin = offset / kPage * kPage;
  madvise(data_ + begin, offset + size - begin, writable_ ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
}

}  // namespace tutti::shm
