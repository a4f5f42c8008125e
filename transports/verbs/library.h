// libibverbs as a table of the functions that are used: filled from libibverbs.so.1 at run time, or by a test. Nothing is linked,
// so that one binary runs on every machine. What posts and polls is no part of it: these are inline functions of verbs.h, which
// call what the device's driver has put into its context. Source: manual pages of rdma-core (ibv_create_qp(3), ibv_post_send(3),
// ...), InfiniBand Architecture Specification 1.
#pragma once

#include <infiniband/verbs.h>

#include <string_view>

#include "tutti/result.h"

namespace tutti::verbs {

struct Library {
  ibv_device** (*device_list)(int* count) = nullptr;
  void (*free_device_list)(ibv_device** list) = nullptr;
  const char* (*device_name)(ibv_device* device) = nullptr;
  ibv_context* (*open_device)(ibv_device* device) = nullptr;
  int (*close_device)(ibv_context* context) = nullptr;
  int (*device_attributes)(ibv_context* context, ibv_device_attr* attributes) = nullptr;
  int (*port_attributes)(ibv_context* context, std::uint8_t port, ibv_port_attr* attributes) = nullptr;
  ssize_t (*gid_table)(ibv_context* context, ibv_gid_entry* entries, std::size_t most, std::uint32_t flags,
                       std::size_t entry_size) = nullptr;

  ibv_pd* (*make_domain)(ibv_context* context) = nullptr;
  int (*free_domain)(ibv_pd* domain) = nullptr;
  ibv_mr* (*register_memory)(ibv_pd* domain, void* memory, std::size_t bytes, int access) = nullptr;
  int (*deregister_memory)(ibv_mr* registration) = nullptr;

  ibv_comp_channel* (*make_channel)(ibv_context* context) = nullptr;
  int (*free_channel)(ibv_comp_channel* channel) = nullptr;
  ibv_cq* (*make_completions)(ibv_context* context, int entries, void* user, ibv_comp_channel* channel, int vector) = nullptr;
  int (*free_completions)(ibv_cq* completions) = nullptr;
  int (*next_event)(ibv_comp_channel* channel, ibv_cq** completions, void** user) = nullptr;
  void (*acknowledge_events)(ibv_cq* completions, unsigned count) = nullptr;

  ibv_srq* (*make_shared_receives)(ibv_pd* domain, ibv_srq_init_attr* attributes) = nullptr;
  int (*free_shared_receives)(ibv_srq* receives) = nullptr;
  ibv_qp* (*make_queue_pair)(ibv_pd* domain, ibv_qp_init_attr* attributes) = nullptr;
  int (*change_queue_pair)(ibv_qp* pair, ibv_qp_attr* attributes, int mask) = nullptr;
  int (*free_queue_pair)(ibv_qp* pair) = nullptr;

  const char* (*status_text)(ibv_wc_status status) = nullptr;
};

// Code::environment, with the reason, where there is none.
[[nodiscard]] Result<Library> load_library();

// This process's; loaded at the first call and never unloaded. Thread safe.
[[nodiscard]] const Result<Library>& library();

}  // namespace tutti::verbs
