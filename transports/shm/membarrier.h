// A fence on behalf of others: who is about to sleep has the kernel fence all threads of all processes that have registered, so
// that those who send need none. A sender stores and then looks whether the receiver sleeps; a receiver says that it sleeps,
// fences everybody, and looks for messages. Either the sender's look comes after the fence and sees a sleeper, or its store
// came before and is seen. Sending is a thousand times as frequent as sleeping, and a fence of its own would make each sender
// wait until the receiver has given up the line that the message goes to.
#pragma once

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tutti::shm {

// False where the kernel does not offer it (before Linux 4.16, or forbidden by a sandbox).
inline bool register_for_fences() noexcept {
  return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0 &&
         syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
}
inline bool fence_everybody() noexcept { return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0; }

}  // namespace tutti::shm
