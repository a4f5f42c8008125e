#include "transports/ucx/sender.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "transports/ucx/kept.h"

namespace tutti::ucx {
namespace {

// Fragments that UCX has at a time: enough for any link, and few enough not to fill a peer's queue in shared memory (64 entries),
// as UCX does not let go of what is sent through one that is full and that nobody empties any more.
constexpr std::size_t kMostHandedOver = 16;

}  // namespace

Error connection_error(const Library& library, ucs_status_t status, Rank peer) {
  const bool mine = status == UCS_ERR_NO_MEMORY || status == UCS_ERR_NO_RESOURCE || status == UCS_ERR_EXCEEDS_LIMIT;
  return {mine ? Code::resource : Code::peer_lost,
          fmt::format("the UCX connection to rank {}: {}", peer, library.status_string(status)), peer};
}

void Sender::post(const Signature& signature, ConstBytes data) {
  std::size_t offset = 0;
  do {
    Fragment& fragment = fragments_.emplace_back();
    fragment.header.number = number_++;
    fragment.header.bytes = data.size();
    fragment.header.offset = offset;
    fragment.header.signature = signature;
    fragment.data = data.subspan(offset, fragment_bytes(data.size(), offset));
    offset += fragment.data.size();
    fragment.last = offset == data.size();
  } while (offset < data.size());
}

Status Sender::hand_over(Fragment& fragment) {
  fragment.header.inbox = inbox_;
  ucp_request_param_t how{};
  how.op_attr_mask = UCP_OP_ATTR_FIELD_MEMORY_TYPE;
  how.memory_type = UCS_MEMORY_TYPE_HOST;
  fragment.request = worker_->library().send(connection_, kFragmentId, &fragment.header, sizeof fragment.header,
                                             fragment.data.data(), fragment.data.size(), &how);
  if (!UCS_PTR_IS_ERR(fragment.request)) return {};
  const auto status = UCS_PTR_STATUS(fragment.request);
  fragment.request = nullptr;
  return connection_error(worker_->library(), status, peer_);
}

// What the peer has taken allows so many at a time.
std::size_t Sender::most_handed_over() const {
  const std::uint64_t oldest = number_ - fragments_.size();
  return std::min({kMostHandedOver, fragments_.size(), static_cast<std::size_t>(taken_ + kWindow - oldest)});
}

void Sender::taken(std::uint64_t fragments) {
  const std::uint64_t handed_over = number_ - fragments_.size() + handed_over_;
  if (fragments > handed_over) damage_ = corrupt(peer_, fmt::format("word of {} fragments of {}", fragments, handed_over));
  if (!damage_) taken_ = std::max(taken_, fragments);
}

Result<std::uint32_t> Sender::pump() {
  std::uint32_t finished = 0;
  for (;;) {
    if (damage_) return damage_->clone();
    for (; handed_over_ < most_handed_over(); ++handed_over_)
      if (Status handed = hand_over(fragments_[handed_over_]); !handed) return std::move(handed.error());
    auto taken_back = take_back();
    if (!taken_back) return taken_back;
    finished += *taken_back;
    if (handed_over_ == most_handed_over()) return finished;
  }
}

// What UCX is done with.
Result<std::uint32_t> Sender::take_back() {
  std::uint32_t finished = 0;
  const Library& library = worker_->library();
  for (; handed_over_ > 0; --handed_over_) {
    Fragment& oldest = fragments_.front();
    if (oldest.request != nullptr) {
      const auto status = library.request_status(oldest.request);
      if (status == UCS_INPROGRESS) break;
      if (status != UCS_OK) return connection_error(library, status, peer_);
      library.free_request(oldest.request);
    }
    finished += oldest.last ? 1 : 0;
    fragments_.pop_front();
  }
  return finished;
}

bool Sender::let_go(TimePoint end) {
  bool all = true;
  for (std::size_t i = 0; i < handed_over_; ++i) all &= worker_->finish(fragments_[i].request, end);
  if (!all) keep_for_good(std::make_shared<std::deque<Fragment>>(std::move(fragments_)));
  fragments_.clear();
  handed_over_ = 0;
  return all;
}

}  // namespace tutti::ucx
