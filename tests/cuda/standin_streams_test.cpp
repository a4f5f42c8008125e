// Streams, events and kernels of the stand-in run in the order that CUDA's documentation gives, and fail as it says.

#include <numeric>
#include <thread>

#include "standin.h"

namespace {

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
  EXPECT_EQ(cuCtxSynchronize(), kSuccess);
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

TEST_F(Standin, CallsBackWithTheStream) {
  const CUstream on = stream();
  CUstream seen = nullptr;
  const auto callback = [](CUstream of, CUresult, void* argument) { *static_cast<CUstream*>(argument) = of; };
  ASSERT_EQ(cuStreamAddCallback(on, callback, &seen, 0), kSuccess);
  ASSERT_EQ(cuStreamSynchronize(on), kSuccess);
  EXPECT_EQ(seen, on);
}

TEST_F(Standin, KeepsAStreamsPriority) {
  CUstream made = nullptr;
  int least = 1, greatest = 1, priority = 1;
  ASSERT_EQ(cuCtxGetStreamPriorityRange(&least, &greatest), kSuccess);
  ASSERT_EQ(cuStreamCreateWithPriority(&made, kStreamNonBlocking, greatest - 10), kSuccess);
  ASSERT_EQ(cuStreamGetPriority(made, &priority), kSuccess);
  EXPECT_EQ(priority, greatest);
  ASSERT_EQ(cuStreamGetPriority(stream(), &priority), kSuccess);
  EXPECT_EQ(priority, least);
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

TEST_F(Standin, EndsWaitsThatLastTooLong) {
  again({{"STANDIN_TIMEOUT", "1"}});
  const CUdeviceptr never = flag();
  ASSERT_EQ(cuStreamWaitValue32_v2(own_, never, 1, kWaitEq), kSuccess);
  testing::internal::CaptureStderr();
  EXPECT_EQ(cuStreamSynchronize(own_), kLaunchTimeout);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("to be == 0x1, it is 0x0"));
  again({});
}

// Two streams in one hardware queue: the second cannot give what the first waits for.
TEST_F(Standin, LetsStreamsBlockEachOtherInAQueue) {
  again({{"STANDIN_TIMEOUT", "1"}, {"STANDIN_CONNECTIONS", "1"}});
  const CUdeviceptr word = flag();
  const CUstream waiting = stream(), writing = stream();
  ASSERT_EQ(cuStreamWaitValue32_v2(waiting, word, 1, kWaitEq), kSuccess);
  ASSERT_EQ(cuStreamWriteValue32_v2(writing, word, 1, 0), kSuccess);
  EXPECT_EQ(cuStreamSynchronize(waiting), kLaunchTimeout);
  again({});
}

// Threads that share a context and nothing else, with everything that changes what the driver keeps.
TEST_F(Standin, ServesThreadsAtOnce) {
  again({{"STANDIN_JITTER", "20"}});
  const auto rank = [this](std::uint32_t me) {
    ASSERT_EQ(cuCtxSetCurrent(context_), kSuccess);
    for (int i = 0; i < 10; ++i) {
      const CUstream on = stream(), side = stream();
      const CUevent done = event(kEventDisableTiming);
      const CUdeviceptr data = allocate(4096);
      auto* seen = pinned<std::uint32_t>();
      CUgraph graph = nullptr;
      CUgraphExec exec = nullptr;
      ASSERT_EQ(cuStreamBeginCapture_v2(on, kCaptureThreadLocal), kSuccess);
      ASSERT_EQ(cuMemsetD32Async(data, me, 1024, on), kSuccess);
      ASSERT_EQ(cuEventRecord(done, on), kSuccess);
      ASSERT_EQ(cuStreamWaitEvent(side, done, 0), kSuccess);
      ASSERT_EQ(cuMemcpyDtoHAsync_v2(seen, data + 4092, 4, side), kSuccess);
      ASSERT_EQ(cuEventRecord(done, side), kSuccess);
      ASSERT_EQ(cuStreamWaitEvent(on, done, 0), kSuccess);
      ASSERT_EQ(cuStreamEndCapture(on, &graph), kSuccess);
      ASSERT_EQ(cuGraphInstantiateWithFlags(&exec, graph, 0), kSuccess);
      ASSERT_EQ(cuGraphLaunch(exec, on), kSuccess);
      ASSERT_EQ(cuStreamSynchronize(on), kSuccess);
      ASSERT_EQ(*seen, me);
      ASSERT_EQ(cuGraphExecDestroy(exec), kSuccess);
      ASSERT_EQ(cuGraphDestroy(graph), kSuccess);
      ASSERT_EQ(cuMemFree_v2(data), kSuccess);
      ASSERT_EQ(cuMemFreeHost(seen), kSuccess);
      ASSERT_EQ(cuEventDestroy_v2(done), kSuccess);
      for (const CUstream gone : {on, side}) ASSERT_EQ(cuStreamDestroy_v2(gone), kSuccess);
    }
  };
  std::vector<std::thread> ranks;
  for (std::uint32_t me = 1; me <= 4; ++me) ranks.emplace_back(rank, me);
  for (auto& each : ranks) each.join();
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

}  // namespace
