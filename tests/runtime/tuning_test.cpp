// Measurements of whole calls in jobs and their parts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <mutex>

#include "runtime/tuner.h"
#include "tests/runtime/communicators.h"

namespace tutti {
namespace {

using testing::HasSubstr;

const Call kCall{.collective = Collective::all_reduce, .count = 256, .type = DataType::f32};

TunedLayout ring_is_fast_on(Communicator& comm) {
  TunedLayout layout = Tuner(comm).layout({});
  layout.measured = {{{Collective::all_reduce, "ring", {}, false}, 1024, 0.001}};
  return layout;
}

void chooses_ring_by_measurement(const Communicator& comm) {
  EXPECT_THAT(comm.explain(kCall).value_or_throw(), HasSubstr("chosen: ring, the least time by measurement"));
}

// A part's first rank may be on a host that has no such file.
TEST(Tuning, PartsOfAJobHaveItsMeasurementsWithoutTheFile) {
  const std::string path = testing::TempDir() + "tutti_tuning_test.json";
  TuningFile file;
  std::mutex mutex;
  run_ranks(4, [&](Communicator& comm) {
    EXPECT_THAT(comm.explain(kCall).value_or_throw(), HasSubstr("the least predicted time"));
    Communicator half = comm.split(comm.rank() % 2).value_or_throw();
    const std::lock_guard lock(mutex);
    file.put(ring_is_fast_on(comm));
    file.put(ring_is_fast_on(half));
  });
  ASSERT_EQ(file.layouts.size(), 2U);
  std::ofstream(path) << file.to_json();
  setenv("TUTTI_TUNING", path.c_str(), 1);
  run_ranks(4, [&](Communicator& comm) {
    chooses_ring_by_measurement(comm);
    ok(comm.barrier());
    if (comm.rank() == 0) std::remove(path.c_str());
    ok(comm.barrier());
    chooses_ring_by_measurement(comm.split(comm.rank() % 2).value_or_throw());
  });
  setenv("TUTTI_TUNING", "off", 1);
}

// What is kept has been measured: no prediction stands in for a time.
TEST(Tuning, WhatIsKeptWasMeasured) {
  run_ranks(3, [](Communicator& comm) {
    Tuner tuner(comm);
    const auto sizes =
        tuner.run({.collectives = {Collective::broadcast, Collective::barrier}, .sizes = {64, 1 << 16}, .seconds = 0});
    ASSERT_TRUE(sizes) << sizes.error().to_string();
    ASSERT_EQ(sizes->size(), 3U);
    for (const TunedSize& size : *sizes) {
      ASSERT_FALSE(size.variants.empty());
      for (const TunedVariant& v : size.variants) EXPECT_GE(v.rounds, 1) << v.candidate.algorithm->name;
    }
    EXPECT_EQ(tuner.layout(*sizes).measured.size(),
              (*sizes)[0].variants.size() + (*sizes)[1].variants.size() + (*sizes)[2].variants.size());
  });
}

// 8 and 16 bytes are one float for each of four ranks.
TEST(Tuning, SizesOfTheSameBlocksAreMeasuredOnceAndToldAtOnce) {
  run_ranks(4, [](Communicator& comm) {
    std::vector<std::size_t> told;
    std::size_t of_all = 0;
    const auto sizes = Tuner(comm).run({.collectives = {Collective::all_gather, Collective::barrier, Collective::all_gather},
                                        .sizes = {8, 16, 32, 64},
                                        .seconds = 0,
                                        .progress = [&](std::size_t, std::size_t of, Collective, std::uint64_t) { of_all = of; },
                                        .measured = [&](const auto& so_far) { told.push_back(so_far.size()); }});
    ASSERT_TRUE(sizes) << sizes.error().to_string();
    std::vector<std::uint64_t> bytes;
    for (const TunedSize& size : *sizes) bytes.push_back(size.bytes);
    EXPECT_EQ(bytes, (std::vector<std::uint64_t>{16, 32, 64, 0}));
    EXPECT_EQ(told, (std::vector<std::size_t>{1, 2, 3, 4}));
    EXPECT_EQ(of_all, 4U);
  });
}

}  // namespace
}  // namespace tutti
