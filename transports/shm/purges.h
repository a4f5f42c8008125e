// The library has a madvise() of its own before the system's: pages of shared memory keep what is in them where private ones
// would be emptied, as allocators and programs that have them emptied expect.
#pragma once

#include "tutti/result.h"
#include "tutti/types.h"

namespace tutti::shm {

// Whether what the program does with madvise() to these bytes is seen. Where the library was loaded behind others, only of memory
// that the C library's malloc has: that one empties no pages that it hands out as empty.
[[nodiscard]] Status check_purges(ConstBytes bytes);

}  // namespace tutti::shm
