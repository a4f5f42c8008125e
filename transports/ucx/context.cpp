#include "transports/ucx/context.h"

#include <algorithm>
#include <initializer_list>
#include <mutex>

#include "core/config.h"

namespace tutti::ucx {
namespace {

bool any_of(std::string_view list, std::initializer_list<std::string_view> names) {
  const auto words = split_list(list);
  return std::ranges::any_of(words, [&](const auto& word) { return std::ranges::find(names, word) != names.end(); });
}

// Whether UCX may use its transports in shared memory.
bool uses_shared_memory() {
  const std::string allowed = environment("UCX_TLS").value_or("all");
  if (allowed.starts_with('^')) return !any_of(allowed.substr(1), {"sm", "shm", "mm"});
  return any_of(allowed, {"all", "sm", "shm", "mm", "posix", "sysv", "xpmem"});
}

// UCX offers shared memory for connections whose peers may die only where it is told to. It warns of what it has no use for.
void adapt(const Library& library, ucp_config_t* config) {
  if (!environment("UCX_MM_ERROR_HANDLING") && uses_shared_memory())
    (void)library.modify_config(config, "MM_ERROR_HANDLING", "y");
}

// Keeps UCX from patching the C library (library.cpp) for a context, unless the user wants it. Whoever else uses UCX in this
// process keeps its ways.
class Unpatched {
 public:
  explicit Unpatched(const Library& library) : config_(*library.memory_events), before_(config_.enable_events) {
    if (!wants_memory_events()) config_.enable_events = 0;
  }
  ~Unpatched() { config_.enable_events = before_; }
  Unpatched(const Unpatched&) = delete;
  Unpatched& operator=(const Unpatched&) = delete;

 private:
  ucm_global_config_t& config_;
  int before_;
};

}  // namespace

Result<std::shared_ptr<Context>> Context::open(const Library& library, Rank local_ranks) {
  ucp_config_t* config = nullptr;
  if (const auto status = library.read_config(nullptr, nullptr, &config); status != UCS_OK)
    return ucx_error(library, status, "UCX cannot read its variables (UCX_*)");
  adapt(library, config);
  static std::mutex one_at_a_time;  // what Unpatched changes is the process's
  const std::lock_guard lock(one_at_a_time);
  const Unpatched unpatched(library);
  ucp_params_t wanted{};
  wanted.field_mask =
      UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_MT_WORKERS_SHARED | UCP_PARAM_FIELD_ESTIMATED_NUM_PPN | UCP_PARAM_FIELD_NAME;
  wanted.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP;
  wanted.mt_workers_shared = 1;  // communicators of several threads have workers of their own
  wanted.estimated_num_ppn = static_cast<std::size_t>(local_ranks);
  wanted.name = "tutti";
  ucp_context_h handle = nullptr;
  const auto status = library.init(kApiMajor, kApiMinor, &wanted, config, &handle);
  library.release_config(config);
  if (status != UCS_OK)
    return ucx_error(library, status,
                     "UCX finds no transport it may use (UCX_TLS and UCX_NET_DEVICES limit it, UCX_LOG_LEVEL=info says more)");
  std::shared_ptr<Context> context(new Context(library, handle));
  ucp_context_attr_t got{};
  got.field_mask = UCP_ATTR_FIELD_THREAD_MODE;
  if (library.query_context(handle, &got) != UCS_OK || got.thread_mode == UCS_THREAD_MODE_SINGLE)
    return Error(Code::environment, "this build of UCX knows no threads; one that was configured with --enable-mt is needed");
  return context;
}

}  // namespace tutti::ucx
