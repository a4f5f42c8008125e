#include "transports/ucx/ucx_transport.h"

#include <fmt/format.h>

#include "transports/ucx/ucx_endpoint.h"

namespace tutti {
namespace {

TransportOptions one_socket(TransportOptions options) {
  options.tcp_sockets = 1;
  return options;
}

}  // namespace

UcxTransport::UcxTransport(const TransportOptions& options, Loader library)
    : options_(options), library_(library), control_(one_socket(options)) {}

Status UcxTransport::probe() {
  if (Status can = control_.probe(); !can) return can;
  auto opened = context();
  return opened ? Status{} : std::move(opened.error());
}

Result<std::shared_ptr<ucx::Context>> UcxTransport::context() {
  const std::lock_guard lock(mutex_);
  if (context_) return context_;
  const Result<ucx::Library>& library = library_();
  if (!library) return library.error().clone();
  if (const auto version = ucx::usable_version(*library); !version) return version.error().clone();
  auto opened = ucx::Context::open(*library, options_.local_ranks);
  if (opened) context_ = *opened;
  return opened;
}

Result<std::shared_ptr<ucx::Worker>> UcxTransport::worker(std::uint64_t stream) {
  auto opened = context();
  if (!opened) return std::move(opened.error());
  const std::lock_guard lock(mutex_);
  std::erase_if(workers_, [](const auto& entry) { return entry.second.expired(); });
  if (auto known = workers_[stream].lock()) return known;
  auto made = ucx::Worker::open(*std::move(opened));
  if (made) workers_[stream] = *made;
  return made;
}

Result<std::unique_ptr<Endpoint>> UcxTransport::connect(const ConnectRequest& request) {
  if (request.me == request.peer)
    return Error(Code::invalid_argument, fmt::format("rank {} cannot connect to itself over UCX", request.me), request.peer);
  auto control = control_.connect(request);
  if (!control) return control;
  auto shared = worker(request.stream);
  if (!shared) return std::move(shared.error());
  return std::unique_ptr<Endpoint>(
      std::make_unique<ucx::UcxEndpoint>(request.peer, *std::move(shared), *std::move(control), departures_));
}

std::unique_ptr<Transport> make_ucx(const TransportOptions& options) { return std::make_unique<UcxTransport>(options); }

}  // namespace tutti
