#include "runtime/enqueue.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/thread.h"
#include "kernels/scalar.h"
#include "runtime/host_pipeline.h"

namespace tutti {
namespace {

bool is_message(const StreamCall& c) { return c.call.collective == Collective::send_recv; }

// The calls of one communicator, and the stream that they are put into.
struct Share {
  StreamOrder* order;
  gpu::StreamHandle stream;
  std::vector<const StreamCall*> collectives = {}, messages = {};  // for devices

  // What the devices need to know before anything is enqueued.
  Status prepare() {
    for (const StreamCall* c : collectives)
      if (auto ready = order->devices()->prepare(c->request); !ready) return std::move(ready.error());
    if (messages.empty()) return {};
    auto ready = order->devices()->prepare(group());
    return ready ? Status{} : Status(std::move(ready.error()));
  }
  [[nodiscard]] bool prepared() const {
    const DeviceCalls& devices = *order->devices();
    return std::ranges::all_of(collectives, [&](const StreamCall* c) { return devices.find(c->request) != nullptr; }) &&
           (messages.empty() || devices.find(group()) != nullptr);
  }

  // Each call's sent message, then its received one.
  [[nodiscard]] std::vector<gpu::Message> group() const {
    std::vector<gpu::Message> all;
    for (const StreamCall* c : messages) {
      const Request& r = c->request;
      if (r.destination != kNoRank) all.push_back({.peer = r.destination, .sent = true, .bytes = r.count * r.element_size()});
      if (r.source != kNoRank) all.push_back({.peer = r.source, .bytes = r.receive_count * r.element_size()});
    }
    return all;
  }
  [[nodiscard]] std::vector<gpu::DeviceBuffers> buffers_of_group() const {
    std::vector<gpu::DeviceBuffers> all;
    for (const StreamCall* c : messages) {
      if (c->request.destination != kNoRank) all.push_back({.input = gpu::address(c->request.input)});
      if (c->request.source != kNoRank) all.push_back({.output = gpu::address(c->request.output)});
    }
    return all;
  }
};

class Enqueuing {
 public:
  Enqueuing(const gpu::Driver& driver, std::span<const StreamCall> calls) : driver_(driver), calls_(calls) {}

  // Whether there is no way back.
  [[nodiscard]] bool begun() const noexcept { return begun_; }

  Status run() {
    auto capturing = gpu::is_capturing(driver_, calls_.front().stream);
    if (!capturing) return std::move(capturing.error());
    captured_ = *capturing;
    if (auto s = share_out(); !s) return s;
    if (auto s = prepare(); !s) return s;
    if (auto s = gather(); !s) return s;
    for (Share& share : shares_)
      if (auto s = enqueue_collectives(share); !s) return s;
    if (auto s = enqueue_rounds(); !s) return s;
    for (Share& share : shares_)
      if (auto s = enqueue_messages(share); !s) return s;
    return scatter();
  }

 private:
  // Ranks that one thread has must not wait for each other in one stream.
  Status share_out() {
    std::set<gpu::StreamHandle> taken;
    for (const StreamCall& c : calls_) {
      streams_.emplace(c.stream, c.order->context());
      if (share_of(c.order) != nullptr) continue;
      gpu::StreamHandle stream = c.stream;
      if (!taken.insert(stream).second) {
        auto own = c.order->own_stream(OwnStream::calls);
        if (!own) return std::move(own.error());
        stream = *own;
      }
      shares_.push_back({c.order, stream});
    }
    return {};
  }
  Share* share_of(const StreamOrder* order) {
    const auto found = std::ranges::find(shares_, order, &Share::order);
    return found == shares_.end() ? nullptr : &*found;
  }

  // Side by side, as those of one thread wait for each other.
  template <class What>
  Status for_each_share(const std::vector<Share*>& shares, What&& what) {
    std::vector<Status> results(shares.size());
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < shares.size(); ++i) {
      auto thread = start_thread([&, i] { results[i] = what(*shares[i]); });
      if (thread)
        threads.push_back(std::move(*thread));
      else
        results[i] = std::move(thread.error());
    }
    if (!shares.empty()) results[0] = what(*shares[0]);
    for (auto& thread : threads) thread.join();
    for (Status& result : results)
      if (!result) return std::move(result);
    return {};
  }

  // Collectives bring all ranks together, messages do not.
  Status prepare() {
    std::vector<Share*> strangers, fresh;
    for (Share& share : shares_)
      if (std::ranges::any_of(calls_,
                              [&](const StreamCall& c) { return c.order == share.order && !is_message(c) && !c.beside_hosts; }))
        strangers.push_back(&share);
    begun_ = true;  // others may be waiting for this rank
    if (auto s = for_each_share(strangers, [](Share& share) { return share.order->meet(); }); !s) return s;
    for (const StreamCall& c : calls_) {
      if (c.beside_hosts || c.order->devices() == nullptr || !DeviceCalls::serves(c.request)) {
        rounds_.add(driver_, c);
        continue;
      }
      Share& share = *share_of(c.order);
      (is_message(c) ? share.messages : share.collectives).push_back(&c);
    }
    for (Share& share : shares_)
      if (share.order->devices() != nullptr && !share.prepared()) fresh.push_back(&share);
    return for_each_share(fresh, [](Share& share) { return share.prepare(); });
  }

  // Every share's stream comes after all that the calls' streams were given.
  Status gather() {
    for (Share& share : shares_) {
      const gpu::Entered entered(driver_, share.order->context());
      // A graph's place among other calls is the program's affair.
      if (!captured_)
        if (auto s = share.order->calls().follow(share.stream); !s) return s;
      for (const auto& [stream, context] : streams_)
        if (auto s = gpu::join(driver_, stream, context, share.stream); !s) return s;
    }
    return {};
  }

  Status scatter() {
    for (Share& share : shares_) {
      for (const auto& [stream, context] : streams_)
        if (auto s = gpu::join(driver_, share.stream, share.order->context(), stream); !s) return s;
      if (!captured_)
        if (auto s = share.order->calls().lead(share.stream); !s) return s;
    }
    return {};
  }

  Status enqueue_collectives(Share& share) {
    for (const StreamCall* c : share.collectives) {
      const Request& r = c->request;
      const gpu::DeviceBuffers buffers{gpu::address(r.input), gpu::address(r.output)};
      auto factor = factor_of(r);
      if (!factor) return std::move(factor.error());
      if (auto s = share.order->enqueue(*share.order->devices()->find(r), signature_of(r), {&buffers, 1}, *factor, share.stream,
                                        captured_);
          !s)
        return s;
    }
    return {};
  }

  // premul_sum's.
  Result<gpu::Factor> factor_of(const Request& r) const {
    if (r.op.kind != ReduceKind::premul_sum || r.op.scalar_at == nullptr) return gpu::Factor{.value = r.op.scalar};
    if (gpu::locate(driver_, r.op.scalar_at).kind != MemoryKind::host)
      return gpu::Factor{.on_device = gpu::address(r.op.scalar_at)};
    const kernels::Scalar scalar = kernels::read_scalar(r.op.scalar_at, r.type);
    if (scalar.exact(r.type)) return gpu::Factor{.value = scalar.value};
    return Error(Code::unsupported,
                 fmt::format("devices take a factor of more than 53 bits from their own memory only; this one, {}, "
                             "lies in the host's",
                             scalar.integer));
  }

  Status enqueue_messages(Share& share) {
    if (share.messages.empty()) return {};
    const auto buffers = share.buffers_of_group();
    const Signature signature{.collective = static_cast<std::uint8_t>(Collective::send_recv)};
    return share.order->enqueue(*share.order->devices()->find(share.group()), signature, buffers, {}, share.stream, captured_);
  }

  // In the first stream; the others wait for it.
  Status enqueue_rounds() {
    if (rounds_.done()) return {};
    const Share& first = shares_.front();
    for (const Share& share : shares_)
      if (auto s = gpu::join(driver_, share.stream, share.order->context(), first.stream); !s) return s;
    if (auto s = HostPipeline(driver_, *first.order, first.stream).run(rounds_, captured_); !s) return s;
    for (const Share& share : shares_)
      if (auto s = gpu::join(driver_, first.stream, first.order->context(), share.stream); !s) return s;
    return {};
  }

  const gpu::Driver& driver_;
  std::span<const StreamCall> calls_;
  bool captured_ = false, begun_ = false;
  std::vector<Share> shares_;
  std::map<gpu::StreamHandle, gpu::ContextHandle> streams_;  // of the calls
  HostRounds rounds_;
};

}  // namespace

Status enqueue(const gpu::Driver& driver, std::span<const StreamCall> calls) {
  for (const StreamCall& c : calls)
    if (auto s = c.order->failure(); !s) return s;
  Enqueuing enqueuing(driver, calls);
  auto status = enqueuing.run();
  // What is wrong with a call itself is wrong on all ranks alike.
  if (status || !enqueuing.begun() || status.error().code() == Code::invalid_argument) return status;
  // A part of it may be under way: what the others wait for will not come.
  for (const StreamCall& c : calls) {
    c.order->runner().abort(status.error().to_string());
    c.order->fail(status.error());
  }
  return status;
}

}  // namespace tutti
