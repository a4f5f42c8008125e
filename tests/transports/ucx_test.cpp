// What the UCX transport makes of libraries that do not do, and what it leaves alone of the process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

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

}  // namespace
}  // namespace tutti
