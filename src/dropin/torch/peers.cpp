#include "peers.h"

#include <c10/util/StringUtil.h>

namespace tutti_torch {
namespace {

constexpr double kForever = 1e9;           // seconds
constexpr int kSender = 0, kReceiver = 1;  // their ranks in the communicator of two (meet_one)

tutti::Call sending(const void* data, std::uint64_t bytes, double timeout_s) {
  return {.collective = tutti::Collective::send_recv,
          .input = data,
          .count = bytes,
          .destination = kReceiver,
          .timeout_s = timeout_s,
          .background = true};
}
tutti::Call receiving(void* data, std::uint64_t bytes, double timeout_s) {
  return {.collective = tutti::Collective::send_recv,
          .output = data,
          .source = kSender,
          .receive_count = bytes,
          .timeout_s = timeout_s,
          .background = true};
}

// Tensors on devices, and memory that is short, throw.
template <class Work>
tutti::Status attempt(Work&& work) {
  try {
    return work();
  } catch (const std::exception& e) {
    return tutti::Error(tutti::Code::internal, e.what());
  }
}

}  // namespace

Peers::Channel& Peers::channel(int from, int to, int tag) {
  const std::lock_guard lock(mutex_);
  auto& found = channels_[{from, to, tag}];
  if (!found) {
    found = std::make_unique<Channel>();
    found->from = from;
    found->to = to;
    found->tag = tag;
  }
  return *found;
}

// Others wait at the group's store, which serves one of them at a time.
Store Peers::own_store() {
  const std::lock_guard lock(mutex_);
  if (!own_store_) own_store_ = store_->clone();
  return own_store_;
}

tutti::Status Peers::open(Channel& channel, const MayWait& may_wait) {
  if (channel.pair) return {};
  const auto of_use = [&]() -> tutti::Status {
    if (closed_.stop_requested()) return tutti::Error(tutti::Code::aborted, "the process group has ended");
    if (auto s = group_.still_here(other(channel)); !s) return s;
    return may_wait ? may_wait() : tutti::Status();
  };
  const tutti::Options options{.timeout_s = timeout_s(), .part_of = &group_};
  auto made = meet_one(own_store(), c10::str("messages/", channel.from, "-", channel.to, "/", channel.tag), rank_, channel.from,
                       channel.to, options, of_use);
  if (!made) return std::move(made.error());
  const std::lock_guard lock(channel.mutex);
  channel.pair.emplace(*std::move(made));
  if (closed_.stop_requested()) channel.pair->abort("the process group has ended");
  return {};
}

// Of the two, or of the communicator that they make, in which ranks have other numbers than in the group.
tutti::Error Peers::in_group(const Channel& channel, tutti::Error error) const {
  const int peer = other(channel);
  const std::string about = c10::str("from rank ", channel.from, " to rank ", channel.to, ", tag ", channel.tag);
  if (channel.pair && error.code() == tutti::Code::peer_lost)
    error = tutti::Error(error.code(), c10::str("rank ", peer, " died, or has left the group"), peer);
  else if (channel.pair && error.code() == tutti::Code::timeout)
    error = tutti::Error(error.code(),
                         c10::str("nothing has come from rank ", peer, ", or gone there, within ", timeout_s(), " s"), peer);
  return std::move(error).because(about);
}

tutti::Status Peers::send_now(Channel& channel, const at::Tensor& tensor) {
  if (auto s = open(channel, {}); !s) return s;
  const Header header{.bytes = tensor.nbytes()};
  if (auto s = channel.pair->run(sending(&header, sizeof header, timeout_s())); !s || header.bytes == 0) return s;
  return channel.pair->run(sending(tensor.const_data_ptr(), header.bytes, timeout_s()));
}

tutti::Status Peers::take_header(Channel& channel, double timeout_s) {
  if (channel.waiting) return {};
  Header header;
  if (auto s = channel.pair->run(receiving(&header, sizeof header, timeout_s)); !s) return s;
  if (header.magic != Header::kMagic)
    return tutti::Error(tutti::Code::protocol, "what was received is no message of a process group");
  channel.waiting = header;
  return {};
}

// A message of another size is received all the same, that the next one is received rightly.
tutti::Status Peers::take_payload(Channel& channel, const at::Tensor& tensor) {
  const std::uint64_t bytes = channel.waiting->bytes;
  channel.waiting.reset();
  const bool fits = bytes == tensor.nbytes();
  std::vector<std::byte> instead(fits ? 0 : bytes);
  if (bytes > 0)
    if (auto s = channel.pair->run(receiving(fits ? tensor.mutable_data_ptr() : instead.data(), bytes, timeout_s())); !s)
      return s;
  if (fits) return {};
  return tutti::Error(tutti::Code::mismatch,
                      c10::str("rank ", channel.from, " has sent ", bytes, " bytes, and rank ", rank_, " receives ",
                               tensor.nbytes(), " (tag ", channel.tag, ")"),
                      channel.from);
}

tutti::Status Peers::recv_now(Channel& channel, const at::Tensor& tensor) {
  if (auto s = open(channel, {}); !s) return s;
  if (auto s = take_header(channel, timeout_s()); !s) return s;
  return take_payload(channel, tensor);
}

void Peers::push(Channel& channel, c10::intrusive_ptr<CallWork> work, const at::Tensor& tensor, Transfer transfer) {
  channel.worker.push([this, &channel, work = std::move(work), tensor, transfer] {
    auto s = attempt([&] {
      work->wait_for_device();
      return (this->*transfer)(channel, tensor);
    });
    work->done(s ? tutti::Status() : in_group(channel, std::move(s.error())), channel.from);
  });
}

void Peers::send(c10::intrusive_ptr<CallWork> work, const at::Tensor& tensor, int to, int tag) {
  push(channel(rank_, to, tag), std::move(work), tensor, &Peers::send_now);
}

void Peers::recv(c10::intrusive_ptr<CallWork> work, const at::Tensor& tensor, int from, int tag) {
  push(channel(from, rank_, tag), std::move(work), tensor, &Peers::recv_now);
}

// Each connection looks for a message, and the first one that finds one receives it. Those that find one later keep it for
// whoever receives there next.
void Peers::recv_from_anyone(const std::shared_ptr<FromAnyone>& request, int tag) {
  request->open = static_cast<std::size_t>(size_ - 1);
  for (int from = 0; from < size_; ++from) {
    if (from == rank_) continue;
    Channel& way = channel(from, rank_, tag);
    way.worker.push([this, &way, request] { look_for_anyone(way, *request); });
  }
}

void Peers::look_for_anyone(Channel& channel, FromAnyone& request) {
  const auto is_open = [&]() -> tutti::Status {
    const std::lock_guard lock(request.mutex);
    return request.work ? tutti::Status() : tutti::Error(tutti::Code::aborted, "another message has come");
  };
  if (!is_open()) return;
  auto s = attempt([&] {
    auto opened = open(channel, is_open);
    return opened ? take_header(channel, kForever) : std::move(opened);
  });
  c10::intrusive_ptr<CallWork> work;
  at::Tensor tensor;
  {
    const std::lock_guard lock(request.mutex);
    if (request.work && (s || --request.open == 0)) {
      work = std::move(request.work);
      tensor = std::move(request.tensor);
    }
  }
  if (!work) return;
  if (s)
    s = attempt([&] {
      work->wait_for_device();
      return take_payload(channel, tensor);
    });
  work->done(s ? tutti::Status() : in_group(channel, std::move(s.error())), channel.from);
}

void Peers::close(const std::string& reason) {
  closed_.request_stop();
  const std::lock_guard lock(mutex_);
  for (const auto& [key, channel] : channels_) {
    const std::lock_guard made(channel->mutex);
    if (channel->pair) channel->pair->abort(reason);
  }
}

}  // namespace tutti_torch
