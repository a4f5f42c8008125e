#include "transports/ucx/library.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <signal.h>

#include "core/config.h"

namespace tutti::ucx {
namespace {

constexpr const char* kLibrary = "libucp.so.0";
constexpr const char* kServices = "libucs.so.0";
constexpr unsigned kMajor = 1, kLeastMinor = 13;
constexpr std::string_view kRemedy = "UCX 1.13 or newer is needed (Debian: libucx0; PyPI: libucx-cu13, named in LD_LIBRARY_PATH)";

// Fills the table's rows and remembers what is missing.
class Symbols {
 public:
  Symbols(void* library, void* services) : library_(library), services_(services) {}
  template <class Function>
  void find(Function& row, const char* name) {
    row = reinterpret_cast<Function>(dlsym(std::string_view(name).starts_with("ucs_") ? services_ : library_, name));
    if (row == nullptr && missing_ == nullptr) missing_ = name;
  }
  [[nodiscard]] const char* missing() const { return missing_; }

 private:
  void *library_, *services_;
  const char* missing_ = nullptr;
};

void find_all(Symbols& symbols, Library& l) {
  symbols.find(l.version, "ucp_get_version");
  symbols.find(l.status_string, "ucs_status_string");
  symbols.find(l.disable_signal, "ucs_debug_disable_signal");
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

Result<void*> open(const char* name) {
  void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr) return library;
  const char* why = dlerror();
  return Error(Code::environment,
               fmt::format("{} cannot be loaded ({}); {}", name, why != nullptr ? why : "no reason given", kRemedy));
}

// UCX takes over the signals of crashes as soon as it is loaded, to print where they come from. They belong to the program.
void give_back_signals(const Library& library) {
  if (environment("UCX_HANDLE_ERRORS") || environment("UCX_ERROR_SIGNALS")) return;
  for (const int number : {SIGILL, SIGSEGV, SIGBUS, SIGFPE}) library.disable_signal(number);
}

// The libraries stay loaded: UCX has threads and modules of its own.
Result<Library> load() {
  auto services = open(kServices);
  if (!services) return std::move(services.error());
  auto library = open(kLibrary);
  if (!library) return std::move(library.error());
  Library l;
  Symbols symbols(*library, *services);
  find_all(symbols, l);
  if (l.disable_signal != nullptr) give_back_signals(l);
  if (l.version != nullptr)
    if (auto usable = usable_version(l); !usable) return std::move(usable.error());
  if (symbols.missing() != nullptr)
    return Error(Code::environment, fmt::format("{} has no function {}; {}", kLibrary, symbols.missing(), kRemedy));
  return l;
}

}  // namespace

const Result<Library>& library() {
  static const Result<Library> loaded = load();
  return loaded;
}

Result<std::string> usable_version(const Library& library) {
  unsigned major = 0, minor = 0, release = 0;
  library.version(&major, &minor, &release);
  auto version = fmt::format("{}.{}.{}", major, minor, release);
  if (major == kMajor && minor >= kLeastMinor) return version;
  return Error(Code::environment, fmt::format("{} is of UCX {}, which does not do; {}", kLibrary, version, kRemedy));
}

Error ucx_error(const Library& library, ucs_status_t status, std::string_view what) {
  return {status == UCS_ERR_NO_MEMORY ? Code::resource : Code::environment,
          fmt::format("{}: {}", what, library.status_string(status))};
}

}  // namespace tutti::ucx
