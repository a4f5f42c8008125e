#include "transports/ucx/worker.h"

#include <fmt/format.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>

#include "core/handshake.h"

namespace tutti::ucx {
namespace {

// Of what lies in UCX's memory and is shown to consumers in place.
constexpr std::size_t kAlignment = 64;

std::uint64_t random_number() {
  const Secret random = random_secret();
  std::uint64_t number = 0;
  std::memcpy(&number, random.bytes.data(), sizeof number);
  return number;
}

}  // namespace

Result<std::shared_ptr<Worker>> Worker::open(std::shared_ptr<Context> context) {
  const Library& library = context->library();
  ucp_worker_params_t wanted{};
  wanted.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE | UCP_WORKER_PARAM_FIELD_AM_ALIGNMENT;
  wanted.thread_mode = UCS_THREAD_MODE_SERIALIZED;
  wanted.am_alignment = kAlignment;
  ucp_worker_h handle = nullptr;
  if (const auto status = library.make_worker(context->handle(), &wanted, &handle); status != UCS_OK)
    return ucx_error(library, status, "making a worker of UCX");
  std::shared_ptr<Worker> worker(new Worker(std::move(context), handle));
  if (Status prepared = worker->prepare(); !prepared) return std::move(prepared.error());
  return worker;
}

Status Worker::prepare() {
  ucp_worker_attr_t got{};
  got.field_mask = UCP_WORKER_ATTR_FIELD_MAX_AM_HEADER;
  if (const auto status = library().query_worker(handle_, &got); status != UCS_OK)
    return ucx_error(library(), status, "asking a worker of UCX about itself");
  if (got.max_am_header < sizeof(FragmentHeader))
    return Error(Code::environment,
                 fmt::format("UCX's transports carry headers of {} bytes at most, and {} are needed: allow others in UCX_TLS",
                             got.max_am_header, sizeof(FragmentHeader)));
  if (Status listens = listen(kFragmentId, arrived, UCP_AM_FLAG_WHOLE_MSG | UCP_AM_FLAG_PERSISTENT_DATA); !listens)
    return listens;
  if (Status listens = listen(kTakenId, told, UCP_AM_FLAG_WHOLE_MSG); !listens) return listens;
  ucp_address_t* address = nullptr;
  std::size_t size = 0;
  if (const auto status = library().address(handle_, &address, &size); status != UCS_OK)
    return ucx_error(library(), status, "asking for the address of a worker of UCX");
  const auto* bytes = reinterpret_cast<const std::byte*>(address);
  address_.assign(bytes, bytes + size);
  library().release_address(handle_, address);
  if (library().wait_fd(handle_, &events_) != UCS_OK) events_ = -1;
  awake_.reset(eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!awake_) return system_error(errno, "preparing to wait for UCX");
  return {};
}

Status Worker::listen(unsigned id, ucp_am_recv_callback_t heard, std::uint32_t flags) {
  ucp_am_handler_param_t handler{};
  handler.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID | UCP_AM_HANDLER_PARAM_FIELD_FLAGS | UCP_AM_HANDLER_PARAM_FIELD_CB |
                       UCP_AM_HANDLER_PARAM_FIELD_ARG;
  handler.id = id;
  handler.flags = flags;
  handler.cb = heard;
  handler.arg = this;
  if (const auto status = library().set_handler(handle_, &handler); status != UCS_OK)
    return ucx_error(library(), status, "preparing a worker of UCX for messages");
  return {};
}

Worker::~Worker() { library().destroy_worker(handle_); }

std::uint64_t Worker::enlist(Inbox& inbox) {
  std::uint64_t number = random_number();
  while (!inboxes_.emplace(number, &inbox).second) number = random_number();
  return number;
}

Inbox* Worker::find(std::uint64_t number) const {
  const auto inbox = inboxes_.find(number);
  return inbox != inboxes_.end() ? inbox->second : nullptr;
}

// Called by UCX, from within progress(). What is for nobody (any more) goes the way it came.
ucs_status_t Worker::arrived(void* self, const void* header, std::size_t header_size, void* data, std::size_t size,
                             const ucp_am_recv_param_t* how) {
  Arrival arrival;
  if (header_size != sizeof arrival.header) return UCS_OK;
  std::memcpy(static_cast<void*>(&arrival.header), header, sizeof arrival.header);
  Inbox* inbox = static_cast<Worker*>(self)->find(arrival.header.inbox);
  if (arrival.header.magic != FragmentHeader::kMagic || inbox == nullptr) return UCS_OK;
  arrival.size = size;
  arrival.announced = (how->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV) != 0;
  const bool keeps = arrival.announced || (how->recv_attr & UCP_AM_RECV_ATTR_FLAG_DATA) != 0;
  if (keeps) arrival.data = data;
  inbox->arrive(arrival);
  return keeps ? UCS_INPROGRESS : UCS_OK;
}

// The same.
ucs_status_t Worker::told(void* self, const void* header, std::size_t header_size, void* /*data*/, std::size_t /*size*/,
                          const ucp_am_recv_param_t* /*how*/) {
  Taken taken;
  if (header_size != sizeof taken) return UCS_OK;
  std::memcpy(static_cast<void*>(&taken), header, sizeof taken);
  Inbox* inbox = static_cast<Worker*>(self)->find(taken.inbox);
  if (taken.magic == Taken::kMagic && inbox != nullptr) inbox->taken(taken.fragments);
  return UCS_OK;
}

bool Worker::let_go(void* request) {
  if (request == nullptr || UCS_PTR_IS_ERR(request)) return true;
  if (library().request_status(request) == UCS_INPROGRESS) return false;
  library().free_request(request);
  return true;
}

bool Worker::finish(void* request, TimePoint end) {
  while (!let_go(request)) {
    if (Clock::now() > end) return false;
    (void)progress();
  }
  return true;
}

int Worker::wait_fd() {
  constexpr int kAttempts = 100;  // something may move all the time
  for (int i = 0; events_ >= 0 && i < kAttempts; ++i) {
    const auto status = library().arm(handle_);
    if (status == UCS_OK) return events_;
    if (status != UCS_ERR_BUSY) break;
    (void)progress();
  }
  return awake_fd();
}

}  // namespace tutti::ucx
