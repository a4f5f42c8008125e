#include "runtime/stream_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "core/log.h"
#include "core/thread.h"

namespace tutti {
namespace {

constexpr auto kLookOutEvery = std::chrono::milliseconds(20), kAnswerWithin = std::chrono::milliseconds(1);
constexpr std::size_t kRemembered = 100;                      // calls that are compared with other ranks'
constexpr std::uint32_t kOfDevices = std::uint32_t{1} << 31;  // their numbers are no others'
constexpr std::size_t kLineBytes = 64;

}  // namespace

StreamOrder::StreamOrder(const gpu::Driver& driver, Runner& runner, gpu::ContextHandle context, gpu::PinnedMemory words,
                         gpu::CallOrder calls)
    : driver_(driver),
      runner_(runner),
      context_(context),
      words_(std::move(words)),
      calls_(std::move(calls)),
      watch_(*runner.job().session().overlay) {
  for (const Word w : {Word::host_done, Word::begun, Word::done}) word(w).store(0);
}

std::atomic_ref<std::uint32_t> StreamOrder::word(Word w) const noexcept {
  return std::atomic_ref(*reinterpret_cast<std::uint32_t*>(words_.data() + static_cast<std::size_t>(w) * kLineBytes));
}

gpu::Address StreamOrder::address(Word w) const noexcept { return words_.on_device() + static_cast<std::size_t>(w) * kLineBytes; }

Result<std::unique_ptr<StreamOrder>> StreamOrder::make(const gpu::Driver& driver, Runner& runner) {
  auto context = gpu::context_of_this_thread(driver);
  if (!context) return std::move(context.error());
  const gpu::Entered entered(driver, *context);
  const gpu::Uncaptured uncaptured(driver);
  auto words = gpu::PinnedMemory::make(driver, kWords * kLineBytes);
  if (!words) return std::move(words.error());
  auto calls = gpu::CallOrder::make(driver, *context);
  if (!calls) return std::move(calls.error());
  std::unique_ptr<StreamOrder> made(new StreamOrder(driver, runner, *context, std::move(*words), std::move(*calls)));
  auto thread = start_thread([order = made.get()] { order->loop(); });
  if (!thread) return std::move(thread.error());
  made->thread_ = std::move(*thread);
  return made;
}

StreamOrder::~StreamOrder() {
  const gpu::Entered entered(driver_, context_);
  const gpu::Uncaptured uncaptured(driver_);
  (void)wait_until_idle();
  settle();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  devices_.reset();
  if (own_stream_ != nullptr) (void)driver_.destroy_stream(own_stream_);
}

// Memory that others' devices write into is not given back before they have. As in calls, failures are looked out for meanwhile.
void StreamOrder::settle() {
  if (devices_ == nullptr || !failure()) return;
  auto stream = own_stream();
  if (!stream) return;
  const std::uint32_t number = announce({}, false);
  const auto mark = [&](Word w) { return driver_.write_value(*stream, address(w), number, 0) == 0; };
  if (mark(Word::begun) && devices_->settle(*stream) && mark(Word::done)) (void)driver_.synchronize(*stream);
}

bool StreamOrder::idle() const noexcept {
  return unfinished_.load(std::memory_order_acquire) == 0 &&
         word(Word::done).load(std::memory_order_acquire) == device_calls_.load();
}

Status StreamOrder::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_ ? Status(failure_->clone()) : Status{};
}

void StreamOrder::fail(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (failure_ && failure_->code() != Code::timeout) return;  // what a timeout was found to come from is said instead
  failure_ = error.clone();
  if (devices_ != nullptr)
    if (auto s = devices_->abort(); !s) log(LogLevel::error, s.error().to_string());
}

Result<gpu::StreamHandle> StreamOrder::own_stream() {
  if (own_stream_ == nullptr) {
    const gpu::Entered entered(driver_, context_);
    const gpu::Uncaptured uncaptured(driver_);
    if (auto s = gpu::check(driver_, driver_.make_stream(&own_stream_, gpu::kNonBlocking), "cuStreamCreate"); !s)
      return std::move(s.error());
  }
  return own_stream_;
}

Status StreamOrder::meet() {
  if (std::exchange(met_, true) || ranks() == 1) return {};
  const gpu::Uncaptured uncaptured(driver_);
  if (auto s = wait_until_idle(); !s) return s;
  auto made = DeviceCalls::make(driver_, context_, runner_);
  if (!made && made.error().code() != Code::unsupported) return std::move(made.error());
  if (!made) {
    why_no_devices_ = made.error().to_string();
    log(LogLevel::info, fmt::format("the host does calls of devices: {}", why_no_devices_));
    return {};
  }
  device_bytes_ = (*made)->memory_bytes();
  const std::lock_guard lock(mutex_);
  devices_ = std::move(*made);
  return {};
}

Result<std::byte*> StreamOrder::staging(std::uint64_t bytes, std::size_t slot) {
  auto& staging = staging_[slot];
  if (staging.empty() || staging.back().size() < bytes) {
    constexpr std::uint64_t kLeast = std::uint64_t{64} << 10;
    const gpu::Entered entered(driver_, context_);
    const gpu::Uncaptured uncaptured(driver_);
    auto made = gpu::PinnedMemory::make(driver_, std::bit_ceil(std::max(bytes, kLeast)));
    if (!made) return std::move(made.error());
    staging.push_back(std::move(*made));
  }
  return staging.back().data();
}

HostRound& StreamOrder::keep(HostRound round) {
  round.asked_of = this;
  for (const auto& part : round.parts) part.order->unfinished_.fetch_add(round.repeats ? 0 : 1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  return rounds_.emplace_back(std::move(round));
}

Status StreamOrder::ask_for(HostRound round, gpu::StreamHandle stream) {
  last_algorithm_.clear();
  HostRound& kept = keep(std::move(round));
  // In a thread of the driver, which this must not call.
  const auto ask = [](void* data) {
    auto& asked = *static_cast<HostRound*>(data);
    asked.asked_of->ask(asked);
  };
  return gpu::check(driver_, driver_.call_host(stream, ask, &kept), "cuLaunchHostFunc");
}

Status StreamOrder::await_round(gpu::StreamHandle stream) {
  const gpu::Address done = address(Word::host_done);
  if (auto s = gpu::check(driver_, driver_.wait_value(stream, done, 1, gpu::kWaitEqual), "cuStreamWaitValue32"); !s) return s;
  return gpu::check(driver_, driver_.write_value(stream, done, 0, 0), "cuStreamWriteValue32");
}

// The thread looks out from now on.
std::uint32_t StreamOrder::announce(const Signature& signature, bool captured) {
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
  has_graphs_ |= captured;
  if (captured) return 0;
  const std::uint32_t number = device_calls_.load() + 1;
  given_.push_back(signature);
  given_.back().sequence = number | kOfDevices;
  if (given_.size() > kRemembered) given_.pop_front();
  device_calls_ = number;
  return number;
}

Status StreamOrder::enqueue(const DeviceCalls::Ready& ready, const Signature& signature,
                            std::span<const gpu::DeviceBuffers> buffers, const gpu::Factor& factor, gpu::StreamHandle stream,
                            bool captured) {
  if (last_algorithm_ != ready.algorithm) last_algorithm_ = ready.algorithm;
  if (last_way_ != ready.way) last_way_ = ready.way;
  device_bytes_ = devices_->memory_bytes();
  const std::uint32_t number = announce(signature, captured);
  const gpu::Entered entered(driver_, context_);
  if (captured) return devices_->enqueue(ready, buffers, factor, stream);
  const auto mark = [&](Word w) {
    return gpu::check(driver_, driver_.write_value(stream, address(w), number, 0), "cuStreamWriteValue32");
  };
  if (auto s = mark(Word::begun); !s) return s;
  if (auto s = devices_->enqueue(ready, buffers, factor, stream); !s) return s;
  return mark(Word::done);
}

void StreamOrder::ask(HostRound& round) {
  const std::lock_guard lock(mutex_);
  asked_.push_back(&round);
  changed_.notify_all();
}

void StreamOrder::loop() {
  const auto something = [&] { return stopping_ || !asked_.empty(); };
  for (;;) {
    HostRound* round = nullptr;
    {
      std::unique_lock lock(mutex_);
      const auto devices_at_work = [&] { return has_graphs_ || word(Word::done).load() != device_calls_.load(); };
      changed_.wait(lock, [&] { return something() || devices_at_work(); });
      changed_.wait_for(lock, devices_ != nullptr && devices_->is_asked() ? Duration(kAnswerWithin) : Duration(kLookOutEvery),
                        something);
      if (!asked_.empty()) {
        round = asked_.front();
        asked_.pop_front();
      } else if (stopping_) {
        return;
      }
    }
    round != nullptr ? run(*round) : look_out();
  }
}

// The stream goes on in any case.
void StreamOrder::run(HostRound& round) {
  auto status = round.run();
  std::vector<StreamOrder*> concerned;
  concerned.reserve(round.parts.size());
  for (const auto& part : round.parts) concerned.push_back(part.order);
  if (!status)
    for (StreamOrder* order : concerned) order->fail(status.error());
  if (!round.repeats) {
    const std::lock_guard lock(mutex_);
    rounds_.remove_if([&](const HostRound& r) { return &r == &round; });
    for (StreamOrder* order : concerned) order->unfinished_.fetch_sub(1, std::memory_order_release);
  }
  word(Word::host_done).store(1, std::memory_order_release);
}

// While devices are at work.
void StreamOrder::look_out() {
  auto status = look_for_failures();
  if (status) status = answer();
  if (!status) fail(runner_.report(std::move(status.error())));
}

// What the other ranks ask of this one. Calls are announced under the lock, so that none begins while memory is given back.
Status StreamOrder::answer() {
  DeviceCalls* devices = nullptr;
  {
    const std::lock_guard lock(mutex_);
    devices = devices_.get();
    if (devices == nullptr || !devices->is_asked()) return {};
    if (!has_graphs_ && word(Word::done).load() == device_calls_.load()) devices->give_back();
  }
  return devices->answer();
}

Status StreamOrder::look_for_failures() {
  const std::uint32_t begun = word(Word::begun).load(), done = word(Word::done).load();
  // What a stream has not got to yet waits for no other rank.
  if (begun == done) return runner_.job().session().overlay->poll_failures();
  Waiting waiting;
  Signature first;
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return {};
    waiting.calls.assign(given_.begin(), given_.end());
    const auto found = std::ranges::find(given_, (done + 1) | kOfDevices, &Signature::sequence);
    if (found != given_.end()) first = *found;
  }
  for (Rank r = 0; r < ranks(); ++r)
    if (r != rank()) waiting.peers.push_back(r);
  const TimePoint now = Clock::now();
  if (!since_ || std::exchange(done_before_, done) != done) {
    since_ = now;
    watch_.restart();
  }
  if (auto s = watch_.check(waiting); !s) return s;
  if (now - *since_ < runner_.policy().timeout) return {};
  return too_late(first);
}

// A kernel says for whom it waited only when it is stopped; its stream goes on then, and whoever waited for that finds the error.
Error StreamOrder::too_late(const Signature& call) {
  constexpr auto kPatience = std::chrono::milliseconds(200);
  const std::lock_guard lock(mutex_);
  Rank peer = kNoRank;
  if (devices_->has_kernels()) {
    if (auto s = devices_->abort(); !s) log(LogLevel::error, s.error().to_string());
    for (const TimePoint until = Clock::now() + kPatience; peer == kNoRank && Clock::now() < until;) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      peer = devices_->waited_for();
    }
  }
  Error error(Code::timeout,
              fmt::format("{} on the device of rank {} was not done within {:.6g} s (TUTTI_TIMEOUT){}; every rank must "
                          "make the same calls in the same order",
                          call.to_string(), rank(), std::chrono::duration<double>(runner_.policy().timeout).count(),
                          peer == kNoRank ? "" : fmt::format(", waiting for rank {}", peer)),
              peer);
  failure_ = error.clone();
  return error;
}

}  // namespace tutti
