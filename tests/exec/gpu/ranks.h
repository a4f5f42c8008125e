// Ranks as threads of a test, or as processes, each with an executor on the driver that there is (in CI the stand-in's).
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "device/image.h"
#include "gpu/stream_executor.h"
#include "standin/api.h"

namespace tutti::gpu {

inline const Driver& d() {
  static const Driver* found = [] {
    setenv("STANDIN_KERNELS", TUTTI_KERNELS_HOST, 1);
    return driver();
  }();
  if (found == nullptr) throw std::runtime_error(why_no_driver().to_string());
  return *found;
}
inline void ok(Status s, const char* what = "") {
  if (!s) throw std::runtime_error(what + s.error().to_string());
}
inline void done(int result, const char* what = "the driver") { ok(check(d(), result, what)); }

// The stand-in does not look at it.
inline std::span<const unsigned char> kernels_image() {
  static constexpr unsigned char kNone[] = {0};
  return device::image().empty() ? std::span<const unsigned char>(kNone) : device::image();
}

// Queues between threads.
class Post {
 public:
  class Box final : public Courier {
   public:
    Box(Post& post, Rank me) : post_(post), me_(me) {}
    Status tell(Rank peer, ConstBytes letter) override { return post_.put({me_, peer}, letter); }
    Result<std::vector<std::byte>> hear(Rank peer) override { return post_.get({peer, me_}); }
    Result<bool> arrived(Rank peer) override { return post_.has({peer, me_}); }

   private:
    Post& post_;
    Rank me_;
  };
  // Everybody who listens hears an error.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  Status put(std::pair<Rank, Rank> way, ConstBytes letter) {
    const std::lock_guard lock(mutex_);
    ways_[way].emplace_back(letter.begin(), letter.end());
    changed_.notify_all();
    return {};
  }
  bool has(std::pair<Rank, Rank> way) {
    const std::lock_guard lock(mutex_);
    return !ways_[way].empty();
  }
  Result<std::vector<std::byte>> get(std::pair<Rank, Rank> way) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || !ways_[way].empty(); });
    if (ways_[way].empty()) return Error(Code::peer_lost, "the post is closed", way.first);
    auto letter = std::move(ways_[way].front());
    ways_[way].pop_front();
    return letter;
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::pair<Rank, Rank>, std::deque<std::vector<std::byte>>> ways_;
  bool closed_ = false;
};

// Where there are fewer devices, ranks share them; their kernels then wait for each other in streams of one process.
inline ContextHandle context_of_device(int device) {
  int devices = 0;
  done(d().device_count(&devices), "cuDeviceGetCount");
  ContextHandle context = nullptr;
  done(d().retain_context(&context, device % devices), "cuDevicePrimaryCtxRetain");
  return context;
}

// Memory that a test's ranks use: taken before they start, given back when all have gone (who frees memory waits for the device).
class TestMemory {
 public:
  explicit TestMemory(std::uint64_t bytes) : bytes_(bytes) { done(d().allocate(&at_, std::max<std::uint64_t>(bytes, 1))); }
  TestMemory(const TestMemory&) = delete;
  TestMemory& operator=(const TestMemory&) = delete;
  ~TestMemory() { (void)d().free(at_); }
  [[nodiscard]] Address at() const { return at_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  Address at_ = 0;
  std::uint64_t bytes_;
};

inline void put(Address to, const std::vector<std::byte>& bytes, StreamHandle stream) {
  if (!bytes.empty()) done(d().copy(to, address(bytes.data()), bytes.size(), stream), "copying to the device");
}
// Waits for the stream.
inline std::vector<std::byte> take(Address from, std::uint64_t bytes, StreamHandle stream) {
  std::vector<std::byte> taken(bytes);
  if (bytes > 0) done(d().copy(address(taken.data()), from, bytes, stream), "copying from the device");
  done(d().synchronize(stream), "cuStreamSynchronize");
  return taken;
}

// What a rank has.
struct RankTools {
  Rank rank = 0, ranks = 1;
  StreamExecutor* executor = nullptr;
  StreamHandle stream = nullptr;
};

inline StreamHandle new_stream() {
  StreamHandle stream = nullptr;
  done(d().make_stream(&stream, kNonBlocking), "cuStreamCreate");
  return stream;
}

inline StreamExecutor::Setup setup(ContextHandle context, Rank rank, Rank ranks, Courier& courier) {
  return {.lanes = {.driver = &d(), .context = context, .rank = rank, .ranks = ranks, .courier = &courier},
          .image = kernels_image()};
}

// Runs the body on every rank, a thread each, on device rank % devices. What a body throws fails the test.
inline void on_threads(Rank ranks, const std::function<void(const RankTools&)>& body, int devices = 1) {
  Post post;
  std::vector<std::thread> threads;
  std::mutex mutex;
  for (Rank r = 0; r < ranks; ++r)
    threads.emplace_back([&, r] {
      try {
        const ContextHandle context = context_of_device(r % devices);
        const Entered entered(d(), context);
        Post::Box box(post, r);
        auto executor = StreamExecutor::make(setup(context, r, ranks, box));
        if (!executor) throw std::runtime_error(executor.error().to_string());
        const StreamHandle stream = new_stream();
        body({r, ranks, executor->get(), stream});
        done(d().synchronize(stream));
        executor->reset();
        done(d().destroy_stream(stream));
      } catch (const std::exception& e) {
        const std::lock_guard lock(mutex);
        ADD_FAILURE() << "rank " << r << ": " << e.what();
        post.close();
      }
    });
  for (auto& t : threads) t.join();
}

}  // namespace tutti::gpu
