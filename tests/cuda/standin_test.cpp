// The stand-in's library, contexts and memory are what CUDA's documentation says.
#include "standin.h"

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

namespace {

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

TEST_F(Standin, FailsToInitialiseWhereToldTo) {
  setenv("STANDIN_FAIL", "cuInit:803", 1);
  EXPECT_EQ(cuInit(0), 803);
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
  std::thread([&] {
    EXPECT_EQ(cuPointerGetAttribute(&type, kAttributeMemoryType, base), kSuccess);
    EXPECT_EQ(type, static_cast<int>(kMemoryDevice));
  }).join();
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

}  // namespace
