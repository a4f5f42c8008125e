// The stand-in's memory in other processes, and what ThreadSanitizer says of programs that use it.
#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "standin.h"

namespace {

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
