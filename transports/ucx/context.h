// UCX as one rank has set it up: which transports and devices there are, by UCX's own variables (UCX_TLS, UCX_NET_DEVICES, ...).
#pragma once

#include <memory>

#include "transports/ucx/library.h"
#include "tutti/types.h"

namespace tutti::ucx {

class Context {
 public:
  static Result<std::shared_ptr<Context>> open(const Library& library, Rank local_ranks);
  ~Context() { library_.cleanup(handle_); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  [[nodiscard]] const Library& library() const noexcept { return library_; }
  [[nodiscard]] ucp_context_h handle() const noexcept { return handle_; }

 private:
  Context(const Library& library, ucp_context_h handle) : library_(library), handle_(handle) {}

  Library library_;
  ucp_context_h handle_;
};

}  // namespace tutti::ucx
