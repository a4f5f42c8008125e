// What the UCX transport makes of libraries that do not do, and what it leaves alone of the process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <thread>
#include <vector>

#include "transports/ucx/ucx_transport.h"

namespace tutti {
namespace {

using testing::HasSubstr;

const TransportOptions kOptions = [] {
  TransportOptions options;
  options.interface = "127.0.0.1";
  return options;
}();

ucx::Library of_version(void (*version)(unsigned*, unsigned*, unsigned*)) {
  ucx::Library library;
  library.version = version;
  return library;
}

template <unsigned kMajor, unsigned kMinor>
const Result<ucx::Library>& old() {
  static const Result<ucx::Library> library = of_version([](unsigned* major, unsigned* minor, unsigned* release) {
    *major = kMajor;
    *minor = kMinor;
    *release = 3;
  });
  return library;
}

TEST(Ucx, ALibraryThatIsTooOldIsNamed) {
  UcxTransport transport(kOptions, old<1, 12>);
  const Status can = transport.probe();
  ASSERT_FALSE(can);
  EXPECT_EQ(can.error().code(), Code::environment);
  EXPECT_THAT(can.error().to_string(), HasSubstr("UCX 1.12.3"));
  EXPECT_THAT(can.error().to_string(), HasSubstr("1.13 or newer"));
  EXPECT_THAT(can.error().to_string(), HasSubstr("libucx0"));
}

TEST(Ucx, AnotherMajorVersionIsNotTaken) {
  UcxTransport transport(kOptions, old<2, 20>);
  const Status can = transport.probe();
  ASSERT_FALSE(can);
  EXPECT_THAT(can.error().to_string(), HasSubstr("UCX 2.20.3"));
}

TEST(Ucx, AMissingLibraryIsTheProbesReason) {
  UcxTransport transport(kOptions, []() -> const Result<ucx::Library>& {
    static const Result<ucx::Library> none = Error(Code::environment, "libucp.so.0 cannot be loaded");
    return none;
  });
  const Status can = transport.probe();
  ASSERT_FALSE(can);
  EXPECT_THAT(can.error().to_string(), HasSubstr("libucp.so.0 cannot be loaded"));
}

// A library of a version that does, whose functions say what the test wants.
struct Stub {
  static inline std::map<std::string, std::string> changed;
  static inline ucs_status_t init_status = UCS_OK;
  static inline ucs_thread_mode_t threads = UCS_THREAD_MODE_MULTI;
  static inline ucm_global_config_t memory{};
  static inline int events_at_init = -1, contexts = 0;

  static const Result<ucx::Library>& library() {
    static const Result<ucx::Library> stub = make();
    return stub;
  }

 private:
  static ucx::Library make() {
    ucx::Library l = *old<1, 13>();
    l.status_string = [](ucs_status_t) { return "what UCX says"; };
    l.memory_events = &memory;
    l.read_config = [](const char*, const char*, ucp_config_t**) { return UCS_OK; };
    l.modify_config = [](ucp_config_t*, const char* name, const char* value) {
      changed[name] = value;
      return UCS_OK;
    };
    l.release_config = [](ucp_config_t*) {};
    l.init = [](unsigned, unsigned, const ucp_params_t*, const ucp_config_t*, ucp_context_h*) {
      events_at_init = memory.enable_events;
      contexts += init_status == UCS_OK ? 1 : 0;
      return init_status;
    };
    l.cleanup = [](ucp_context_h) { --contexts; };
    l.query_context = [](ucp_context_h, ucp_context_attr_t* attributes) {
      attributes->thread_mode = threads;
      return UCS_OK;
    };
    return l;
  }
};

class UcxConfig : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : kVariables) unsetenv(name);
    Stub::changed.clear();
    Stub::init_status = UCS_OK;
    Stub::threads = UCS_THREAD_MODE_MULTI;
    Stub::memory.enable_events = 1;
  }
  void TearDown() override {
    for (const char* name : kVariables) unsetenv(name);
    EXPECT_EQ(Stub::contexts, 0);
    EXPECT_EQ(Stub::memory.enable_events, 1) << "others in the process use UCX as they did";
  }
  static Status probe() { return UcxTransport(kOptions, Stub::library).probe(); }

  static constexpr std::array kVariables{"UCX_TLS", "UCX_MM_ERROR_HANDLING", "UCX_MEM_EVENTS", "UCX_MEM_MMAP_HOOK_MODE"};
};

TEST_F(UcxConfig, SharedMemoryMayCarryConnectionsWhereItIsAllowed) {
  ASSERT_TRUE(probe());
  EXPECT_EQ(Stub::changed["MM_ERROR_HANDLING"], "y");
  for (const char* tls : {"posix,cma", "tcp,sm", "^sysv"}) {
    setenv("UCX_TLS", tls, 1);
    Stub::changed.clear();
    ASSERT_TRUE(probe());
    EXPECT_EQ(Stub::changed.count("MM_ERROR_HANDLING"), 1) << tls;
  }
  for (const char* tls : {"tcp", "rc_v,self", "^shm"}) {
    setenv("UCX_TLS", tls, 1);
    Stub::changed.clear();
    ASSERT_TRUE(probe());
    EXPECT_TRUE(Stub::changed.empty()) << tls;
  }
}

TEST_F(UcxConfig, TheUsersVariablesCount) {
  setenv("UCX_MM_ERROR_HANDLING", "n", 1);
  setenv("UCX_MEM_EVENTS", "y", 1);
  ASSERT_TRUE(probe());
  EXPECT_TRUE(Stub::changed.empty());
  EXPECT_EQ(Stub::events_at_init, 1);
}

TEST_F(UcxConfig, MemoryEventsAreOffWhileAContextIsMade) {
  ASSERT_TRUE(probe());
  EXPECT_EQ(Stub::events_at_init, 0);
}

TEST_F(UcxConfig, ABuildWithoutThreadsIsRefused) {
  Stub::threads = UCS_THREAD_MODE_SINGLE;
  const Status can = probe();
  ASSERT_FALSE(can);
  EXPECT_THAT(can.error().to_string(), HasSubstr("--enable-mt"));
}

TEST_F(UcxConfig, NoTransportIsUcxsReason) {
  Stub::init_status = UCS_ERR_NO_DEVICE;
  const Status can = probe();
  ASSERT_FALSE(can);
  EXPECT_THAT(can.error().to_string(), HasSubstr("UCX_TLS"));
  EXPECT_THAT(can.error().to_string(), HasSubstr("what UCX says"));
}

// The real library: as the process's own memory and signals must stay as they are.
TEST(Ucx, LeavesTheProcessAlone) {
  constexpr std::array kSignals{SIGILL, SIGSEGV, SIGBUS, SIGFPE};
  const auto handlers = [&] {
    std::array<void (*)(int), kSignals.size()> found{};
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
      struct sigaction action {};
      sigaction(kSignals[i], nullptr, &action);
      found[i] = action.sa_handler;
    }
    return found;
  };
  // Where UCX patches a function, it does so at its begin.
  const auto code = [] {
    std::array<std::array<unsigned char, 16>, 2> found{};
    std::memcpy(found[0].data(), reinterpret_cast<const void*>(&::munmap), found[0].size());
    std::memcpy(found[1].data(), reinterpret_cast<const void*>(&::mmap), found[1].size());
    return found;
  };
  const auto handlers_before = handlers();
  const auto code_before = code();
  UcxTransport transport(kOptions);
  const Status can = transport.probe();
  if (!can) GTEST_SKIP() << can.error().to_string();
  EXPECT_EQ(handlers(), handlers_before);
  EXPECT_EQ(code(), code_before);
}

// Sends `mine` and receives into `theirs`, until both are finished.
Status exchange(Endpoint& endpoint, std::uint32_t number, ConstBytes mine, Bytes theirs) {
  const Signature signature{.count = mine.size(), .sequence = number};
  auto sent = endpoint.post_send(signature, mine);
  if (!sent) return std::move(sent.error());
  Sink sink;
  sink.data = theirs.data();
  sink.size = theirs.size();
  auto received = endpoint.post_recv(signature, sink);
  if (!received) return std::move(received.error());
  for (bool sending = !*sent, receiving = !*received; sending || receiving;) {
    auto progress = endpoint.poll();
    if (!progress) return std::move(progress.error());
    sending &= progress->sends == 0;
    receiving &= progress->recvs == 0;
    if (!progress->moved) sched_yield();
  }
  return {};
}

// One thread's connection to the same thread of the other rank, again and again.
void talk(UcxTransport& transport, const ConnectRequest& request) {
  for (std::uint32_t round = 0; round < 3; ++round) {
    ConnectRequest now = request;
    now.stream = request.stream * 100 + round;
    auto endpoint = transport.connect(now);
    ASSERT_TRUE(endpoint) << endpoint.error().to_string();
    for (std::uint32_t k = 0; k < 50; ++k) {
      const std::vector<std::byte> mine(k * k * 40, std::byte(k + static_cast<std::uint32_t>(request.stream)));
      std::vector<std::byte> theirs(mine.size());
      const Status done = exchange(**endpoint, k, mine, theirs);
      ASSERT_TRUE(done) << done.error().to_string();
      ASSERT_EQ(theirs, mine) << "message " << k;
    }
  }
}

// Communicators of several threads share a rank's transport.
TEST(Ucx, ThreadsConnectAtTheSameTime) {
  setenv("UCX_TLS", "tcp", 1);
  constexpr std::uint64_t kThreads = 4;
  TransportOptions options = kOptions;
  UcxTransport zero(options);
  options.rank = 1;
  UcxTransport one(options);
  if (const Status can = zero.probe(); !can) GTEST_SKIP() << can.error().to_string();
  const auto of_zero = zero.listen(), of_one = one.listen();
  ASSERT_TRUE(of_zero && of_one);
  std::vector<std::jthread> threads;
  for (std::uint64_t stream = 1; stream <= kThreads; ++stream) {
    threads.emplace_back([&, stream] { talk(zero, {.me = 0, .peer = 1, .stream = stream, .peer_address = *of_one}); });
    threads.emplace_back([&, stream] { talk(one, {.me = 1, .peer = 0, .stream = stream, .peer_address = *of_zero}); });
  }
  threads.clear();
  unsetenv("UCX_TLS");
}

// UCX that holds on to what it is to flush and to close, and perhaps to send, until it is told not to; and what is asked of it
// meanwhile.
struct Holding {
  static inline bool holds = true, holds_sends = false;
  static inline const void* header = nullptr;  // of what was to be sent
  static inline int looks = 0, closes = 0, freed = 0, workers = 0;

  static const Result<ucx::Library>& library() {
    static const Result<ucx::Library> holding = make();
    return holding;
  }
  static void reset() {
    holds = true;
    holds_sends = false;
    header = nullptr;
    looks = closes = freed = workers = 0;
  }

 private:
  struct Held {
    void* request;  // UCX's, or none
  };
  static inline std::vector<Held*> held;
  static inline const ucx::Library* real = nullptr;

  static void* hold(void* request) { return held.emplace_back(new Held{UCS_PTR_IS_PTR(request) ? request : nullptr}); }
  static bool is_held(void* request) { return std::ranges::find(held, request) != held.end(); }
  static Result<ucx::Library> make() {
    const Result<ucx::Library>& found = ucx::library();
    if (!found) return found.error().clone();
    real = &*found;
    ucx::Library l = *real;
    l.send = [](ucp_ep_h handle, unsigned id, const void* its_header, std::size_t header_size, const void* data, std::size_t size,
                const ucp_request_param_t* how) {
      if (!holds_sends) return real->send(handle, id, its_header, header_size, data, size, how);
      header = its_header;
      return hold(nullptr);
    };
    l.flush = [](ucp_ep_h handle, const ucp_request_param_t* how) { return hold(real->flush(handle, how)); };
    l.close = [](ucp_ep_h handle, const ucp_request_param_t* how) {
      ++closes;
      return hold(real->close(handle, how));
    };
    l.request_status = [](void* request) {
      if (!is_held(request)) return real->request_status(request);
      ++looks;
      void* inner = static_cast<Held*>(request)->request;
      return holds ? UCS_INPROGRESS : inner != nullptr ? real->request_status(inner) : UCS_OK;
    };
    l.free_request = [](void* request) {
      if (!is_held(request)) return real->free_request(request);
      ++freed;
      std::erase(held, request);
      if (void* inner = static_cast<Held*>(request)->request; inner != nullptr) real->free_request(inner);
      delete static_cast<Held*>(request);
    };
    l.make_worker = [](ucp_context_h context, const ucp_worker_params_t* wanted, ucp_worker_h* handle) {
      ++workers;
      return real->make_worker(context, wanted, handle);
    };
    l.destroy_worker = [](ucp_worker_h handle) {
      --workers;
      real->destroy_worker(handle);
    };
    return l;
  }
};

// Both ends of connections, in one thread.
class UcxPair : public testing::Test {
 protected:
  struct Ends {
    std::unique_ptr<Endpoint> zero, one;
  };

  void SetUp() override {
    setenv("UCX_TLS", "tcp", 1);
    Holding::reset();
  }
  void TearDown() override { unsetenv("UCX_TLS"); }

  // Rank 0 has the library that is named. Whether there is UCX.
  bool open(UcxTransport::Loader library) {
    TransportOptions options = kOptions;
    zero_ = std::make_unique<UcxTransport>(options, library);
    options.rank = 1;
    one_ = std::make_unique<UcxTransport>(options);
    return static_cast<bool>(zero_->probe());
  }
  Ends connect(std::uint64_t stream) {
    const auto of_zero = zero_->listen(), of_one = one_->listen();
    Ends ends;
    auto zero = zero_->connect({.me = 0, .peer = 1, .stream = stream, .peer_address = *of_one});
    auto one = one_->connect({.me = 1, .peer = 0, .stream = stream, .peer_address = *of_zero});
    EXPECT_TRUE(zero && one);
    return {*std::move(zero), *std::move(one)};
  }
  static Sink sink_of(std::uint64_t& value) {
    Sink sink;
    sink.data = reinterpret_cast<std::byte*>(&value);
    sink.size = sizeof value;
    return sink;
  }
  static ConstBytes bytes_of(const std::uint64_t& value) { return {reinterpret_cast<const std::byte*>(&value), sizeof value}; }
  static Signature signature(std::uint32_t number) { return {.count = sizeof(std::uint64_t), .sequence = number}; }
  // Polls both. How many of zero's sends and of one's receives that finished is added to the counts.
  static void poll(Ends& ends, std::uint32_t& sent, std::uint32_t& received) {
    auto zero = ends.zero->poll(), one = ends.one->poll();
    ASSERT_TRUE(zero) << zero.error().to_string();
    ASSERT_TRUE(one) << one.error().to_string();
    sent += zero->sends;
    received += one->recvs;
    if (!zero->moved && !one->moved) sched_yield();
  }
  // One message from zero to one.
  static void greet(Ends& ends) {
    const std::uint64_t mine = 7;
    std::uint64_t theirs = 0;
    std::uint32_t sent = 0, received = 0;
    auto sending = ends.zero->post_send(signature(0), bytes_of(mine));
    auto receiving = ends.one->post_recv(signature(0), sink_of(theirs));
    ASSERT_TRUE(sending && receiving);
    for (sent += *sending, received += *receiving; (sent == 0 || received == 0) && !HasFatalFailure();)
      poll(ends, sent, received);
    EXPECT_EQ(theirs, mine);
  }

  std::unique_ptr<UcxTransport> zero_, one_;
};

TEST_F(UcxPair, ASenderIsHeldBackUntilItsMessagesAreAskedFor) {
  if (!open(ucx::library)) GTEST_SKIP();
  Ends ends = connect(1);
  constexpr std::uint32_t kMessages = 1000;
  std::vector<std::uint64_t> mine(kMessages), theirs(kMessages);
  std::uint32_t sent = 0, received = 0;
  for (std::uint32_t i = 0; i < kMessages; ++i) {
    mine[i] = i * std::uint64_t{17} + 1;
    auto sending = ends.zero->post_send(signature(i), bytes_of(mine[i]));
    ASSERT_TRUE(sending);
    sent += *sending;
  }
  while (sent < ucx::kWindow && !HasFatalFailure()) poll(ends, sent, received);
  for (int i = 0; i < 2000 && !HasFatalFailure(); ++i) poll(ends, sent, received);
  EXPECT_EQ(sent, ucx::kWindow);
  for (std::uint32_t i = 0; i < kMessages; ++i) {
    auto receiving = ends.one->post_recv(signature(i), sink_of(theirs[i]));
    ASSERT_TRUE(receiving);
    received += *receiving;
  }
  while ((sent < kMessages || received < kMessages) && !HasFatalFailure()) poll(ends, sent, received);
  EXPECT_EQ(theirs, mine);
}

TEST_F(UcxPair, PollingDoesNotWaitForConnectionsThatAreClosed) {
  if (!open(Holding::library)) GTEST_SKIP();
  Ends closed = connect(1), open = connect(2);
  greet(closed);
  greet(open);
  closed.zero->close();
  ASSERT_EQ(Holding::closes, 0) << "what was sent is still under way";
  std::uint64_t never = 0;
  ASSERT_TRUE(open.zero->post_recv(signature(1), sink_of(never)));
  std::uint32_t sent = 0, received = 0;
  const auto poll_until = [&](const auto& done) {
    while (!done() && !HasFatalFailure()) {
      const int before = Holding::looks;
      poll(open, sent, received);
      ASSERT_LE(Holding::looks - before, 3) << "a look at each of its requests";
    }
  };
  poll_until([] { return Holding::closes == 1; });
  EXPECT_EQ(Holding::freed, 0);
  EXPECT_EQ(Holding::workers, 2);
  Holding::holds = false;
  poll_until([] { return Holding::freed == 2; });
  EXPECT_EQ(Holding::workers, 1) << "of the connection that is open";
}

// As UCX may still call it.
TEST_F(UcxPair, AConnectionThatUcxDoesNotLetGoOfIsKept) {
  if (!open(Holding::library)) GTEST_SKIP();
  Ends ends = connect(1);
  greet(ends);
  ends.zero.reset();
  zero_.reset();
  EXPECT_EQ(Holding::closes, 1);
  EXPECT_EQ(Holding::freed, 0);
  EXPECT_EQ(Holding::workers, 1) << "the connection's";
}

// As UCX may still read it.
TEST_F(UcxPair, AHeaderThatUcxDoesNotLetGoOfIsKept) {
  if (!open(Holding::library)) GTEST_SKIP();
  Ends ends = connect(1);
  Holding::holds_sends = true;
  const std::uint64_t mine = 7;
  ASSERT_TRUE(ends.zero->post_send(signature(3), bytes_of(mine)));
  for (std::uint32_t sent = 0, received = 0; Holding::header == nullptr && !HasFatalFailure();) poll(ends, sent, received);
  ends.zero.reset();
  ucx::FragmentHeader header;
  std::memcpy(static_cast<void*>(&header), Holding::header, sizeof header);
  EXPECT_EQ(header.magic, ucx::FragmentHeader::kMagic);
  EXPECT_EQ(header.bytes, sizeof mine);
  EXPECT_EQ(header.signature, signature(3));
}

}  // namespace
}  // namespace tutti
