#include "transports/ucx/context.h"

#include "core/config.h"

namespace tutti::ucx {
namespace {

// What this library needs other than UCX has it, unless the user wants it otherwise.
// MM_ERROR_HANDLING: shared memory counts among what can carry connections whose peers may die.
void adapt(const Library& library, ucp_config_t* config) {
  if (!environment("UCX_MM_ERROR_HANDLING")) (void)library.modify_config(config, "MM_ERROR_HANDLING", "y");
}

}  // namespace

Result<std::shared_ptr<Context>> Context::open(const Library& library, Rank local_ranks) {
  ucp_config_t* config = nullptr;
  if (const auto status = library.read_config(nullptr, nullptr, &config); status != UCS_OK)
    return ucx_error(library, status, "UCX cannot read its variables (UCX_*)");
  adapt(library, config);
  ucp_params_t wanted{};
  wanted.field_mask = UCP_PARAM_FIELD_FEATURES | UCP_PARAM_FIELD_MT_WORKERS_SHARED | UCP_PARAM_FIELD_ESTIMATED_NUM_PPN |
                      UCP_PARAM_FIELD_NAME;
  wanted.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP;
  wanted.mt_workers_shared = 1;  // communicators of several threads have workers of their own
  wanted.estimated_num_ppn = static_cast<std::size_t>(local_ranks);
  wanted.name = "tutti";
  ucp_context_h handle = nullptr;
  const auto status = library.init(UCP_API_MAJOR, UCP_API_MINOR, &wanted, config, &handle);
  library.release_config(config);
  if (status != UCS_OK)
    return ucx_error(library, status, "UCX finds no transport it may use (UCX_TLS and UCX_NET_DEVICES limit it, UCX_LOG_LEVEL=info says more)");
  std::shared_ptr<Context> context(new Context(library, handle));
  ucp_context_attr_t got{};
  got.field_mask = UCP_ATTR_FIELD_THREAD_MODE;
  if (library.query_context(handle, &got) != UCS_OK || got.thread_mode == UCS_THREAD_MODE_SINGLE)
    return Error(Code::environment, "this build of UCX knows no threads; one that was configured with --enable-mt is needed");
  return context;
}

}  // namespace tutti::ucx
