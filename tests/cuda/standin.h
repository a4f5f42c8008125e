// What the stand-in's tests share: a driver that has read some variables, and a context of its device 0.
#pragma once

#include <gmock/gmock.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "standin/api.h"

inline CUdeviceptr device(const void* pointer) { return reinterpret_cast<CUdeviceptr>(pointer); }

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
  static constexpr std::array kVariables{"STANDIN_DEVICES", "STANDIN_MEMORY",  "STANDIN_VERSION", "STANDIN_FAIL",
                                         "STANDIN_JITTER",  "STANDIN_KERNELS", "STANDIN_TIMEOUT", "STANDIN_CONNECTIONS"};
};
