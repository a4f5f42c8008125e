#include "runtime/stream_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "core/thread.h"

namespace tutti {
namespace {

struct HostCopy {
  std::byte* to;
  const std::byte* from;
  std::uint64_t bytes;
};

struct StreamCopy {
  gpu::Address to, from;
  std::uint64_t bytes;
};

bool is_message(const Call& call) { return call.collective == Collective::send_recv; }

}  // namespace

struct HostRound {
  StreamOrder* asked_of = nullptr;
  bool repeats = false;  // part of a graph
  struct Part {
    StreamOrder* order;
    std::unique_ptr<OwnedCall> call;
  };
  std::vector<Part> parts;
  std::vector<HostCopy> before, after;  // of memory that the driver does not know

  Status run() {
    for (const HostCopy& c : before) std::memcpy(c.to, c.from, c.bytes);
    auto status = make_calls();
    if (status)
      for (const HostCopy& c : after) std::memcpy(c.to, c.from, c.bytes);
    return status;
  }

 private:
  Status make_calls() {
    if (parts.size() == 1 && !is_message(parts.front().call->get()))
      return parts.front().order->runner_.run(parts.front().call->get());
    std::vector<RunnerCall> calls;
    for (const Part& part : parts) calls.push_back({&part.order->runner_, part.call->get()});
    return run_together(calls);
  }
};

StreamOrder::StreamOrder(const gpu::Driver& driver, Runner& runner, gpu::ContextHandle context, gpu::PinnedMemory word,
                         gpu::Event last)
    : driver_(driver), runner_(runner), context_(context), word_(std::move(word)), last_(std::move(last)) {
  this->word().store(0);
}

Result<std::unique_ptr<StreamOrder>> StreamOrder::make(const gpu::Driver& driver, Runner& runner) {
  auto context = gpu::context_of_this_thread(driver);
  if (!context) return std::move(context.error());
  const gpu::Entered entered(driver, *context);
  const gpu::Uncaptured uncaptured(driver);
  auto word = gpu::PinnedMemory::make(driver, sizeof(std::uint32_t));
  if (!word) return std::move(word.error());
  auto last = gpu::Event::make(driver);
  if (!last) return std::move(last.error());
  std::unique_ptr<StreamOrder> made(new StreamOrder(driver, runner, *context, std::move(*word), std::move(*last)));
  auto thread = start_thread([order = made.get()] { order->loop(); });
  if (!thread) return std::move(thread.error());
  made->thread_ = std::move(*thread);
  return made;
}

StreamOrder::~StreamOrder() {
  const gpu::Entered entered(driver_, context_);
  (void)wait_until_idle();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  if (own_stream_ != nullptr) (void)driver_.destroy_stream(own_stream_);
}

Status StreamOrder::wait_until_idle() {
  if (!last_stream_) return {};
  return gpu::check(driver_, driver_.synchronize_event(last_.handle()), "waiting for the stream of the last call");
}

Status StreamOrder::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_ ? Status(failure_->clone()) : Status{};
}

Result<gpu::StreamHandle> StreamOrder::own_stream() {
  if (own_stream_ == nullptr) {
    const gpu::Entered entered(driver_, context_);
    if (auto s = gpu::check(driver_, driver_.make_stream(&own_stream_, gpu::kNonBlocking), "cuStreamCreate"); !s)
      return std::move(s.error());
  }
  return own_stream_;
}

// What comes now on the stream comes after the calls before.
Status StreamOrder::follow(gpu::StreamHandle stream) {
  if (!last_stream_ || *last_stream_ == stream) return {};
  return gpu::check(driver_, driver_.wait_event(stream, last_.handle(), 0), "waiting for the stream of the call before");
}

Status StreamOrder::lead(gpu::StreamHandle stream) {
  last_stream_ = stream;
  const gpu::Entered entered(driver_, context_);
  return gpu::check(driver_, driver_.record(last_.handle(), stream),
                    fmt::format("following stream {}, which must belong to the same device on every call", stream));
}

Result<std::byte*> StreamOrder::staging(std::uint64_t bytes) {
  if (staging_.empty() || staging_.back().size() < bytes) {
    constexpr std::uint64_t kLeast = std::uint64_t{64} << 10;
    const gpu::Entered entered(driver_, context_);
    const gpu::Uncaptured uncaptured(driver_);
    auto made = gpu::PinnedMemory::make(driver_, std::bit_ceil(std::max(bytes, kLeast)));
    if (!made) return std::move(made.error());
    staging_.push_back(std::move(*made));
  }
  return staging_.back().data();
}

HostRound& StreamOrder::keep(HostRound round) {
  for (const auto& part : round.parts) part.order->unfinished_.fetch_add(round.repeats ? 0 : 1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  return rounds_.emplace_back(std::move(round));
}

// By the stream, in a thread of the driver that must not call it.
void StreamOrder::ask(HostRound& round) {
  const std::lock_guard lock(mutex_);
  asked_.push_back(&round);
  changed_.notify_all();
}

void StreamOrder::loop() {
  for (;;) {
    HostRound* round = nullptr;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !asked_.empty(); });
      if (asked_.empty()) return;
      round = asked_.front();
      asked_.pop_front();
    }
    run(*round);
  }
}

// The stream goes on in any case.
void StreamOrder::run(HostRound& round) {
  auto status = round.run();
  std::vector<StreamOrder*> concerned;
  for (const auto& part : round.parts) concerned.push_back(part.order);
  if (!status)
    for (StreamOrder* order : concerned) order->fail(status.error());
  if (!round.repeats) {
    const std::lock_guard lock(mutex_);
    rounds_.remove_if([&](const HostRound& r) { return &r == &round; });
    for (StreamOrder* order : concerned) order->unfinished_.fetch_sub(1, std::memory_order_release);
  }
  word().store(1, std::memory_order_release);
}

void StreamOrder::fail(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = error.clone();
}

// Puts one set of calls into their streams. The first one's stream does the work, the others wait for it.
class Enqueuing {
 public:
  using StreamCall = StreamOrder::StreamCall;
  explicit Enqueuing(std::span<const StreamCall> calls)
      : calls_(calls), driver_(calls.front().order->driver_), leader_(*calls.front().order), stream_(calls.front().stream) {
    for (const StreamCall& c : calls) streams_.emplace(c.order, c.stream);
  }

  // Whether there is no way back.
  [[nodiscard]] bool begun() const noexcept { return begun_; }
  Status run() {
    const gpu::Entered entered(driver_, leader_.context_);
    auto capturing = gpu::is_capturing(driver_, stream_);
    if (!capturing) return std::move(capturing.error());
    captured_ = *capturing;
    if (auto s = gather(); !s) return s;
    for (const StreamCall& call : calls_) left_.push_back({&call, host_pieces(call.request, ranks(call)), 0, locate(call)});
    while (std::ranges::any_of(left_, [](const Left& l) { return l.next < l.pieces; }))
      if (auto s = enqueue_round(); !s) return s;
    return scatter();
  }

 private:
  struct Kinds {
    bool host_in, host_out;
  };
  struct Left {
    const StreamCall* call;
    std::uint64_t pieces, next;
    Kinds kinds;
  };
  // A piece, and where in its communicator's staging memory it lies.
  struct Placed {
    const Left* of;
    HostPiece piece;
    std::uint64_t at;
  };

  [[nodiscard]] static Rank ranks(const StreamCall& c) { return c.order->runner_.job().size(); }
  [[nodiscard]] Kinds locate(const StreamCall& c) const {
    return {gpu::locate(driver_, c.call.input).kind == MemoryKind::host,
            gpu::locate(driver_, c.call.output).kind == MemoryKind::host};
  }

  Status gather() {
    for (const auto& [order, stream] : streams_) {
      // A graph's place among other calls is the program's affair.
      if (!captured_)
        if (auto s = order->follow(stream); !s) return s;
      if (stream != stream_)
        if (auto s = join(stream, order->context_, stream_); !s) return s;
    }
    return {};
  }

  Status scatter() {
    for (const auto& [order, stream] : streams_) {
      if (stream != stream_)
        if (auto s = join(stream_, leader_.context_, stream); !s) return s;
      if (!captured_)
        if (auto s = order->lead(stream); !s) return s;
    }
    return {};
  }

  // What comes on `to` comes after what is on `from`.
  Status join(gpu::StreamHandle from, gpu::ContextHandle context, gpu::StreamHandle to) {
    const gpu::Entered entered(driver_, context);
    const gpu::Uncaptured uncaptured(driver_);
    auto event = gpu::Event::make(driver_);
    if (!event) return std::move(event.error());
    if (auto s = gpu::check(driver_, driver_.record(event->handle(), from), "cuEventRecord"); !s) return s;
    return gpu::check(driver_, driver_.wait_event(to, event->handle(), 0), "cuStreamWaitEvent");
  }

  void place(Left& left, std::vector<Placed>& placed) {
    const StreamCall& c = *left.call;
    Placed p{&left, host_piece(c.call, c.request, left.next++, c.order->runner_.job().rank(), ranks(c)), used_[c.order]};
    used_[c.order] += p.piece.staging_bytes;
    placed.push_back(std::move(p));
  }

  // Messages side by side; of a communicator's collectives, which keep their order, as many as fit.
  [[nodiscard]] std::vector<Placed> next_pieces() {
    std::vector<Placed> placed;
    used_.clear();
    std::map<StreamOrder*, bool> full;
    for (Left& left : left_)
      if (is_message(left.call->call) && left.next < left.pieces) place(left, placed);
    for (Left& left : left_) {
      StreamOrder* const order = left.call->order;
      while (!is_message(left.call->call) && left.next < left.pieces && !full[order]) {
        place(left, placed);
        full[order] = used_[order] >= kHostPieceBytes;
      }
    }
    return placed;
  }

  Status enqueue_round() {
    const auto placed = next_pieces();
    HostRound round{.asked_of = &leader_, .repeats = captured_, .parts = {}, .before = {}, .after = {}};
    std::vector<StreamCopy> before, after;
    for (const Placed& p : placed) {
      StreamOrder* const order = p.of->call->order;
      auto staging = order->staging(used_[order]);
      if (!staging) return std::move(staging.error());
      add(p, *staging + p.at, round, before, after);
    }
    begun_ = true;
    HostRound& kept = leader_.keep(std::move(round));
    if (auto s = copy(before); !s) return s;
    const auto ask = [](void* data) {
      auto& asked = *static_cast<HostRound*>(data);
      asked.asked_of->ask(asked);
    };
    if (auto s = gpu::check(driver_, driver_.call_host(stream_, ask, &kept), "cuLaunchHostFunc"); !s) return s;
    const gpu::Address word = leader_.word_.on_device();
    if (auto s = gpu::check(driver_, driver_.wait_value(stream_, word, 1, gpu::kWaitEqual), "cuStreamWaitValue32"); !s) return s;
    if (auto s = gpu::check(driver_, driver_.write_value(stream_, word, 0, 0), "cuStreamWriteValue32"); !s) return s;
    return copy(after);
  }

  static void add(const Placed& p, std::byte* staging, HostRound& round, std::vector<StreamCopy>& before,
                  std::vector<StreamCopy>& after) {
    const StreamCall& c = *p.of->call;
    Call call = p.piece.call;
    call.input = p.piece.has_input ? staging + p.piece.input : nullptr;
    call.output = p.piece.has_output ? staging + p.piece.output : nullptr;
    round.parts.push_back({c.order, std::make_unique<OwnedCall>(call)});
    for (const auto& [user, staged, bytes] : p.piece.before) {
      const std::byte* from = c.request.input + user;
      if (p.of->kinds.host_in)
        round.before.push_back({staging + staged, from, bytes});
      else
        before.push_back({gpu::address(staging + staged), gpu::address(from), bytes});
    }
    for (const auto& [user, staged, bytes] : p.piece.after) {
      std::byte* to = c.request.output + user;
      if (p.of->kinds.host_out)
        round.after.push_back({to, staging + staged, bytes});
      else
        after.push_back({gpu::address(to), gpu::address(staging + staged), bytes});
    }
  }

  Status copy(const std::vector<StreamCopy>& copies) {
    for (const StreamCopy& c : copies)
      if (auto s = gpu::check(driver_, driver_.copy(c.to, c.from, c.bytes, stream_), "cuMemcpyAsync"); !s) return s;
    return {};
  }

  std::span<const StreamCall> calls_;
  const gpu::Driver& driver_;
  StreamOrder& leader_;
  const gpu::StreamHandle stream_;
  bool captured_ = false, begun_ = false;
  std::set<std::pair<StreamOrder*, gpu::StreamHandle>> streams_;
  std::vector<Left> left_;
  std::map<StreamOrder*, std::uint64_t> used_;  // bytes of staging memory in this round
};

Status StreamOrder::enqueue(std::span<const StreamCall> calls) {
  for (const StreamCall& c : calls)
    if (auto s = c.order->failure(); !s) return s;
  Enqueuing enqueuing(calls);
  auto status = enqueuing.run();
  if (status || !enqueuing.begun()) return status;
  // A part of it may be under way: what the others wait for will not come.
  for (const StreamCall& c : calls) {
    c.order->runner_.abort(status.error().to_string());
    c.order->fail(status.error());
  }
  return status;
}

}  // namespace tutti
