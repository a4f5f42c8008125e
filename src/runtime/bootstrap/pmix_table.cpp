#include "bootstrap/pmix_table.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <string>

namespace tutti {
namespace {

constexpr const char* kLibrary = "libpmix.so.2";

pid_t parent_of(pid_t process) {
  std::ifstream status(fmt::format("/proc/{}/status", process));
  pid_t parent = 0;
  for (std::string word; status >> word;)
    if (word == "PPid:" && status >> parent) break;
  return parent;
}

// Where the launcher has its own, seen in the memory maps of the processes above this one as far as they may be read. It fits
// the launcher's server (Open MPI 5 complains about clients of PMIx 4), and is there where none is installed for all programs.
std::optional<std::string> launchers_library() {
  for (pid_t process = getppid(); process > 0; process = parent_of(process)) {
    std::ifstream maps(fmt::format("/proc/{}/maps", process));
    for (std::string line; std::getline(maps, line);)
      if (const auto path = line.find('/'); path != std::string::npos && line.find(kLibrary, path) != std::string::npos)
        return line.substr(path);
  }
  return std::nullopt;
}

void* open_library() {
  // One that the program already has comes first: two copies would fight for the same server.
  if (void* present = dlopen(kLibrary, RTLD_NOW | RTLD_NOLOAD)) return present;
  if (const auto path = launchers_library())
    if (void* launchers = dlopen(path->c_str(), RTLD_NOW)) return launchers;
  return dlopen(kLibrary, RTLD_NOW);
}

template <class Function>
bool find(void* library, const char* symbol, Function& out) {
  out = reinterpret_cast<Function>(dlsym(library, symbol));
  return out != nullptr;
}

}  // namespace

Result<PmixTable> load_pmix() {
  void* library = open_library();
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
