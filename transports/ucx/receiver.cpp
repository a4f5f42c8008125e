#include "transports/ucx/receiver.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "transports/ucx/kept.h"
#include "transports/ucx/sender.h"

namespace tutti::ucx {
namespace {

constexpr std::align_val_t kAlignment{64};

}  // namespace

void Receiver::FreeStaging::operator()(std::byte* memory) const noexcept { ::operator delete(memory, kAlignment); }

std::size_t Receiver::memory_bytes() const noexcept {
  return messages_.size() * sizeof(Message) + arrivals_.size() * sizeof(Arrival) + (staging_ ? kSlots * kFragment : 0);
}

void Receiver::give_back(const Arrival& arrival) {
  if (arrival.data != nullptr) worker_->library().release_data(worker_->handle(), arrival.data);
}

void Receiver::arrive(const Arrival& arrival) {
  const std::uint64_t place = arrival.header.number - first_;
  const bool known = place < arrivals_.size() && arrivals_[place];
  if (arrival.header.number < first_ || place >= kWindow || known || damage_) {
    if (!damage_) damage_ = corrupt(peer_, fmt::format("fragment {} out of turn", arrival.header.number));
    return give_back(arrival);
  }
  if (place >= arrivals_.size()) arrivals_.resize(place + 1);
  arrivals_[place] = arrival;
  ++arrived_;
}

Status Receiver::check(const Message& message, const Arrival& arrival) const {
  const FragmentHeader& header = arrival.header;
  if (!message.opened && header.offset == 0 && (header.signature != message.expected || header.bytes != message.sink.size))
    return mismatch(message.expected, message.sink.size, header.signature, header.bytes, peer_);
  if (header.offset != message.begun || header.bytes != message.sink.size ||
      arrival.size != fragment_bytes(message.sink.size, message.begun) || (arrival.size > 0 && arrival.data == nullptr))
    return corrupt(peer_, fmt::format("{} bytes at {} of a message of {}", arrival.size, header.offset, header.bytes));
  return {};
}

std::byte* Receiver::staging(std::size_t slot) {
  if (!staging_) staging_.reset(static_cast<std::byte*>(::operator new(kSlots* kFragment, kAlignment)));
  return staging_.get() + slot * kFragment;
}

// Bytes that are there.
void Receiver::take(Message& message, const Arrival& arrival) {
  const ConstBytes bytes(static_cast<const std::byte*>(arrival.data), arrival.data != nullptr ? arrival.size : 0);
  if (bytes.empty()) return;
  const bool aligned = reinterpret_cast<std::uintptr_t>(bytes.data()) % static_cast<std::size_t>(kAlignment) == 0;
  if (message.sink.consumer == nullptr) {
    std::memcpy(message.sink.data + message.begun, bytes.data(), bytes.size());
  } else if (aligned) {
    message.sink.consumer->consume(message.begun, bytes);
  } else {  // no transport's receive buffers, though UCX was asked for it
    std::byte* staged = staging(slot_);
    std::memcpy(staged, bytes.data(), bytes.size());
    message.sink.consumer->consume(message.begun, {staged, bytes.size()});
  }
}

// Bytes that are announced.
Status Receiver::fetch(Message& message, const Arrival& arrival) {
  std::byte* staged = nullptr;
  if (message.sink.consumer != nullptr) staged = staging(std::exchange(slot_, (slot_ + 1) % kSlots));
  ucp_request_param_t how{};
  how.op_attr_mask = UCP_OP_ATTR_FIELD_MEMORY_TYPE | UCP_OP_ATTR_FLAG_NO_IMM_CMPL;
  how.memory_type = UCS_MEMORY_TYPE_HOST;
  void* request = worker_->library().receive(worker_->handle(), arrival.data,
                                             staged != nullptr ? staged : message.sink.data + message.begun, arrival.size, &how);
  if (UCS_PTR_IS_ERR(request)) return connection_error(worker_->library(), UCS_PTR_STATUS(request), peer_);
  landings_.push_back({request, begun_, message.begun, arrival.size, staged});
  return {};
}

// Whether it did anything.
Result<bool> Receiver::begin_next() {
  if (begun_ == messages_.size() || arrivals_.empty() || !arrivals_.front()) return false;
  Message& message = messages_[begun_];
  const Arrival& arrival = *arrivals_.front();
  // A consumer is shown its message in order, after all before.
  const std::size_t most_before = message.sink.consumer == nullptr ? SIZE_MAX : arrival.announced ? kSlots - 1 : 0;
  if (landings_.size() > most_before) return false;
  if (Status fits = check(message, arrival); !fits) return std::move(fits.error());
  message.opened = true;
  if (arrival.announced) {
    if (Status fetching = fetch(message, arrival); !fetching) return std::move(fetching.error());
  } else {
    take(message, arrival);
    message.finished += arrival.size;
    give_back(arrival);
  }
  message.begun += arrival.size;
  begun_ += message.all_begun() ? 1 : 0;
  arrivals_.pop_front();
  ++first_;
  return true;
}

Result<bool> Receiver::finish_landings() {
  bool any = false;
  for (const Library& library = worker_->library(); !landings_.empty(); landings_.pop_front(), any = true) {
    const Landing landing = landings_.front();
    const auto status = library.request_status(landing.request);
    if (status == UCS_INPROGRESS) break;
    if (status != UCS_OK) return connection_error(library, status, peer_);
    library.free_request(landing.request);
    Message& message = messages_[landing.message];
    if (landing.staged != nullptr) message.sink.consumer->consume(landing.offset, {landing.staged, landing.size});
    message.finished += landing.size;
  }
  return any;
}

Result<std::uint32_t> Receiver::pump() {
  std::uint32_t finished = 0;
  for (bool moved = true; moved;) {
    auto landed = finish_landings();
    if (!landed) return std::move(landed.error());
    auto begun = begin_next();
    if (!begun) return std::move(begun.error());
    moved = *landed || *begun;
    for (; !messages_.empty() && messages_.front().complete(); --begun_, ++finished) {
      messages_.pop_front();
      for (Landing& landing : landings_) --landing.message;
    }
  }
  if (damage_) return damage_->clone();
  return finished;
}

void Receiver::drop_arrivals() {
  for (const auto& arrival : arrivals_)
    if (arrival) give_back(*arrival);
  arrivals_.clear();
}

bool Receiver::let_go(TimePoint end) {
  bool all = true;
  for (const Landing& landing : landings_) all &= worker_->finish(landing.request, end);
  landings_.clear();
  messages_.clear();
  begun_ = 0;
  if (!all) keep_for_good(std::move(staging_));
  return all;
}

}  // namespace tutti::ucx
