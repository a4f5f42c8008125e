#include "runtime/enqueue.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/log.h"
#include "core/thread.h"
#include "kernels/scalar.h"
#include "runtime/stream_order.h"

namespace tutti {
namespace {

bool is_message(const StreamCall& c) { return c.call.collective == Collective::send_recv; }

// The calls of one communicator, and the stream that they are put into.
struct Share {
  StreamOrder* order;
  gpu::StreamHandle stream;
  // For devices.
  struct Collective {
    const StreamCall* of;
    DeviceCalls::ReadyPtr ready = {};
  };
  std::vector<Collective> collectives = {};
  std::vector<const StreamCall*> messages = {};
  DeviceCalls::ReadyPtr ready_messages = {};

  // What the devices need to know before anything is enqueued, if they have known it before.
  [[nodiscard]] bool find() {
    const DeviceCalls& devices = *order->devices();
    for (Collective& c : collectives) c.ready = devices.find(c.of->request);
    if (!messages.empty()) ready_messages = devices.find(group());
    return std::ranges::all_of(collectives, [](const Collective& c) { return c.ready != nullptr; }) &&
           (messages.empty() || ready_messages != nullptr);
  }
  Status prepare() {
    for (Collective& c : collectives) {
      auto ready = order->devices()->prepare(c.of->request);
      if (!ready) return std::move(ready.error());
      c.ready = std::move(*ready);
    }
    if (messages.empty()) return {};
    auto ready = order->devices()->prepare(group());
    if (!ready) return std::move(ready.error());
    ready_messages = std::move(*ready);
    return {};
  }

  // That are put into the stream.
  [[nodiscard]] std::size_t operations() const {
    std::size_t sum = 0;
    const auto add = [&](const DeviceCalls::ReadyPtr& ready) {
      sum += ready && ready->prepared ? ready->prepared->operations() : 0;
    };
    for (const Collective& c : collectives) add(c.ready);
    add(ready_messages);
    return sum;
  }

  [[nodiscard]] bool may_wait() const {
    const DeviceCalls* devices = order->devices();
    if (devices == nullptr) return false;
    for (const auto& [call, ready] : collectives) {
      const gpu::DeviceBuffers buffers{gpu::address(call->request.input), gpu::address(call->request.output)};
      if (devices->may_wait(*ready, {&buffers, 1})) return true;
    }
    return ready_messages && devices->may_wait(*ready_messages, buffers_of_group());
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

  // What comes after a failure comes after what has been enqueued until then.
  void lead() {
    if (captured_) return;
    for (Share& share : shares_)
      if (auto s = share.order->calls().lead(share.stream); !s) log(LogLevel::error, s.error().to_string());
  }

  Status run() {
    if (auto s = look_for_capture(); !s) return s;
    if (auto s = share_out(); !s) return s;
    if (auto s = prepare(); !s) return s;
    if (auto s = gather(); !s) return s;
    if (auto s = enqueue_all([this](Share& share) { return enqueue_collectives(share); }); !s) return s;
    if (auto s = enqueue_rounds(); !s) return s;
    if (auto s = enqueue_all([this](Share& share) { return enqueue_messages(share); }); !s) return s;
    return scatter();
  }

 private:
  Status look_for_capture() {
    const gpu::Entered entered(driver_, calls_.front().order->context());  // the thread may have none
    auto capturing = gpu::is_capturing(driver_, calls_.front().stream);
    if (!capturing) return std::move(capturing.error());
    captured_ = *capturing;
    return {};
  }

  // Ranks that one thread has must not wait for each other in one stream.
  Status share_out() {
    std::set<gpu::StreamHandle> taken;
    for (const StreamCall& c : calls_) {
      streams_.emplace(c.stream, c.order->context());
      if (share_of(c.order) != nullptr) continue;
      gpu::StreamHandle stream = c.stream;
      if (!taken.insert(stream).second) {
        auto own = c.order->own_stream();
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
      if (is_message(c))
        share.messages.push_back(&c);
      else
        share.collectives.push_back({&c});
    }
    for (Share& share : shares_)
      if (share.order->devices() != nullptr && !share.find()) fresh.push_back(&share);
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
        if (auto s = join(stream, context, share.stream); !s) return s;
    }
    return {};
  }

  Status scatter() {
    for (Share& share : shares_) {
      for (const auto& [stream, context] : streams_)
        if (auto s = join(share.stream, share.order->context(), stream); !s) return s;
      if (!captured_)
        if (auto s = share.order->calls().lead(share.stream); !s) return s;
    }
    return {};
  }

  // What comes on `to` comes after what is on `from`.
  Status join(gpu::StreamHandle from, gpu::ContextHandle context, gpu::StreamHandle to) {
    if (from == to) return {};
    const gpu::Entered entered(driver_, context);
    const gpu::Uncaptured uncaptured(driver_);
    auto event = gpu::Event::make(driver_);
    if (!event) return std::move(event.error());
    if (auto s = gpu::check(driver_, driver_.record(event->handle(), from), "cuEventRecord"); !s) return s;
    return gpu::check(driver_, driver_.wait_event(to, event->handle(), 0), "cuStreamWaitEvent");
  }

  // One after the other, as long as none waits for one that comes later: because it gives a device too much (gpu/backlog.h), or
  // for what another rank has to do first.
  template <class What>
  Status enqueue_all(What&& what) {
    std::vector<Share*> large;
    for (Share& share : shares_)
      if (share.operations() > gpu::Backlog::kBetweenMarks || (shares_.size() > 1 && share.may_wait()))
        large.push_back(&share);
      else if (auto s = what(share); !s)
        return s;
    return for_each_share(large, what);
  }

  Status enqueue_collectives(Share& share) {
    for (const auto& [call, ready] : share.collectives) {
      const Request& r = call->request;
      const gpu::DeviceBuffers buffers{gpu::address(r.input), gpu::address(r.output)};
      auto factor = factor_of(r);
      if (!factor) return std::move(factor.error());
      if (auto s = share.order->enqueue(*ready, signature_of(r), {&buffers, 1}, *factor, share.stream, captured_); !s) return s;
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
    return share.order->enqueue(*share.ready_messages, signature, buffers, {}, share.stream, captured_);
  }

  // In the first stream; the others wait for it. While the host does a round, the stream fetches what the next one takes, and
  // writes back what the one before has made.
  Status enqueue_rounds() {
    if (rounds_.done()) return {};
    const Share& first = shares_.front();
    const gpu::Entered entered(driver_, first.order->context());
    for (const Share& share : shares_)
      if (auto s = join(share.stream, share.order->context(), first.stream); !s) return s;
    std::vector<HostRound::Copy> after;
    for (std::size_t made = 0; !rounds_.done(); ++made) {
      auto next = rounds_.next(made % kStagingSlots);
      if (!next) return std::move(next.error());
      next->round.repeats = captured_;
      if (auto s = copy(next->before, first.stream); !s) return s;
      if (made > 0)
        if (auto s = first.order->await_round(first.stream); !s) return s;
      if (auto s = first.order->ask_for(std::move(next->round), first.stream); !s) return s;
      if (auto s = copy(after, first.stream); !s) return s;
      after = std::move(next->after);
    }
    if (auto s = first.order->await_round(first.stream); !s) return s;
    if (auto s = copy(after, first.stream); !s) return s;
    for (const Share& share : shares_)
      if (auto s = join(first.stream, first.order->context(), share.stream); !s) return s;
    return {};
  }

  Status copy(const std::vector<HostRound::Copy>& copies, gpu::StreamHandle stream) {
    for (const auto& [to, from, bytes] : copies)
      if (auto s = gpu::check(driver_, driver_.copy(gpu::address(to), gpu::address(from), bytes, stream), "cuMemcpyAsync"); !s)
        return s;
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
  if (!status) enqueuing.lead();
  // What is wrong with a call itself is wrong on all ranks alike.
  if (status || !enqueuing.begun() || status.error().code() == Code::invalid_argument) return status;
  for (const StreamCall& c : calls)
    if (auto s = c.order->failure(); !s) return s;  // what has been found out meanwhile
  // A part of it may be under way: what the others wait for will not come.
  for (const StreamCall& c : calls) {
    c.order->runner().abort(status.error().to_string());
    c.order->fail(status.error());
  }
  return status;
}

}  // namespace tutti
