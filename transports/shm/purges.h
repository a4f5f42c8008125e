// The library has a madvise() of its own before the system's: pages of shared memory keep what is in them where private ones
// would be emptied, as allocators and programs that have them emptied expect.
#pragma once

namespace tutti::shm {

// Whether calls of madvise() by other parts of the program get there. Not where the library was loaded behind them.
[[nodiscard]] bool purges_are_seen() noexcept;

}  // namespace tutti::shm
