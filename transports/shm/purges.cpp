#include "transports/shm/purges.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "transports/shm/adopted.h"

namespace tutti::shm {
namespace {

bool empties(int advice) { return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE; }

}  // namespace

bool purges_are_seen() noexcept { return dlsym(RTLD_DEFAULT, "madvise") == reinterpret_cast<void*>(&::madvise); }

}  // namespace tutti::shm

// As the C library declares it.
extern "C" [[gnu::visibility("default")]] int madvise(void* memory, size_t size, int advice) noexcept {
  if (tutti::shm::empties(advice)) tutti::shm::Adopted::of_process().give_back({static_cast<const std::byte*>(memory), size});
  return static_cast<int>(syscall(SYS_madvise, memory, size, advice));
}
