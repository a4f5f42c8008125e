#include "transports/verbs/library.h"

#include <fmt/format.h>

#include "core/shared_library.h"

namespace tutti::verbs {
namespace {

constexpr const char* kName = "libibverbs.so.1";

void find_all(Symbols& symbols, Library& l) {
  symbols.find(l.device_list, "ibv_get_device_list");
  symbols.find(l.free_device_list, "ibv_free_device_list");
  symbols.find(l.device_name, "ibv_get_device_name");
  symbols.find(l.open_device, "ibv_open_device");
  symbols.find(l.close_device, "ibv_close_device");
  symbols.find(l.device_attributes, "ibv_query_device");
  symbols.find(l.port_attributes, "ibv_query_port");
  symbols.find(l.gid_table, "_ibv_query_gid_table");
  symbols.find(l.make_domain, "ibv_alloc_pd");
  symbols.find(l.free_domain, "ibv_dealloc_pd");
  symbols.find(l.register_memory, "ibv_reg_mr");
  symbols.find(l.deregister_memory, "ibv_dereg_mr");
  symbols.find(l.make_channel, "ibv_create_comp_channel");
  symbols.find(l.free_channel, "ibv_destroy_comp_channel");
  symbols.find(l.make_completions, "ibv_create_cq");
  symbols.find(l.free_completions, "ibv_destroy_cq");
  symbols.find(l.next_event, "ibv_get_cq_event");
  symbols.find(l.acknowledge_events, "ibv_ack_cq_events");
  symbols.find(l.make_shared_receives, "ibv_create_srq");
  symbols.find(l.free_shared_receives, "ibv_destroy_srq");
  symbols.find(l.make_queue_pair, "ibv_create_qp");
  symbols.find(l.change_queue_pair, "ibv_modify_qp");
  symbols.find(l.free_queue_pair, "ibv_destroy_qp");
  symbols.find(l.status_text, "ibv_wc_status_str");
}

}  // namespace

Result<Library> load_library() {
  auto opened = open_library(kName);
  if (!opened) return std::move(opened.error());
  Library loaded;
  Symbols symbols(*opened);
  find_all(symbols, loaded);
  if (symbols.missing() != nullptr)
    return Error(Code::environment,
                 fmt::format("{} has no function {}: rdma-core 32 or newer is needed", kName, symbols.missing()));
  return loaded;
}

}  // namespace tutti::verbs
