// The stand-in behaves as CUDA's documentation says the driver does.
#include <dlfcn.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
#include <numeric>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "standin/api.h"

namespace {

CUdeviceptr device(const void* pointer) { return reinterpret_cast<CUdeviceptr>(pointer); }

// A context of device 0 in a driver that has read these variables.
class Standin : public testing::Test {
 protected:
  void SetUp() override { begin({}); }
  void TearDown() override { end(); }

  void begin(const std::vector<std::pair<const char*, std::string>>& variables) {
    for (const char* name : kVariables) unsetenv(name);
    for (const auto& [name, value] : variables) setenv(name, value.c_str(), 1);
    ASSERT_EQ(cuInit(0), kSuccess);
    ASSERT_EQ(cuDevicePrimaryCtxRetain(&context_, 0), kSuccess);
    ASSERT_EQ(cuCtxSetCurrent(context_), kSuccess);
  }
  void end() {
    for (const char* name : kVariables) unsetenv(name);
    ASSERT_EQ(cuInit(0), kSuccess);
    EXPECT_EQ(cuDevicePrimaryCtxRelease_v2(0), kSuccess);
    ASSERT_EQ(cuCtxSetCurrent(nullptr), kSuccess);
  }
  void again(const std::vector<std::pair<const char*, std::string>>& variables) {
    end();
    begin(variables);
  }

  CUstream stream(unsigned flags = kStreamNonBlocking) {
    CUstream made = nullptr;
    EXPECT_EQ(cuStreamCreate(&made, flags), kSuccess);
    return made;
  }
  CUevent event(unsigned flags = 0) {
    CUevent made = nullptr;
    EXPECT_EQ(cuEventCreate(&made, flags), kSuccess);
    return made;
  }
  CUdeviceptr allocate(std::size_t bytes) {
    CUdeviceptr made = 0;
    EXPECT_EQ(cuMemAlloc_v2(&made, bytes), kSuccess);
    return made;
  }
  // Pinned memory of the host, zeroed.
  template <class T>
  T* pinned(std::size_t count = 1) {
    void* made = nullptr;
    EXPECT_EQ(cuMemHostAlloc(&made, count * sizeof(T), 0), kSuccess);
    std::memset(made, 0, count * sizeof(T));
    return static_cast<T*>(made);
  }
  // A word of device memory that holds 0.
  CUdeviceptr flag() {
    const CUdeviceptr made = allocate(8);
    EXPECT_EQ(cuStreamWriteValue64_v2(own_, made, 0, 0), kSuccess);
    EXPECT_EQ(cuStreamSynchronize(own_), kSuccess);
    return made;
  }
  // What these bytes of device memory hold now.
  template <class T>
  std::vector<T> read(CUdeviceptr from, std::size_t count) {
    std::vector<T> values(count);
    EXPECT_EQ(cuMemcpyDtoH_v2(values.data(), from, count * sizeof(T)), kSuccess);
    return values;
  }

  CUcontext context_ = nullptr;
  CUstream own_ = kStreamPerThread;

 private:
  static constexpr std::array kVariables{"STANDIN_DEVICES", "STANDIN_MEMORY", "STANDIN_VERSION",
                                         "STANDIN_FAIL",    "STANDIN_JITTER", "STANDIN_KERNELS"};
};

// ---- the library

TEST_F(Standin, IsFoundAsTheDriverIsFound) {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  ASSERT_NE(library, nullptr) << dlerror();
  EXPECT_EQ(dlsym(library, "cuMemAlloc_v2"), reinterpret_cast<void*>(&cuMemAlloc_v2));
  void* function = nullptr;
  CUdriverProcAddressQueryResult status{};
  EXPECT_EQ(cuGetProcAddress_v2("cuMemAlloc", &function, 13000, 0, &status), kSuccess);
  EXPECT_EQ(function, reinterpret_cast<void*>(&cuMemAlloc_v2));
  EXPECT_EQ(cuGetProcAddress_v2("cuStreamGetCaptureInfo", &function, 13000, 0, &status), kSuccess);
  EXPECT_EQ(function, reinterpret_cast<void*>(&cuStreamGetCaptureInfo_v3));
  EXPECT_EQ(cuGetProcAddress_v2("cuNoSuchThing", &function, 13000, 0, &status), kSuccess);
  EXPECT_EQ(function, nullptr);
  EXPECT_EQ(status, kSymbolNotFound);
}

TEST_F(Standin, PretendsWhatItsVariablesSay) {
  again({{"STANDIN_DEVICES", "3"}, {"STANDIN_VERSION", "12040"}, {"STANDIN_MEMORY", "1048576"}});
  int count = 0, version = 0;
  EXPECT_EQ(cuDeviceGetCount(&count), kSuccess);
  EXPECT_EQ(count, 3);
  EXPECT_EQ(cuDriverGetVersion(&version), kSuccess);
  EXPECT_EQ(version, 12040);
  std::size_t free_bytes = 0, total = 0;
  EXPECT_EQ(cuMemGetInfo_v2(&free_bytes, &total), kSuccess);
  EXPECT_EQ(total, 1048576U);
  CUdevice gone = 0;
  EXPECT_EQ(cuDeviceGet(&gone, 3), kInvalidDevice);
  CUuuid first{}, second{};
  EXPECT_EQ(cuDeviceGetUuid_v2(&first, 0), kSuccess);
  EXPECT_EQ(cuDeviceGetUuid_v2(&second, 1), kSuccess);
  EXPECT_NE(std::memcmp(&first, &second, sizeof first), 0);
  char bus[16];
  EXPECT_EQ(cuDeviceGetPCIBusId(bus, sizeof bus, 1), kSuccess);
  EXPECT_STREQ(bus, "0000:02:00.0");
  int can = 0;
  EXPECT_EQ(cuDeviceCanAccessPeer(&can, 0, 1), kSuccess);
  EXPECT_EQ(can, 1);
}

TEST_F(Standin, HasNoDevicesWhereToldSo) {
  setenv("STANDIN_DEVICES", "0", 1);
  EXPECT_EQ(cuInit(0), kNoDevice);
}

TEST_F(Standin, FailsWhereToldTo) {
  again({{"STANDIN_FAIL", "cuIpcOpenMemHandle,cuEventCreate:2,cuStreamWaitValue32_v2"}});
  CUevent made = nullptr;
  EXPECT_EQ(cuEventCreate(&made, 0), kOutOfMemory);
  CUdeviceptr address = 0;
  EXPECT_EQ(cuIpcOpenMemHandle_v2(&address, {}, 1), kNotSupported);
  EXPECT_EQ(cuStreamWaitValue32_v2(own_, flag(), 0, kWaitGeq), kNotSupported);
  EXPECT_EQ(cuStreamSynchronize(own_), kSuccess);
}

TEST_F(Standin, IsUninitialisedInForkedChildren) {
  const pid_t child = fork();
  if (child == 0) {
    int count = 0;
    _exit(cuDeviceGetCount(&count));
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), kNotInitialized);
}

TEST_F(Standin, NamesItsErrors) {
  const char* text = nullptr;
  EXPECT_EQ(cuGetErrorName(kIllegalAddress, &text), kSuccess);
  EXPECT_STREQ(text, "CUDA_ERROR_ILLEGAL_ADDRESS");
  EXPECT_EQ(cuGetErrorString(static_cast<CUresult>(12345), &text), kInvalidValue);
}

// ---- contexts

TEST_F(Standin, KeepsAStackOfCurrentContexts) {
  again({{"STANDIN_DEVICES", "2"}});
  CUcontext second = nullptr, current = nullptr;
  ASSERT_EQ(cuDevicePrimaryCtxRetain(&second, 1), kSuccess);
  EXPECT_EQ(cuCtxPushCurrent_v2(second), kSuccess);
  CUdevice which = 0;
  EXPECT_EQ(cuCtxGetDevice(&which), kSuccess);
  EXPECT_EQ(which, 1);
  EXPECT_EQ(cuCtxPopCurrent_v2(&current), kSuccess);
  EXPECT_EQ(current, second);
  EXPECT_EQ(cuCtxGetCurrent(&current), kSuccess);
  EXPECT_EQ(current, context_);
  std::thread([] {
    CUdevice none = 0;
    EXPECT_EQ(cuCtxGetDevice(&none), kInvalidContext);
  }).join();
  EXPECT_EQ(cuDevicePrimaryCtxRelease_v2(1), kSuccess);
  EXPECT_EQ(cuCtxSetCurrent(second), kInvalidContext);
}

TEST_F(Standin, NeedsPeerAccessBeforeTheDeviceWritesToAnother) {
  again({{"STANDIN_DEVICES", "2"}});
  CUcontext second = nullptr;
  ASSERT_EQ(cuDevicePrimaryCtxRetain(&second, 1), kSuccess);
  ASSERT_EQ(cuCtxPushCurrent_v2(second), kSuccess);
  const CUdeviceptr far = allocate(8);
  ASSERT_EQ(cuCtxPopCurrent_v2(nullptr), kSuccess);
  EXPECT_EQ(cuStreamWriteValue32_v2(own_, far, 1, 0), kInvalidValue);
  EXPECT_EQ(cuCtxEnablePeerAccess(second, 0), kSuccess);
  EXPECT_EQ(cuCtxEnablePeerAccess(second, 0), kPeerAccessAlreadyEnabled);
  EXPECT_EQ(cuCtxEnablePeerAccess(context_, 0), kInvalidDevice);
  EXPECT_EQ(cuStreamWriteValue32_v2(own_, far, 1, 0), kSuccess);
  EXPECT_EQ(cuStreamSynchronize(own_), kSuccess);
  EXPECT_EQ(cuDevicePrimaryCtxRelease_v2(1), kSuccess);
}

// ---- memory

TEST_F(Standin, TellsMemoryApart) {
  const CUdeviceptr base = allocate(1000);
  const auto ask = [&](CUpointer_attribute which, CUdeviceptr address) {
    std::uint64_t value = 0;
    EXPECT_EQ(cuPointerGetAttribute(&value, which, address), kSuccess);
    return value;
  };
  EXPECT_EQ(ask(kAttributeMemoryType, base + 999), kMemoryDevice);
  EXPECT_EQ(ask(kAttributeRangeStart, base + 999), base);
  EXPECT_EQ(ask(kAttributeRangeSize, base), 1000U);
  EXPECT_EQ(ask(kAttributeContext, base), device(context_));
  EXPECT_EQ(ask(kAttributeIsIpcCapable, base), 1U);
  CUdeviceptr managed = 0;
  EXPECT_EQ(cuMemAllocManaged(&managed, 8, 1), kSuccess);
  EXPECT_EQ(ask(kAttributeIsManaged, managed), 1U);
  auto* host = pinned<int>();
  EXPECT_EQ(ask(kAttributeMemoryType, device(host)), kMemoryHost);
  std::vector<int> pageable(4);
  int type = -1, ordinal = 0;
  EXPECT_EQ(cuPointerGetAttribute(&type, kAttributeMemoryType, device(pageable.data())), kInvalidValue);
  CUpointer_attribute both[] = {kAttributeMemoryType, kAttributeDeviceOrdinal};
  void* values[] = {&type, &ordinal};
  EXPECT_EQ(cuPointerGetAttributes(2, both, values, device(pageable.data())), kSuccess);
  EXPECT_EQ(type, 0);
  EXPECT_EQ(ordinal, -1);
  EXPECT_EQ(cuMemHostRegister_v2(pageable.data(), 16, 0), kSuccess);
  EXPECT_EQ(cuMemHostRegister_v2(pageable.data() + 1, 4, 0), kHostMemoryAlreadyRegistered);
  EXPECT_EQ(ask(kAttributeMemoryType, device(pageable.data() + 3)), kMemoryHost);
  EXPECT_EQ(cuMemHostUnregister(pageable.data()), kSuccess);
  EXPECT_EQ(cuMemHostUnregister(pageable.data()), kHostMemoryNotRegistered);
}

TEST_F(Standin, GivesAddressesOutAgainWithAnotherIdentity) {
  const auto id = [](CUdeviceptr of) {
    std::uint64_t value = 0;
    EXPECT_EQ(cuPointerGetAttribute(&value, kAttributeBufferId, of), kSuccess);
    return value;
  };
  const CUdeviceptr first = allocate(4096);
  const std::uint64_t first_id = id(first);
  EXPECT_EQ(cuMemFree_v2(first), kSuccess);
  EXPECT_EQ(cuMemFree_v2(first), kInvalidValue);
  const CUdeviceptr second = allocate(4096);
  EXPECT_EQ(second, first);
  EXPECT_NE(id(second), first_id);
  CUdeviceptr base = 0;
  std::size_t bytes = 0;
  EXPECT_EQ(cuMemGetAddressRange_v2(&base, &bytes, second + 10), kSuccess);
  EXPECT_EQ(base, second);
  EXPECT_EQ(bytes, 4096U);
}

TEST_F(Standin, RunsOutOfMemory) {
  again({{"STANDIN_MEMORY", "10000"}});
  const CUdeviceptr most = allocate(6000);
  CUdeviceptr more = 0;
  EXPECT_EQ(cuMemAlloc_v2(&more, 4001), kOutOfMemory);
  EXPECT_EQ(cuMemAlloc_v2(&more, 4000), kSuccess);
  EXPECT_EQ(cuMemFree_v2(most), kSuccess);
  EXPECT_EQ(cuMemAlloc_v2(&more, 6000), kSuccess);
  EXPECT_EQ(cuMemAlloc_v2(&more, 0), kInvalidValue);
}

TEST_F(Standin, FreesOnlyWhenTheDeviceIsIdle) {
  const CUdeviceptr go = flag(), other = allocate(64);
  const CUstream waiting = stream(), opening = stream();
  auto* reached = pinned<std::uint32_t>();
  ASSERT_EQ(cuStreamWaitValue32_v2(waiting, go, 1, kWaitGeq), kSuccess);
  ASSERT_EQ(cuStreamWriteValue32_v2(waiting, device(reached), 7, 0), kSuccess);
  std::thread freeing([&] {
    EXPECT_EQ(cuCtxSetCurrent(context_), kSuccess);
    EXPECT_EQ(cuMemFree_v2(other), kSuccess);
    EXPECT_EQ(*reached, 7U);
  });
  EXPECT_EQ(cuStreamWriteValue32_v2(opening, go, 1, 0), kSuccess);
  freeing.join();
}

// ---- streams

TEST_F(Standin, RunsAStreamInOrder) {
  constexpr int kTimes = 200;
  again({{"STANDIN_JITTER", "20"}});
  const CUstream on = stream();
  const CUdeviceptr word = allocate(4);
  auto* seen = pinned<std::uint32_t>(kTimes);
  for (std::uint32_t i = 0; i < kTimes; ++i) {
    ASSERT_EQ(cuMemsetD32Async(word, i, 1, on), kSuccess);
    ASSERT_EQ(cuMemcpyDtoHAsync_v2(seen + i, word, 4, on), kSuccess);
  }
  ASSERT_EQ(cuStreamSynchronize(on), kSuccess);
  for (std::uint32_t i = 0; i < kTimes; ++i) ASSERT_EQ(seen[i], i);
  EXPECT_EQ(cuStreamDestroy_v2(on), kSuccess);
  EXPECT_EQ(cuStreamDestroy_v2(on), kInvalidHandle);
  EXPECT_EQ(cuStreamSynchronize(on), kInvalidHandle);
}

TEST_F(Standin, WaitsForValues) {
  struct Case {
    std::uint64_t before, after, value;
    unsigned condition;
  };
  for (const Case& c : {Case{4, 5, 5, kWaitGeq}, Case{0x80000000, 1, 0xFFFFFFFF, kWaitGeq}, Case{4, 5, 5, kWaitEq},
                        Case{4, 2, 3, kWaitAnd}, Case{0xFFFFFFFF, 0xFFFFFFFE, 0, kWaitNor}}) {
    const CUdeviceptr word = flag();
    const CUstream waiting = stream(), writing = stream();
    ASSERT_EQ(cuStreamWriteValue32_v2(writing, word, static_cast<std::uint32_t>(c.before), 0), kSuccess);
    ASSERT_EQ(cuStreamSynchronize(writing), kSuccess);
    ASSERT_EQ(cuStreamWaitValue32_v2(waiting, word, static_cast<std::uint32_t>(c.value), c.condition), kSuccess);
    EXPECT_EQ(cuStreamQuery(waiting), kNotReady);
    ASSERT_EQ(cuStreamWriteValue32_v2(writing, word, static_cast<std::uint32_t>(c.after), 0), kSuccess);
    EXPECT_EQ(cuStreamSynchronize(waiting), kSuccess);
    EXPECT_EQ(cuStreamQuery(waiting), kSuccess);
  }
  const CUdeviceptr word = flag();
  EXPECT_EQ(cuStreamWaitValue32_v2(own_, word + 2, 1, kWaitEq), kInvalidValue);
  EXPECT_EQ(cuStreamWaitValue64_v2(own_, word + 4, 1, kWaitEq), kInvalidValue);
  EXPECT_EQ(cuStreamWaitValue32_v2(own_, word, 1, 9), kInvalidValue);
  std::uint32_t pageable = 0;
  EXPECT_EQ(cuStreamWriteValue32_v2(own_, device(&pageable), 1, 0), kInvalidValue);
}

TEST_F(Standin, DoesBatchesInOrder) {
  const CUdeviceptr words = allocate(24);
  const CUstream first = stream(), second = stream();
  ASSERT_EQ(cuMemsetD8Async(words, 0, 24, first), kSuccess);
  ASSERT_EQ(cuStreamSynchronize(first), kSuccess);
  CUstreamBatchMemOpParams ping[] = {{kOpWrite64, words, 1, 0, 0, 0},
                                     {kOpBarrier, 0, 0, 0, 0, 0},
                                     {kOpWait32, words + 8, 1, kWaitEq, 0, 0},
                                     {kOpWrite32, words + 16, 9, 0, 0, 0}};
  CUstreamBatchMemOpParams pong[] = {{kOpWait64, words, 1, kWaitGeq, 0, 0}, {kOpWrite32, words + 8, 1, 0, 0, 0}};
  ASSERT_EQ(cuStreamBatchMemOp_v2(first, 4, ping, 0), kSuccess);
  ASSERT_EQ(cuStreamBatchMemOp_v2(second, 2, pong, 0), kSuccess);
  EXPECT_EQ(cuStreamSynchronize(first), kSuccess);
  EXPECT_EQ(read<std::uint32_t>(words + 16, 1)[0], 9U);
  ping[0].operation = 77;
  EXPECT_EQ(cuStreamBatchMemOp_v2(first, 4, ping, 0), kInvalidValue);
}

TEST_F(Standin, OrdersTheLegacyStreamWithBlockingOnes) {
  const CUdeviceptr go = flag();
  const CUstream blocking = stream(0), free_running = stream(), opening = stream();
  auto* value = pinned<std::uint32_t>(2);
  ASSERT_EQ(cuStreamWaitValue32_v2(blocking, go, 1, kWaitEq), kSuccess);
  ASSERT_EQ(cuMemsetD32Async(device(value), 5, 1, blocking), kSuccess);
  ASSERT_EQ(cuMemcpyAsync(device(value + 1), device(value), 4, nullptr), kSuccess);
  ASSERT_EQ(cuMemsetD32Async(device(value), 6, 1, blocking), kSuccess);
  EXPECT_EQ(cuStreamQuery(nullptr), kNotReady);
  ASSERT_EQ(cuMemsetD8Async(go + 4, 0, 1, free_running), kSuccess);
  EXPECT_EQ(cuStreamSynchronize(free_running), kSuccess);
  ASSERT_EQ(cuStreamWriteValue32_v2(opening, go, 1, 0), kSuccess);
  EXPECT_EQ(cuStreamSynchronize(kStreamLegacy), kSuccess);
  EXPECT_EQ(value[1], 5U);
  EXPECT_EQ(cuStreamSynchronize(blocking), kSuccess);
  EXPECT_EQ(value[0], 6U);
}

TEST_F(Standin, ReadsPageableMemoryBeforeTheCallReturns) {
  const CUdeviceptr go = flag(), to = allocate(16);
  const CUstream waiting = stream(), opening = stream();
  std::vector<int> values{1, 2, 3, 4};
  ASSERT_EQ(cuStreamWaitValue32_v2(waiting, go, 1, kWaitEq), kSuccess);
  ASSERT_EQ(cuMemcpyHtoDAsync_v2(to, values.data(), 16, waiting), kSuccess);
  values = {0, 0, 0, 0};
  ASSERT_EQ(cuStreamWriteValue32_v2(opening, go, 1, 0), kSuccess);
  std::vector<int> back(4);
  ASSERT_EQ(cuMemcpyDtoHAsync_v2(back.data(), to, 16, waiting), kSuccess);
  EXPECT_THAT(back, testing::ElementsAre(1, 2, 3, 4));
}

TEST_F(Standin, CallsHostFunctionsWhichMayNotCallIt) {
  const CUstream on = stream();
  struct Seen {
    CUcontext context;
    CUresult result = kSuccess;
  } seen{context_};
  const auto function = [](void* argument) {
    auto* s = static_cast<Seen*>(argument);
    s->result = cuCtxSetCurrent(s->context);
  };
  ASSERT_EQ(cuLaunchHostFunc(on, function, &seen), kSuccess);
  ASSERT_EQ(cuStreamSynchronize(on), kSuccess);
  EXPECT_EQ(seen.result, kNotPermitted);
}

TEST_F(Standin, HasAStreamPerThread) {
  const CUdeviceptr go = flag();
  ASSERT_EQ(cuStreamWaitValue32_v2(kStreamPerThread, go, 1, kWaitEq), kSuccess);
  std::thread([&] {
    ASSERT_EQ(cuCtxSetCurrent(context_), kSuccess);
    ASSERT_EQ(cuStreamWriteValue32_v2(kStreamPerThread, go, 1, 0), kSuccess);
    EXPECT_EQ(cuStreamSynchronize(kStreamPerThread), kSuccess);
  }).join();
  EXPECT_EQ(cuStreamSynchronize(kStreamPerThread), kSuccess);
}

// ---- events

TEST_F(Standin, OrdersStreamsByEvents) {
  again({{"STANDIN_JITTER", "50"}});
  const CUstream writing = stream(), reading = stream();
  const CUevent written = event(kEventDisableTiming), been_read = event(kEventDisableTiming);
  const CUdeviceptr data = allocate(4000);
  auto* seen = pinned<std::uint32_t>(1000);
  for (std::uint32_t i = 0; i < 20; ++i) {
    ASSERT_EQ(cuStreamWaitEvent(writing, been_read, 0), kSuccess);
    ASSERT_EQ(cuMemsetD32Async(data, i, 1000, writing), kSuccess);
    ASSERT_EQ(cuEventRecord(written, writing), kSuccess);
    ASSERT_EQ(cuStreamWaitEvent(reading, written, 0), kSuccess);
    ASSERT_EQ(cuMemcpyDtoHAsync_v2(seen, data, 4000, reading), kSuccess);
    ASSERT_EQ(cuEventRecord(been_read, reading), kSuccess);
    ASSERT_EQ(cuEventSynchronize(been_read), kSuccess);
    ASSERT_EQ(std::accumulate(seen, seen + 1000, 0U), 1000 * i);
  }
}

TEST_F(Standin, SaysWhetherAnEventHasHappened) {
  const CUdeviceptr go = flag();
  const CUstream waiting = stream(), opening = stream();
  const CUevent before = event(), after = event(), untimed = event(kEventDisableTiming);
  float milliseconds = -1;
  EXPECT_EQ(cuEventQuery(before), kSuccess);
  EXPECT_EQ(cuEventElapsedTime_v2(&milliseconds, before, after), kInvalidHandle);
  ASSERT_EQ(cuEventRecord(before, waiting), kSuccess);
  ASSERT_EQ(cuStreamWaitValue32_v2(waiting, go, 1, kWaitEq), kSuccess);
  ASSERT_EQ(cuEventRecord(after, waiting), kSuccess);
  EXPECT_EQ(cuEventQuery(after), kNotReady);
  EXPECT_EQ(cuEventElapsedTime_v2(&milliseconds, before, after), kNotReady);
  ASSERT_EQ(cuStreamWriteValue32_v2(opening, go, 1, 0), kSuccess);
  EXPECT_EQ(cuEventSynchronize(after), kSuccess);
  EXPECT_EQ(cuEventElapsedTime_v2(&milliseconds, before, after), kSuccess);
  EXPECT_GE(milliseconds, 0);
  EXPECT_EQ(cuEventElapsedTime_v2(&milliseconds, before, untimed), kInvalidHandle);
  EXPECT_EQ(cuEventDestroy_v2(after), kSuccess);
  EXPECT_EQ(cuEventQuery(after), kInvalidHandle);
  CUevent made = nullptr;
  EXPECT_EQ(cuEventCreate(&made, kEventInterprocess), kInvalidValue);
}

// ---- faults

TEST_F(Standin, RefusesMemoryThatWasFreed) {
  const CUdeviceptr gone = allocate(64), there = allocate(64);
  ASSERT_EQ(cuMemFree_v2(gone), kSuccess);
  EXPECT_EQ(cuMemcpyAsync(there, gone, 64, own_), kInvalidValue);
  EXPECT_EQ(cuMemsetD8Async(gone, 0, 64, own_), kInvalidValue);
  EXPECT_EQ(cuMemcpyAsync(there, 0, 64, own_), kInvalidValue);
  int word = 0;
  EXPECT_EQ(cuStreamSynchronize(&word), kInvalidHandle);
  EXPECT_EQ(cuCtxSynchronize(), kSuccess);
}

TEST_F(Standin, KeepsAnAsynchronousFault) {
  const CUdeviceptr little = allocate(64), much = allocate(128), go = flag();
  const CUstream faulty = stream(), stuck = stream();
  ASSERT_EQ(cuStreamWaitValue32_v2(stuck, go, 1, kWaitEq), kSuccess);
  ASSERT_EQ(cuMemcpyAsync(little, much, 65, faulty), kSuccess);
  EXPECT_EQ(cuStreamSynchronize(faulty), kIllegalAddress);
  EXPECT_EQ(cuStreamSynchronize(stuck), kIllegalAddress);
  CUdeviceptr made = 0;
  EXPECT_EQ(cuMemAlloc_v2(&made, 8), kIllegalAddress);
  again({});
  EXPECT_EQ(cuMemAlloc_v2(&made, 8), kSuccess);
}

// ---- captures

class Capturing : public Standin {
 protected:
  void SetUp() override {
    Standin::SetUp();
    on_ = stream();
    value_ = pinned<std::uint32_t>(4);
  }
  void capture(CUstreamCaptureMode mode = kCaptureGlobal) { ASSERT_EQ(cuStreamBeginCapture_v2(on_, mode), kSuccess); }
  CUresult end_capture() { return cuStreamEndCapture(on_, &graph_); }
  CUgraphExec instantiate() {
    CUgraphExec exec = nullptr;
    EXPECT_EQ(cuGraphInstantiateWithFlags(&exec, graph_, 0), kSuccess);
    return exec;
  }
  CUstreamCaptureStatus status() {
    CUstreamCaptureStatus now{};
    EXPECT_EQ(cuStreamIsCapturing(on_, &now), kSuccess);
    return now;
  }
  CUresult set(std::size_t which, std::uint32_t value, CUstream stream) {
    return cuMemsetD32Async(device(value_ + which), value, 1, stream);
  }

  CUstream on_ = nullptr;
  std::uint32_t* value_ = nullptr;
  CUgraph graph_ = nullptr;
};

TEST_F(Capturing, RecordsAndReplays) {
  capture();
  EXPECT_EQ(status(), kCaptureActive);
  const auto increment = [](void* word) { ++*static_cast<std::uint32_t*>(word); };
  ASSERT_EQ(cuLaunchHostFunc(on_, increment, value_), kSuccess);
  ASSERT_EQ(cuMemcpyAsync(device(value_ + 1), device(value_), 4, on_), kSuccess);
  CUstreamCaptureStatus now{};
  std::uint64_t id = 0;
  const CUgraphNode* nodes = nullptr;
  std::size_t count = 0;
  EXPECT_EQ(cuStreamGetCaptureInfo_v3(on_, &now, &id, nullptr, &nodes, nullptr, &count), kSuccess);
  EXPECT_GT(id, 0U);
  EXPECT_EQ(count, 1U);
  ASSERT_EQ(end_capture(), kSuccess);
  EXPECT_EQ(status(), kCaptureNone);
  const CUgraphExec exec = instantiate();
  EXPECT_EQ(cuGraphDestroy(graph_), kSuccess);
  const CUstream other = stream();
  for (std::uint32_t i = 1; i < 6; ++i) {
    ASSERT_EQ(cuGraphLaunch(exec, other), kSuccess);
    ASSERT_EQ(cuStreamSynchronize(other), kSuccess);
    EXPECT_EQ(value_[1], i);
  }
  EXPECT_EQ(cuGraphExecDestroy(exec), kSuccess);
  EXPECT_EQ(cuGraphLaunch(exec, other), kInvalidValue);
}

TEST_F(Capturing, ForksAndJoins) {
  const CUstream side = stream();
  const CUevent fork = event(kEventDisableTiming), rejoin = event(kEventDisableTiming);
  const CUdeviceptr word = flag();
  capture();
  ASSERT_EQ(set(0, 1, on_), kSuccess);
  ASSERT_EQ(cuEventRecord(fork, on_), kSuccess);
  ASSERT_EQ(cuStreamWaitEvent(side, fork, 0), kSuccess);
  // Branches run beside each other: the first waits for the second, which was recorded later.
  ASSERT_EQ(cuStreamWaitValue32_v2(on_, word, 1, kWaitEq), kSuccess);
  ASSERT_EQ(cuStreamWriteValue32_v2(on_, word, 0, 0), kSuccess);
  ASSERT_EQ(cuMemcpyAsync(device(value_ + 1), device(value_), 4, side), kSuccess);
  ASSERT_EQ(cuStreamWriteValue32_v2(side, word, 1, 0), kSuccess);
  ASSERT_EQ(cuEventRecord(rejoin, side), kSuccess);
  ASSERT_EQ(cuStreamWaitEvent(on_, rejoin, 0), kSuccess);
  ASSERT_EQ(set(0, 2, on_), kSuccess);
  ASSERT_EQ(end_capture(), kSuccess);
  const CUgraphExec exec = instantiate();
  for (int i = 0; i < 3; ++i) ASSERT_EQ(cuGraphLaunch(exec, on_), kSuccess);
  ASSERT_EQ(cuStreamSynchronize(on_), kSuccess);
  EXPECT_EQ(value_[0], 2U);
  EXPECT_EQ(value_[1], 1U);
}

TEST_F(Capturing, TakesAGraphIntoAnother) {
  capture();
  ASSERT_EQ(set(1, 3, on_), kSuccess);
  ASSERT_EQ(end_capture(), kSuccess);
  const CUgraphExec inner = instantiate();
  capture();
  ASSERT_EQ(set(0, 1, on_), kSuccess);
  ASSERT_EQ(cuGraphLaunch(inner, on_), kSuccess);
  ASSERT_EQ(cuMemcpyAsync(device(value_ + 2), device(value_ + 1), 4, on_), kSuccess);
  ASSERT_EQ(end_capture(), kSuccess);
  ASSERT_EQ(cuGraphLaunch(instantiate(), on_), kSuccess);
  ASSERT_EQ(cuStreamSynchronize(on_), kSuccess);
  EXPECT_EQ(value_[2], 3U);
}

TEST_F(Capturing, WantsForksJoined) {
  const CUstream side = stream();
  const CUevent fork = event();
  capture();
  ASSERT_EQ(cuEventRecord(fork, on_), kSuccess);
  ASSERT_EQ(cuStreamWaitEvent(side, fork, 0), kSuccess);
  ASSERT_EQ(set(0, 1, side), kSuccess);
  EXPECT_EQ(cuStreamEndCapture(side, &graph_), kCaptureUnmatched);
  EXPECT_EQ(end_capture(), kCaptureInvalidated);
  capture();
  ASSERT_EQ(cuEventRecord(fork, on_), kSuccess);
  ASSERT_EQ(cuStreamWaitEvent(side, fork, 0), kSuccess);
  ASSERT_EQ(set(0, 1, side), kSuccess);
  EXPECT_EQ(end_capture(), kCaptureUnjoined);
  EXPECT_EQ(graph_, nullptr);
  EXPECT_EQ(set(0, 1, side), kSuccess);
  EXPECT_EQ(cuStreamSynchronize(side), kSuccess);
}

TEST_F(Capturing, IsInvalidatedByWhatCannotBeCaptured) {
  const CUevent outside = event(), inside = event();
  ASSERT_EQ(cuEventRecord(outside, own_), kSuccess);
  ASSERT_EQ(cuStreamSynchronize(own_), kSuccess);
  const CUstream blocking = stream(0), other = stream();
  struct Wrong {
    const char* what;
    CUresult expected;
    std::function<CUresult()> call;
  };
  const Wrong wrongs[] = {
      {"an allocation", kCaptureUnsupported,
       [&] {
         CUdeviceptr made = 0;
         return cuMemAlloc_v2(&made, 8);
       }},
      {"waiting for the stream", kCaptureUnsupported, [&] { return cuStreamSynchronize(on_); }},
      {"asking the stream", kCaptureUnsupported, [&] { return cuStreamQuery(on_); }},
      {"waiting for another stream", kCaptureUnsupported, [&] { return cuStreamSynchronize(other); }},
      {"waiting for the context", kCaptureUnsupported, [&] { return cuCtxSynchronize(); }},
      {"an event outside", kCaptureIsolation, [&] { return cuStreamWaitEvent(on_, outside, 0); }},
      {"asking a captured event", kCapturedEvent,
       [&] {
         static_cast<void>(cuEventRecord(inside, on_));
         return cuEventQuery(inside);
       }},
      {"asking another event", kCaptureUnsupported, [&] { return cuEventQuery(outside); }},
  };
  for (const Wrong& wrong : wrongs) {
    SCOPED_TRACE(wrong.what);
    capture();
    EXPECT_EQ(wrong.call(), wrong.expected);
    EXPECT_EQ(status(), kCaptureInvalid);
    EXPECT_EQ(set(0, 1, on_), kCaptureInvalidated);
    EXPECT_EQ(end_capture(), kCaptureInvalidated);
    EXPECT_EQ(status(), kCaptureNone);
  }
  EXPECT_EQ(end_capture(), kIllegalState);
  EXPECT_EQ(cuStreamBeginCapture_v2(nullptr, kCaptureGlobal), kCaptureUnsupported);
  ASSERT_EQ(cuStreamBeginCapture_v2(blocking, kCaptureRelaxed), kSuccess);
  EXPECT_EQ(set(0, 1, nullptr), kCaptureImplicit);
  EXPECT_EQ(cuStreamEndCapture(blocking, &graph_), kCaptureInvalidated);
}

TEST_F(Capturing, ForbidsByModeAndThread) {
  const auto allocates = [this] {
    EXPECT_EQ(cuCtxSetCurrent(context_), kSuccess);
    CUdeviceptr made = 0;
    return cuMemAlloc_v2(&made, 8);
  };
  const auto elsewhere = [](auto what) {
    CUresult result = kSuccess;
    std::thread([&] { result = what(); }).join();
    return result;
  };
  capture(kCaptureThreadLocal);
  EXPECT_EQ(elsewhere(allocates), kSuccess);
  EXPECT_EQ(elsewhere([this] { return end_capture(); }), kCaptureWrongThread);
  EXPECT_EQ(end_capture(), kSuccess);
  capture(kCaptureRelaxed);
  EXPECT_EQ(allocates(), kSuccess);
  EXPECT_EQ(elsewhere([this] { return end_capture(); }), kSuccess);
  capture(kCaptureGlobal);
  CUstreamCaptureMode mode = kCaptureRelaxed;
  ASSERT_EQ(cuThreadExchangeStreamCaptureMode(&mode), kSuccess);
  EXPECT_EQ(mode, kCaptureGlobal);
  EXPECT_EQ(allocates(), kSuccess);
  ASSERT_EQ(cuThreadExchangeStreamCaptureMode(&mode), kSuccess);
  EXPECT_EQ(mode, kCaptureRelaxed);
  EXPECT_EQ(elsewhere(allocates), kCaptureUnsupported);
  EXPECT_EQ(end_capture(), kCaptureInvalidated);
}

TEST_F(Capturing, FaultsOnMemoryFreedSince) {
  const CUdeviceptr data = allocate(64);
  capture();
  ASSERT_EQ(cuMemsetD8Async(data, 0, 64, on_), kSuccess);
  ASSERT_EQ(end_capture(), kSuccess);
  const CUgraphExec exec = instantiate();
  ASSERT_EQ(cuMemFree_v2(data), kSuccess);
  ASSERT_EQ(cuGraphLaunch(exec, on_), kSuccess);
  EXPECT_EQ(cuStreamSynchronize(on_), kIllegalAddress);
}

// ---- kernels

TEST_F(Standin, HasNoKernelsUnlessTold) {
  CUmodule module = nullptr;
  EXPECT_EQ(cuModuleLoadData(&module, "image"), kNoBinaryForGpu);
}

TEST_F(Standin, RunsKernelsWithTheArgumentsOfTheLaunch) {
  again({{"STANDIN_KERNELS", STANDIN_TEST_KERNELS}});
  CUmodule module = nullptr;
  CUfunction add = nullptr;
  ASSERT_EQ(cuModuleLoadData(&module, "image"), kSuccess);
  ASSERT_EQ(cuModuleGetFunction(&add, module, "add"), kSuccess);
  EXPECT_EQ(cuModuleGetFunction(&add, module, "subtract"), kNotFound);
  EXPECT_EQ(cuModuleGetFunction(&add, module, "without_sizes"), kInvalidImage);
  ASSERT_EQ(cuModuleGetFunction(&add, module, "add"), kSuccess);
  const CUdeviceptr go = flag();
  const CUstream on = stream(), opening = stream();
  auto* values = pinned<float>(4);
  float summand = 1.5F;
  std::size_t count = 3;
  void* arguments[] = {&values, &summand, &count};
  ASSERT_EQ(cuStreamWaitValue32_v2(on, go, 1, kWaitEq), kSuccess);
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(cuLaunchKernel(add, 2, 1, 1, 32, 1, 1, 0, on, arguments, nullptr), kSuccess);
    summand = 2.5F;
  }
  summand = 100;
  count = 4;
  ASSERT_EQ(cuStreamWriteValue32_v2(opening, go, 1, 0), kSuccess);
  ASSERT_EQ(cuStreamSynchronize(on), kSuccess);
  EXPECT_THAT(std::vector<float>(values, values + 4), testing::ElementsAre(4, 4, 4, 0));
  EXPECT_EQ(cuLaunchKernel(add, 0, 1, 1, 32, 1, 1, 0, on, arguments, nullptr), kInvalidValue);
  EXPECT_EQ(cuLaunchKernel(add, 1, 1, 1, 32, 64, 1, 0, on, arguments, nullptr), kInvalidValue);
  EXPECT_EQ(cuLaunchKernel(&count, 1, 1, 1, 1, 1, 1, 0, on, arguments, nullptr), kInvalidHandle);
  EXPECT_EQ(cuModuleUnload(module), kSuccess);
}

// ---- more than one process

// Runs a test of this program that is disabled otherwise; its output goes to a file. Returns its exit status.
int run_disabled(const std::string& test, const std::string& output) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  std::string program = "/proc/self/exe", filter = "--gtest_filter=" + test, disabled = "--gtest_also_run_disabled_tests";
  char* arguments[] = {program.data(), filter.data(), disabled.data(), nullptr};
  pid_t child = 0;
  int status = -1;
  if (posix_spawn(&child, "/proc/self/exe", &actions, nullptr, arguments, environ) == 0) waitpid(child, &status, 0);
  posix_spawn_file_actions_destroy(&actions);
  return status;
}

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string scratch_file(const char* name) { return testing::TempDir() + name + std::to_string(getpid()); }

TEST_F(Standin, SharesDeviceMemoryBetweenProcesses) {
  const CUdeviceptr data = allocate(4096);
  ASSERT_EQ(cuMemsetD8Async(data, 0, 4096, own_), kSuccess);
  ASSERT_EQ(cuStreamSynchronize(own_), kSuccess);
  CUipcMemHandle handle{};
  ASSERT_EQ(cuIpcGetMemHandle(&handle, data + 100), kSuccess);
  CUdeviceptr again = 0;
  EXPECT_EQ(cuIpcOpenMemHandle_v2(&again, handle, kIpcLazyEnablePeerAccess), kInvalidContext);
  EXPECT_EQ(cuIpcGetMemHandle(&handle, device(pinned<int>())), kInvalidValue);
  const std::string file = scratch_file("handle");
  std::ofstream(file).write(reinterpret_cast<const char*>(&handle), sizeof handle);
  setenv("STANDIN_TEST_HANDLE", file.c_str(), 1);

  // The other process waits for 1 in the first word, fills the second half and writes 2.
  const CUstream on = stream();
  auto* end = pinned<std::uint32_t>(1);
  ASSERT_EQ(cuStreamWriteValue32_v2(on, data, 1, 0), kSuccess);
  ASSERT_EQ(cuStreamWaitValue32_v2(on, data, 2, kWaitEq), kSuccess);
  ASSERT_EQ(cuMemcpyDtoHAsync_v2(end, data + 4092, 4, on), kSuccess);
  const std::string output = scratch_file("ipc");
  ASSERT_EQ(run_disabled("OtherProcess.DISABLED_FillsMemory", output), 0) << contents(output);
  ASSERT_EQ(cuStreamSynchronize(on), kSuccess);
  EXPECT_EQ(*end, 0x07070707U);

  // A handle outlives its memory, but opens nothing else.
  ASSERT_EQ(cuMemFree_v2(data), kSuccess);
  allocate(4096);
  ASSERT_EQ(run_disabled("OtherProcess.DISABLED_FindsMemoryGone", output), 0) << contents(output);
}

class OtherProcess : public Standin {
 protected:
  CUipcMemHandle handle() {
    CUipcMemHandle given{};
    std::ifstream(std::getenv("STANDIN_TEST_HANDLE")).read(reinterpret_cast<char*>(&given), sizeof given);
    return given;
  }
};

TEST_F(OtherProcess, DISABLED_FillsMemory) {
  CUdeviceptr data = 0, again = 0, base = 0;
  std::size_t bytes = 0;
  ASSERT_EQ(cuIpcOpenMemHandle_v2(&data, handle(), kIpcLazyEnablePeerAccess), kSuccess);
  ASSERT_EQ(cuIpcOpenMemHandle_v2(&again, handle(), kIpcLazyEnablePeerAccess), kSuccess);
  EXPECT_EQ(again, data);
  EXPECT_EQ(cuMemGetAddressRange_v2(&base, &bytes, data), kSuccess);
  EXPECT_EQ(bytes, 4096U);
  const CUstream on = stream();
  ASSERT_EQ(cuStreamWaitValue32_v2(on, data, 1, kWaitEq), kSuccess);
  ASSERT_EQ(cuMemsetD8Async(data + 2048, 7, 2048, on), kSuccess);
  ASSERT_EQ(cuStreamWriteValue32_v2(on, data, 2, 0), kSuccess);
  ASSERT_EQ(cuIpcCloseMemHandle(data), kSuccess);
  ASSERT_EQ(cuMemsetD8Async(data + 1024, 7, 1, on), kSuccess);
  ASSERT_EQ(cuIpcCloseMemHandle(data), kSuccess);
  EXPECT_EQ(cuIpcCloseMemHandle(data), kInvalidValue);
  EXPECT_EQ(cuMemFree_v2(data), kInvalidValue);
}

TEST_F(OtherProcess, DISABLED_FindsMemoryGone) {
  CUdeviceptr data = 0;
  EXPECT_NE(cuIpcOpenMemHandle_v2(&data, handle(), kIpcLazyEnablePeerAccess), kSuccess);
}

// ---- ThreadSanitizer sees the order that CUDA gives, and no other

bool has_thread_sanitizer() { return dlsym(RTLD_DEFAULT, "__tsan_init") != nullptr; }

// Streams that are not ordered, one of which happens to be done long before the other begins.
TEST_F(OtherProcess, DISABLED_Races) {
  const CUdeviceptr data = allocate(64), other = allocate(64);
  const CUstream first = stream(), second = stream();
  ASSERT_EQ(cuMemsetD8Async(data, 1, 64, first), kSuccess);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ASSERT_EQ(cuMemsetD8Async(other, 1, 64, first), kSuccess);
  ASSERT_EQ(cuMemsetD8Async(other, 1, 64, second), kSuccess);
  ASSERT_EQ(cuMemsetD8Async(data, 1, 64, second), kSuccess);
  EXPECT_EQ(cuCtxSynchronize(), kSuccess);
}

TEST_F(OtherProcess, DISABLED_ReadsTooEarly) {
  auto* word = pinned<std::uint32_t>();
  const CUstream on = stream();
  ASSERT_EQ(cuMemsetD32Async(device(word), 1, 1, on), kSuccess);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ASSERT_EQ(cuMemsetD32Async(allocate(4), 1, 1, on), kSuccess);
  EXPECT_EQ(*word, 1U);
}

TEST_F(Standin, LetsThreadSanitizerFindRaces) {
  if (!has_thread_sanitizer()) GTEST_SKIP() << "needs a build with ThreadSanitizer";
  for (const char* test : {"OtherProcess.DISABLED_Races", "OtherProcess.DISABLED_ReadsTooEarly"}) {
    const std::string output = scratch_file("race");
    EXPECT_NE(run_disabled(test, output), 0) << test;
    EXPECT_THAT(contents(output), testing::HasSubstr("data race")) << test;
  }
}

}  // namespace
