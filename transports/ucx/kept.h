// Memory that UCX has not let go of when its connection was closed. It stays for good, rather than that UCX reads, writes or
// calls what is another's by then.
#pragma once

#include <memory>

namespace tutti::ucx {

// Thread safe.
void keep_for_good(std::shared_ptr<void> memory);

}  // namespace tutti::ucx
