#include "transports/shm/cma.h"

#include <sys/uio.h>

#include <cerrno>

namespace tutti::shm {

bool read_memory(pid_t process, std::uint64_t address, Bytes into) noexcept {
  while (!into.empty()) {
    const iovec local{into.data(), into.size()};
    const iovec remote{reinterpret_cast<void*>(address), into.size()};
    const ssize_t got = process_vm_readv(process, &local, 1, &remote, 1, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    address += static_cast<std::uint64_t>(got);
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

bool can_read(pid_t process, std::uint64_t address, std::uint64_t expected) noexcept {
  std::uint64_t value = ~expected;
  return process > 0 && read_memory(process, address, std::as_writable_bytes(std::span(&value, 1))) && value == expected;
}

}  // namespace tutti::shm
