// UCX as a table of the functions that are used: filled from libucp.so.0 and libucs.so.0 at run time, or by a test. Nothing is
// linked: UCX's headers serve for declarations only, of version 1.13. Newer libraries of the same major version keep to them, as
// all structs say which of their fields they have.
// Source: the UCX API (ucp/api/ucp.h).
#pragma once

#include <ucm/api/ucm.h>
#include <ucp/api/ucp.h>

#include <string>
#include <string_view>

#include "tutti/result.h"

namespace tutti::ucx {

inline constexpr unsigned kApiMajor = 1, kApiMinor = 13;

struct Library {
  decltype(&ucp_get_version) version = nullptr;
  decltype(&ucs_status_string) status_string = nullptr;
  void (*disable_signal)(int number) = nullptr;
  ucm_global_config_t* memory_events = nullptr;  // only the first fields, which no version has moved

  decltype(&ucp_config_read) read_config = nullptr;
  decltype(&ucp_config_modify) modify_config = nullptr;
  decltype(&ucp_config_release) release_config = nullptr;
  decltype(&ucp_init_version) init = nullptr;
  decltype(&ucp_cleanup) cleanup = nullptr;
  decltype(&ucp_context_query) query_context = nullptr;

  decltype(&ucp_worker_create) make_worker = nullptr;
  decltype(&ucp_worker_destroy) destroy_worker = nullptr;
  decltype(&ucp_worker_query) query_worker = nullptr;
  decltype(&ucp_worker_get_address) address = nullptr;
  decltype(&ucp_worker_release_address) release_address = nullptr;
  decltype(&ucp_worker_progress) progress = nullptr;
  decltype(&ucp_worker_get_efd) wait_fd = nullptr;
  decltype(&ucp_worker_arm) arm = nullptr;
  decltype(&ucp_worker_set_am_recv_handler) set_handler = nullptr;

  decltype(&ucp_ep_create) connect = nullptr;
  decltype(&ucp_ep_flush_nbx) flush = nullptr;
  decltype(&ucp_ep_close_nbx) close = nullptr;
  decltype(&ucp_am_send_nbx) send = nullptr;
  decltype(&ucp_am_recv_data_nbx) receive = nullptr;
  decltype(&ucp_am_data_release) release_data = nullptr;
  decltype(&ucp_request_check_status) request_status = nullptr;
  decltype(&ucp_request_free) free_request = nullptr;
};

// Code::environment, with the reason, where UCX is missing or too old. Looked for once in a process. Thread safe.
[[nodiscard]] const Result<Library>& library();
// Whether the user has a say in what UCX does to the C library's functions for memory.
[[nodiscard]] bool wants_memory_events();
// "1.13.1"; Code::environment where that is too old, with what would do.
[[nodiscard]] Result<std::string> usable_version(const Library& library);

// "what: UCX's sentence", Code::resource where memory was short, else Code::environment. `status` is none of success.
[[nodiscard]] Error ucx_error(const Library& library, ucs_status_t status, std::string_view what);

}  // namespace tutti::ucx
