#include "backend.h"

#include <c10/util/StringUtil.h>
#include <unistd.h>

#include "python.h"
#include "tensors.h"
#include "types.h"

namespace tutti_torch {
namespace {

// Longer ones are for ever, and would not fit clocks. Negative ones come from longer ones yet: PyTorch's conversion overflows.
std::chrono::milliseconds bounded(std::chrono::milliseconds timeout) {
  constexpr std::chrono::milliseconds kMost = std::chrono::seconds(1'000'000'000);
  TORCH_CHECK_VALUE(timeout.count() != 0, "tutti: a timeout of 0 s; it has to be positive");
  return timeout.count() < 0 ? kMost : std::min(timeout, kMost);
}

double seconds(std::chrono::milliseconds time) { return std::chrono::duration<double>(time).count(); }

void check_tag(const char* operation, int tag) {
  TORCH_CHECK_VALUE(tag >= 0, "tutti: ", operation, ": a tag is not negative, as ", tag, " is");
}

std::string barrier_key(std::uint64_t number) { return c10::str("monitored_barrier/", number, "/"); }

}  // namespace

Backend::Backend(const Store& store, int rank, int size, std::chrono::milliseconds timeout, const tutti::Communicator* part_of)
    : c10d::Backend(rank, size), options_(c10::make_intrusive<Options>("tutti", bounded(timeout))) {
  auto met = meet_group(store, rank, size, {.timeout_s = seconds(options_->timeout), .part_of = part_of});
  if (!met) fail(c10::str("making a process group of ", size, " ranks on rank ", rank), met.error());
  store_ = std::move(met->store);
  group_.emplace(std::move(met->communicator));
  peers_.emplace(store_, rank, size, *group_, options_->timeout);
}

// Python destroys it, and holds its lock.
Backend::~Backend() {
  const WithoutPython others_may_go_on;
  observers_->closed = true;
  if (group_ && !worker_.idle()) group_->abort("the process group was destroyed while operations were under way");
  peers_.reset();
  worker_.stop();
  if (others_may_go_on.python_lives()) observers_->callbacks.wait(options_->timeout);
  group_.reset();
}

c10::intrusive_ptr<CallWork> Backend::begin(const Operation& operation, TensorsRef inputs, TensorsRef outputs,
                                            std::chrono::milliseconds at_most, std::function<bool()> withdraw) {
  const bool message = c10d::isP2POp(operation.type);
  CallWork::About about{.type = operation.type,
                        .title = operation.title,
                        .inputs = inputs.vec(),
                        .outputs = outputs.vec(),
                        .sequence = message ? ++messages_ : ++sequence_,
                        .at_most = at_most,
                        .withdraw = std::move(withdraw)};
  return c10::make_intrusive<CallWork>(getRank(), std::move(about), observers_);
}

tutti::Status Backend::run(tutti::Call call, const Way& way) {
  if (way.stream) return group_->enqueue(call, way.stream->native_handle());
  call.background = way.background;
  call.timeout_s = seconds(way.timeout);
  auto profilers = at::getStepCallbacksUnlessEmpty(at::RecordScope::USER_SCOPE);
  if (!profilers) [[likely]]
    return group_->run(call);
  return run_profiled(call, *std::move(profilers));
}

// Which algorithm does a call is known once it has been done; later ones of its kind and size are done alike.
tutti::Status Backend::run_profiled(const tutti::Call& call, at::StepCallbacks profilers) {
  const std::string what =
      c10::str("tutti ", tutti::name(call.collective), " of ", call.count * tutti::size_of(call.type), " bytes");
  const auto known = algorithms_.find(what);
  at::RecordFunction record(std::move(profilers));
  record.before(known == algorithms_.end() ? what : c10::str(what, ": ", known->second));
  auto s = group_->run(call);
  record.end();
  if (s) algorithms_[what] = group_->last_algorithm();
  return s;
}

tutti::Status Backend::run_all(const std::vector<tutti::Call>& calls, const Way& way) {
  for (const tutti::Call& call : calls)
    if (auto s = run(call, way); !s) return s;
  return {};
}

// Outputs may be tensors that gradients are computed for: writing them is no part of that.
tutti::Status Backend::carry_out(CallsRef calls, const Way& way) {
  const at::NoGradGuard no_gradients;
  try {
    return calls(way);
  } catch (const std::exception& e) {  // of copies to and from memory of their own
    group_->abort(e.what());           // the others would wait for this rank
    return tutti::Error(tutti::Code::internal, e.what());
  }
}

Backend::WorkPtr Backend::do_now(const Operation& operation, CallsRef calls) {
  const std::lock_guard lock(running_);
  ++sequence_;
  auto s = carry_out(calls, {.background = false, .timeout = timeout_of(operation)});
  if (s) return c10::make_intrusive<Over>(operation.type);
  if (s.error().code() != tutti::Code::invalid_argument) observers_->fail();
  fail(operation.name(), s.error());
}

Backend::WorkPtr Backend::do_later(const Operation& operation, TensorsRef inputs, TensorsRef outputs, Calls calls) {
  auto work = begin(operation, inputs, outputs);
  worker_.push([this, work, timeout = timeout_of(operation), calls = std::move(calls), state = at::ThreadLocalState()] {
    const at::ThreadLocalStateGuard as_caller(state);
    work->done([&] {
      const std::lock_guard lock(running_);
      return carry_out(calls, {.background = true, .timeout = timeout});
    }());
  });
  return kept(std::move(work));
}

Backend::WorkPtr Backend::do_on_device(const Operation& operation, const c10::Stream& stream, TensorsRef inputs,
                                       TensorsRef outputs, CallsRef calls) {
  worker_.wait_until_idle();
  const std::lock_guard lock(running_);
  ++sequence_;
  if (auto s = carry_out(calls, {.stream = stream}); !s) {
    if (s.error().code() != tutti::Code::invalid_argument) observers_->fail();
    fail(operation.name(), s.error());
  }
  return c10::make_intrusive<StreamWork>(getRank(), operation.type, operation.title, stream, inputs.vec(), outputs.vec());
}

// ---- Several together

Backend::WorkPtr Backend::kept(c10::intrusive_ptr<CallWork> work) {
  const std::lock_guard lock(coalescing_);
  if (coalesced_) coalesced_->push_back(work);
  return work;
}

void Backend::startCoalescing() {
  const std::lock_guard lock(coalescing_);
  if (!coalesced_) coalesced_.emplace();
}

Backend::WorkPtr Backend::endCoalescing() {
  const std::lock_guard lock(coalescing_);
  auto all = c10::make_intrusive<AllOf>(getRank(), std::move(coalesced_).value_or(std::vector<WorkPtr>{}));
  coalesced_.reset();
  return all;
}

// ---- Messages

void Backend::check_owner(const char* operation) const {
  TORCH_CHECK_VALUE(owner_ == getpid(), "tutti: ", operation, ": this process group belongs to process ", owner_,
                    ", of which this one is a child; make one of its own");
}

void Backend::check_message(const char* operation, int rank, int tag) const {
  check_owner(operation);
  check_tag(operation, tag);
  TORCH_CHECK_VALUE(rank >= 0 && rank < getSize() && rank != getRank(), "tutti: ", operation, ": rank ", getRank(), " of ",
                    getSize(), " has no other rank ", rank);
}

Backend::WorkPtr Backend::send(Tensors& tensors, int to, int tag) {
  const at::Tensor& tensor = only("send", tensors);
  check_contiguous("send", tensor);
  check_message("send", to, tag);
  auto work = begin({c10d::OpType::SEND, "tutti:send"}, tensor, {});
  peers_->send(work, tensor, to, tag);
  return kept(std::move(work));
}

Backend::WorkPtr Backend::recv(Tensors& tensors, int from, int tag) {
  const at::Tensor& tensor = only("recv", tensors);
  check_contiguous("recv", tensor);
  check_message("recv", from, tag);
  // The library's own limit, which says more, should come first.
  auto work = begin({c10d::OpType::RECV, "tutti:recv"}, {}, tensor, options_->timeout + std::chrono::seconds(5));
  peers_->recv(work, tensor, from, tag);
  return kept(std::move(work));
}

Backend::WorkPtr Backend::recvAnysource(Tensors& tensors, int tag) {
  const at::Tensor& tensor = only("recv", tensors);
  check_contiguous("recv", tensor);
  check_owner("recv");
  check_tag("recv", tag);
  TORCH_CHECK_VALUE(getSize() > 1, "tutti: recv: the group has no other rank");
  auto request = std::make_shared<FromAnyone>();
  const auto withdraw = [request] {
    const std::lock_guard lock(request->mutex);
    const auto work = std::move(request->work);
    request->tensor.reset();
    if (work) work->done(tutti::Error(tutti::Code::timeout, "no rank has sent a message in time"));
    return work.defined();
  };
  auto work = begin({c10d::OpType::RECVANYSOURCE, "tutti:recv"}, {}, tensor, options_->timeout, withdraw);
  request->work = work;
  request->tensor = tensor;
  peers_->recv_from_anyone(request, tag);
  return kept(std::move(work));
}

// ---- Life

void Backend::setTimeout(std::chrono::milliseconds timeout) {
  options_->timeout = bounded(timeout);
  peers_->set_timeout(options_->timeout);
}

void Backend::waitForPendingWorks() {
  const WithoutPython others_may_go_on;
  worker_.wait_until_idle();
  observers_->callbacks.wait(options_->timeout);
}

void Backend::abort() {
  observers_->fail();
  peers_->close("the process group was aborted");
  group_->abort("the process group was aborted");
}

void Backend::shutdown() {
  const WithoutPython others_may_go_on;
  observers_->closed = true;
  if (peers_) peers_->close("the process group was shut down");
  worker_.wait_until_idle();
  observers_->callbacks.wait(options_->timeout);
}

c10d::ErrorType Backend::getError() {
  return observers_->failed || !group_->failure() ? c10d::ErrorType::COMM_ERROR : c10d::ErrorType::SUCCESS;
}

c10::intrusive_ptr<c10d::Backend> Backend::split(const Store& store, const std::vector<int>& ranks,
                                                 const c10::intrusive_ptr<Options>& options) {
  const auto me = std::find(ranks.begin(), ranks.end(), getRank());
  if (me == ranks.end()) return {};
  const WithoutPython others_may_go_on;
  worker_.wait_until_idle();
  const std::lock_guard lock(running_);
  return c10::make_intrusive<Backend>(store->clone(), static_cast<int>(me - ranks.begin()), static_cast<int>(ranks.size()),
                                      options ? options->timeout : options_->timeout, &*group_);
}

// Over the store, so that it tells of ranks even where calls of the group hang. Rank 0 says how it went.
void Backend::monitoredBarrier(const c10d::BarrierOptions& o, bool wait_for_all) {
  const auto timeout = o.timeout == c10d::kUnsetTimeout ? options_->timeout : bounded(o.timeout);
  const std::string key = barrier_key(++barriers_);
  std::string verdict;
  if (getRank() == 0) {
    verdict = await_others(key, timeout, wait_for_all);
    store_->set(key + "verdict", verdict);
    if (verdict == "ok") forget_barrier(barriers_ - 1);  // all have come to this one, and need the last one's no more
  } else {
    store_->set(c10::str(key, getRank()), "here");
    const bool told = comes(key + "verdict", timeout + std::chrono::seconds(5));  // rank 0 gives it when its own time is up
    verdict = told ? store_->get_to_str(key + "verdict") : "rank 0 has not come, or not found all others, in time";
  }
  TORCH_CHECK_WITH(DistBackendError, verdict == "ok", "tutti: monitored_barrier on rank ", getRank(), ": ", verdict);
}

void Backend::forget_barrier(std::uint64_t number) {
  const std::string key = barrier_key(number);
  store_->deleteKey(key + "verdict");
  for (int rank = 1; rank < getSize(); ++rank) store_->deleteKey(c10::str(key, rank));
}

std::string Backend::await_others(const std::string& key, std::chrono::milliseconds timeout, bool all) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::vector<std::string> missing;
  for (int rank = 1; rank < getSize() && (missing.empty() || all); ++rank) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (!comes(c10::str(key, rank), left)) missing.push_back(std::to_string(rank));
  }
  if (missing.empty()) return "ok";
  return c10::str("rank", missing.size() == 1 ? "" : "s", " ", c10::Join(", ", missing), " did not come within ", timeout.count(),
                  " ms");
}

// Whether the key is in the store within this time. A store says that it is not by an exception.
bool Backend::comes(const std::string& key, std::chrono::milliseconds time) {
  try {
    if (!store_->check({key})) store_->wait({key}, std::max(time, std::chrono::milliseconds(1)));
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace tutti_torch
