#include "bootstrap/pmix_table.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace tutti {
namespace {

template <class Function>
bool find(void* library, const char* symbol, Function& out) {
  out = reinterpret_cast<Function>(dlsym(library, symbol));
  return out != nullptr;
}

}  // namespace

Result<PmixTable> load_pmix() {
  constexpr const char* kLibrary = "libpmix.so.2";
  // One that the program already has comes first: two copies would fight for the same server.
  void* library = dlopen(kLibrary, RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr) library = dlopen(kLibrary, RTLD_NOW);
  if (library == nullptr) {
    const char* why = dlerror();
    return Error(Code::environment,
                 fmt::format("the launcher speaks PMIx, but {} cannot be loaded ({}): install it (Debian: libpmix2) or "
                             "set TUTTI_RENDEZVOUS=host:port",
                             kLibrary, why != nullptr ? why : "no reason given"));
  }
  PmixTable table;
  const bool complete = find(library, "PMIx_Init", table.init) && find(library, "PMIx_Finalize", table.finalize) &&
                        find(library, "PMIx_Put", table.put) && find(library, "PMIx_Commit", table.commit) &&
                        find(library, "PMIx_Fence_nb", table.fence_nb) && find(library, "PMIx_Get", table.get) &&
                        find(library, "PMIx_Error_string", table.error_string);
  if (!complete) return Error(Code::environment, fmt::format("{} lacks functions that PMIx 3 and later have", kLibrary));
  return table;
}

}  // namespace tutti
