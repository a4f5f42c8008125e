// Reading another process's memory with one copy (process_vm_readv, "cross memory attach").
#pragma once

#include <sys/types.h>

#include "tutti/transport.h"

namespace tutti::shm {

// Whether reading works is found out by reading a word whose value is known: permissions depend on users, namespaces, seccomp
// filters and the Yama module, and a process id may belong to somebody else in another namespace.
[[nodiscard]] bool can_read(pid_t process, std::uint64_t address, std::uint64_t expected) noexcept;
// False: not permitted (any more), or the process is gone.
[[nodiscard]] bool read_memory(pid_t process, std::uint64_t address, Bytes into) noexcept;

}  // namespace tutti::shm
