#include "select/measurements.h"

#include <gtest/gtest.h>

#include "machines.h"

namespace tutti {
namespace {

Variant ring(std::uint32_t pieces = 1) { return {Collective::all_reduce, "ring", {.pieces = pieces}, false}; }
double linear(std::uint64_t bytes) { return 2 + static_cast<double>(bytes) / 100; }

TEST(Measurements, OneThatWasMeasuredIsWhatWasMeasured) {
  const Measurements m({{ring(), 1000, 7}, {ring(), 4000, 50}});
  EXPECT_EQ(m.time_us(ring(), 1000, linear), 7);
  EXPECT_EQ(m.time_us(ring(), 4000, linear), 50);
}

TEST(Measurements, WhoIsFasterAtBothSizesIsFasterBetweenThem) {
  const Measurements m({{ring(), 1000, 7}, {ring(), 4000, 60}, {ring(2), 1000, 7.1}, {ring(2), 4000, 70}, {ring(4), 4000, 1}});
  double before = 7;
  for (std::uint64_t bytes = 1001; bytes < 4000; bytes += 37) {
    const double here = *m.time_us(ring(), bytes, linear);
    EXPECT_GT(here, before);
    EXPECT_LT(here, 60);
    EXPECT_LT(here, *m.time_us(ring(2), bytes, linear));
    EXPECT_FALSE(m.time_us(ring(4), bytes, linear)) << "it was measured at one of them only";
    before = here;
  }
}

TEST(Measurements, SayAtWhichSizes) {
  const Measurements m({{ring(), 1000, 7}});
  EXPECT_TRUE(m.has(Collective::all_reduce, 1000));
  EXPECT_FALSE(m.has(Collective::all_reduce, 1001));
  EXPECT_FALSE(m.has(Collective::reduce, 1000));
  EXPECT_FALSE(Measurements().has(Collective::all_reduce, 1000));
}

TEST(Measurements, BesideThemTheNearestCounts) {
  const Measurements m({{ring(), 1000, linear(1000) * 3}, {ring(), 4000, linear(4000) * 2}});
  EXPECT_NEAR(*m.time_us(ring(), 500, linear), linear(500) * 3, 1e-9);
  EXPECT_NEAR(*m.time_us(ring(), 8000, linear), linear(8000) * 2, 1e-9);
  EXPECT_FALSE(m.time_us(ring(), 499, linear));
  EXPECT_FALSE(m.time_us(ring(), 8002, linear));
}

TEST(Measurements, OthersWereNotMeasured) {
  const Measurements m({{ring(), 1000, 5}, {ring(2), 4000, 5}, {{Collective::all_reduce, "direct", {}, false}, 16000, 5}});
  EXPECT_FALSE(m.time_us(ring(4), 1000, linear));
  EXPECT_FALSE(m.time_us(ring(), 4001, linear)) << "neither at 4000 nor at 16000";
  EXPECT_FALSE(m.time_us(ring(), 3999, linear)) << "at 1000, but not at 4000";
  EXPECT_FALSE(m.time_us({Collective::all_gather, "ring", {}, false}, 1000, linear));
  EXPECT_FALSE(m.time_us({Collective::all_reduce, "ring", {}, true}, 1000, linear));
  EXPECT_FALSE(Measurements().time_us(ring(), 1000, linear));
}

TEST(Measurements, OfEqualOnesTheLastCounts) {
  const Measurements m({{ring(), 1000, 5}, {ring(), 1000, 6}, {ring(), 1000, 7}});
  EXPECT_EQ(m.all().size(), 1U);
  EXPECT_EQ(m.time_us(ring(), 1000, linear), 7);
}

TEST(Measurements, ABarrierHasNoSize) {
  const Measurements m({{{Collective::barrier, "tree", {}, false}, 0, 5}});
  EXPECT_EQ(m.time_us({Collective::barrier, "tree", {}, false}, 0, linear), 5);
}

// ---- in the choice

JobMachine with(std::vector<Measurement> measured) {
  JobMachine machine = flat(5);
  machine.boards = false;
  machine.measured = Measurements(std::move(measured), "a test");
  return machine;
}

TEST(MeasuredChoice, TheFastestByMeasurementWins) {
  const SelectRequest request{.collective = Collective::all_reduce, .block_bytes = 1024};
  const JobMachine machine = with({{{Collective::all_reduce, "direct", {}, false}, 1024, 40},
                                   {{Collective::all_reduce, "ring", {}, false}, 1024, 30},
                                   {{Collective::all_reduce, "circulant", {}, false}, 1024, 35}});
  const Selection s = choose(request, machine);
  EXPECT_EQ(s.winner().algorithm->name, "ring");
  EXPECT_EQ(s.winner().measured_us, 30);
  EXPECT_EQ(s.candidates[1].algorithm->name, "circulant");
  EXPECT_EQ(s.candidates[2].algorithm->name, "direct");
  EXPECT_FALSE(s.candidates[3].measured_us);
  const std::string text = render(s, request, machine);
  EXPECT_NE(text.find("chosen: ring, the least time by measurement"), std::string::npos) << text;
  EXPECT_NE(text.find("3 measurements of whole calls from a test"), std::string::npos) << text;
}

TEST(MeasuredChoice, WhatIsNoFasterThanNoiseDoesNotWin) {
  const SelectRequest request{.collective = Collective::all_reduce, .block_bytes = 1024};
  for (const double direct_us : {29.5, 28.0}) {
    const JobMachine machine = with({{{Collective::all_reduce, "direct", {}, false}, 1024, direct_us},
                                     {{Collective::all_reduce, "circulant", {}, false}, 1024, 30}});
    const Selection s = choose(request, machine);
    ASSERT_GT(find(s, "direct")->total_us, find(s, "circulant")->total_us);
    EXPECT_EQ(s.winner().algorithm->name, direct_us > 29 ? "circulant" : "direct");
  }
}

TEST(MeasuredChoice, OfOneRowTheFastestVariantWins) {
  const JobMachine machine = with({{{Collective::broadcast, "knomial", {1, 2}, false}, 64, 9},
                                   {{Collective::broadcast, "knomial", {1, 4}, false}, 64, 3},
                                   {{Collective::broadcast, "chain", {1, 2}, false}, 64, 4}});
  const Selection s = choose({.collective = Collective::broadcast, .block_bytes = 64}, machine);
  EXPECT_EQ(s.winner().algorithm->name, "knomial");
  EXPECT_EQ(s.winner().chunking.radix, 4U);
}

TEST(MeasuredChoice, WhatCannotServeDoesNotWin) {
  const JobMachine machine = with({{{Collective::all_reduce, "ring", {}, false}, 1024, 1}});
  const Selection s = choose({.collective = Collective::all_reduce, .block_bytes = 1024, .commutative = false}, machine);
  EXPECT_NE(s.winner().algorithm->name, "ring");
  EXPECT_FALSE(s.winner().measured_us);
  // Nor does what is left of the measured ones because it can, however slow it is.
  const JobMachine slow =
      with({{{Collective::all_reduce, "ring", {}, false}, 1024, 1}, {{Collective::all_reduce, "direct", {}, false}, 1024, 1e6}});
  EXPECT_FALSE(
      choose({.collective = Collective::all_reduce, .block_bytes = 1024, .commutative = false}, slow).winner().measured_us);
}

// As a plugin's row that was measured, and is wrong for this root.
TEST(MeasuredChoice, WhatIsRefusedDoesNotWinHoweverNear) {
  Algorithm fast = *find_algorithm(Collective::all_reduce, "circulant");
  fast.name = "mine";
  fast.refuses_cut = +[](const Shape&, const Chunking&) { return std::string("wrong there"); };
  JobMachine machine =
      with({{{Collective::all_reduce, "direct", {}, false}, 1024, 30}, {{Collective::all_reduce, "mine", {}, false}, 1024, 30}});
  ASSERT_TRUE(machine.algorithms.add(std::make_shared<const Algorithm>(fast)));
  const Selection s = choose({.collective = Collective::all_reduce, .block_bytes = 1024, .filter = "direct,mine"}, machine);
  EXPECT_EQ(s.winner().algorithm->name, "direct");
  EXPECT_EQ(find(s, "mine")->refused, "wrong there");
}

TEST(MeasuredChoice, FarFromMeasuredSizesTheModelChooses) {
  const JobMachine machine = with({{{Collective::all_reduce, "ring", {}, false}, 1024, 1}});
  const SelectRequest far{.collective = Collective::all_reduce, .block_bytes = 1 << 20};
  JobMachine without = machine;
  without.measured = {};
  EXPECT_EQ(choose(far, machine).winner().algorithm, choose(far, without).winner().algorithm);
  EXPECT_FALSE(choose(far, machine).winner().measured_us);
}

}  // namespace
}  // namespace tutti
