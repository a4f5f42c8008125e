// The stand-in captures streams into graphs, and refuses what cannot be captured, as CUDA's documentation says.

#include <functional>
#include <thread>

#include "standin.h"

namespace {

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
  CUgraphNode first = nullptr;
  EXPECT_EQ(cuGraphGetNodes(graph_, nullptr, &count), kSuccess);
  EXPECT_EQ(count, 2U);
  count = 1;
  EXPECT_EQ(cuGraphGetNodes(graph_, &first, &count), kSuccess);
  EXPECT_EQ(count, 1U);
  EXPECT_NE(first, nullptr);
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

TEST_F(Capturing, EndsWithItsStream) {
  capture();
  ASSERT_EQ(cuStreamDestroy_v2(on_), kSuccess);
  CUdeviceptr made = 0;
  EXPECT_EQ(cuMemAlloc_v2(&made, 8), kSuccess);
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

}  // namespace
