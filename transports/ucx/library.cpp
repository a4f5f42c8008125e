#include "transports/ucx/library.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <signal.h>

#include <array>

#include "core/config.h"
#include "core/shared_library.h"

namespace tutti::ucx {
namespace {

constexpr const char* kLibrary = "libucp.so.0";
constexpr const char* kServices = "libucs.so.0";
constexpr const char* kMemory = "libucm.so.0";
constexpr std::string_view kRemedy = "UCX 1.13 or newer is needed (Debian: libucx0; PyPI: libucx-cu13, named in LD_LIBRARY_PATH)";

void find_all(Symbols& symbols, Library& l) {
  symbols.find(l.version, "ucp_get_version");
  symbols.find(l.read_config, "ucp_config_read");
  symbols.find(l.modify_config, "ucp_config_modify");
  symbols.find(l.release_config, "ucp_config_release");
  symbols.find(l.init, "ucp_init_version");
  symbols.find(l.cleanup, "ucp_cleanup");
  symbols.find(l.query_context, "ucp_context_query");
  symbols.find(l.make_worker, "ucp_worker_create");
  symbols.find(l.destroy_worker, "ucp_worker_destroy");
  symbols.find(l.query_worker, "ucp_worker_query");
  symbols.find(l.address, "ucp_worker_get_address");
  symbols.find(l.release_address, "ucp_worker_release_address");
  symbols.find(l.progress, "ucp_worker_progress");
  symbols.find(l.wait_fd, "ucp_worker_get_efd");
  symbols.find(l.arm, "ucp_worker_arm");
  symbols.find(l.set_handler, "ucp_worker_set_am_recv_handler");
  symbols.find(l.connect, "ucp_ep_create");
  symbols.find(l.flush, "ucp_ep_flush_nbx");
  symbols.find(l.close, "ucp_ep_close_nbx");
  symbols.find(l.send, "ucp_am_send_nbx");
  symbols.find(l.receive, "ucp_am_recv_data_nbx");
  symbols.find(l.release_data, "ucp_am_data_release");
  symbols.find(l.request_status, "ucp_request_check_status");
  symbols.find(l.free_request, "ucp_request_free");
}

// UCX patches the functions of the C library that map and unmap memory as soon as it is loaded, which is how it learns what
// becomes of memory that it has registered. Without, it remembers no registrations. `libucm` does the patching, once, before the
// rest is loaded: it is told here not to. Where somebody else has loaded UCX, it is too late, and their affair.
void keep_from_patching() {
  if (wants_memory_events() || dlopen(kServices, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD) != nullptr) return;
  void* memory = dlopen(kMemory, RTLD_LAZY | RTLD_LOCAL);  // lazily, as it calls the others
  if (memory == nullptr) return;
  Symbols of_memory(memory);
  ucm_global_config_t* options = nullptr;
  decltype(&ucm_set_global_opts) set = nullptr;
  of_memory.find(options, "ucm_global_opts");
  of_memory.find(set, "ucm_set_global_opts");
  if (options == nullptr || set == nullptr) return;
  options->enable_events = 0;
  options->mmap_hook_mode = UCM_MMAP_HOOK_NONE;
  set(options);
}

// UCX may take over the signals of crashes as soon as it is loaded, to print where they come from. They belong to the program.
class Signals {
 public:
  Signals() {
    for (std::size_t i = 0; i < kNumbers.size(); ++i) before_[i] = handler(kNumbers[i]);
  }
  void give_back(const Library& library) const {
    if (environment("UCX_HANDLE_ERRORS") || environment("UCX_ERROR_SIGNALS")) return;
    for (std::size_t i = 0; i < kNumbers.size(); ++i)
      if (handler(kNumbers[i]) != before_[i]) library.disable_signal(kNumbers[i]);
  }

 private:
  using Handler = void (*)(int);
  static Handler handler(int number) {
    struct sigaction action {};
    (void)sigaction(number, nullptr, &action);
    return action.sa_handler;
  }
  static constexpr std::array kNumbers{SIGILL, SIGSEGV, SIGBUS, SIGFPE};
  std::array<Handler, kNumbers.size()> before_{};
};

// The libraries stay loaded: UCX has threads and modules of its own.
Result<Library> load() {
  Library l;
  const Signals signals;
  keep_from_patching();
  auto services = open_library(kServices), library = open_library(kLibrary), memory = open_library(kMemory);
  for (const auto* opened : {&library, &services, &memory})
    if (!*opened) return Error(Code::environment, fmt::format("{}; {}", opened->error().to_string(), kRemedy));
  Symbols of_services(*services), of_library(*library), of_memory(*memory);
  of_services.find(l.status_string, "ucs_status_string");
  of_services.find(l.disable_signal, "ucs_debug_disable_signal");
  of_memory.find(l.memory_events, "ucm_global_opts");
  find_all(of_library, l);
  if (l.disable_signal != nullptr) signals.give_back(l);
  if (l.version != nullptr)
    if (auto usable = usable_version(l); !usable) return std::move(usable.error());
  for (const auto* symbols : {&of_services, &of_library, &of_memory})
    if (symbols->missing() != nullptr)
      return Error(Code::environment, fmt::format("{} lacks {}; {}", kLibrary, symbols->missing(), kRemedy));
  return l;
}

}  // namespace

bool wants_memory_events() { return environment("UCX_MEM_EVENTS") || environment("UCX_MEM_MMAP_HOOK_MODE"); }

const Result<Library>& library() {
  static const Result<Library> loaded = load();
  return loaded;
}

Result<std::string> usable_version(const Library& library) {
  unsigned major = 0, minor = 0, release = 0;
  library.version(&major, &minor, &release);
  auto version = fmt::format("{}.{}.{}", major, minor, release);
  if (major == kApiMajor && minor >= kApiMinor) return version;
  return Error(Code::environment, fmt::format("{} is of UCX {}, which does not do; {}", kLibrary, version, kRemedy));
}

Error ucx_error(const Library& library, ucs_status_t status, std::string_view what) {
  return {status == UCS_ERR_NO_MEMORY ? Code::resource : Code::environment,
          fmt::format("{}: {}", what, library.status_string(status))};
}

}  // namespace tutti::ucx
