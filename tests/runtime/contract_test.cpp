// The numeric contract, really run: what is promised of bits holds whatever does the call, wherever its ranks are.
#include "select/contract.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <mutex>
#include <random>

#include "algorithms/registry.h"
#include "kernels/kernels.h"
#include "tests/runtime/communicators.h"

namespace tutti {
namespace {

using Bits = std::vector<std::byte>;

// Floats of the type, of sizes so different that most orders of adding them up give different sums.
Bits contribution(DataType type, std::size_t count, Rank rank) {
  std::mt19937 random(static_cast<unsigned>(rank) * 7919 + static_cast<unsigned>(type));
  std::normal_distribution<float> normal;
  std::vector<float> wide(2 * count);
  for (float& x : wide) x = std::ldexp(normal(random), static_cast<int>(random() % 12) - 6);
  Bits bits(count * size_of(type));
  const std::size_t lanes = type == DataType::c64 || type == DataType::c128 ? 2 * count : count;
  for (std::size_t i = 0; i < lanes; ++i) {
    const auto put = [&](auto value) { std::memcpy(&bits[i * sizeof value], &value, sizeof value); };
    const auto upper = static_cast<std::uint32_t>(std::bit_cast<std::uint32_t>(wide[i]) >> 16);
    if (type == DataType::f64 || type == DataType::c128)
      put(static_cast<double>(wide[i]) * (1 + 0x1p-40 * static_cast<double>(rank)));
    else if (type == DataType::f32 || type == DataType::c64)
      put(wide[i]);
    else if (type == DataType::bf16)
      put(static_cast<std::uint16_t>(upper));
    else if (type == DataType::f16)  // 0.25 to 4 of either sign, with all bits of the mantissa
      put(static_cast<std::uint16_t>((upper & 0x8000) | 0x3400 | (random() % 0x1000)));
    else
      put(static_cast<std::uint8_t>(random() % 0x60));
  }
  return bits;
}

struct Asked {
  Collective collective = Collective::all_reduce;
  DataType type = DataType::f32;
  ReduceKind kind = ReduceKind::sum;
  std::size_t count = 1;
  std::string algorithm = {};
  std::optional<OrderClass> order = {};
  std::optional<DataType> accumulate = {};

  [[nodiscard]] std::string text() const {
    return std::string(name(collective)) + " of " + std::to_string(count) + " " + std::string(name(type)) + ", " +
           std::string(name(kind)) + " by " + (algorithm.empty() ? "the one that is chosen" : algorithm);
  }
};

// The result, or nothing where this way cannot keep the contract. Blocks of a reduce_scatter are as long as the vector is.
std::optional<Bits> run(Communicator& comm, const Asked& a, const Bits& input) {
  const std::size_t blocks = a.collective == Collective::reduce_scatter ? static_cast<std::size_t>(comm.size()) : 1;
  Bits in;
  for (std::size_t b = 0; b < blocks; ++b) in.insert(in.end(), input.begin(), input.end());
  Bits out(a.count * size_of(a.type));
  const Status s = comm.run({.collective = a.collective,
                             .input = in.data(),
                             .output = out.data(),
                             .count = a.count,
                             .type = a.type,
                             .op = {.kind = a.kind},
                             .algorithm = a.algorithm,
                             .order = a.order,
                             .accumulate = a.accumulate});
  if (s) return out;
  fails(s.error(), Code::invalid_argument, {"cannot be done by", a.algorithm});
  return std::nullopt;
}

// Of the first ranks' contributions, as one step combines them.
Bits folded(const Asked& a, Rank ranks, Accumulation accumulation = Accumulation::usual) {
  std::vector<Bits> inputs;
  for (Rank r = 0; r < ranks; ++r) inputs.push_back(contribution(a.type, a.count, r));
  std::vector<const void*> pointers;
  for (const Bits& in : inputs) pointers.push_back(in.data());
  Bits out(a.count * size_of(a.type));
  kernels::fold({.kind = a.kind}, a.type, pointers, out.data(), a.count,
                {.average_over = a.kind == ReduceKind::avg ? ranks : 0, .accumulation = accumulation});
  return out;
}

Bits expected(const Asked& a, Rank me, Rank ranks) {
  if (a.collective == Collective::exscan) return me == 0 ? Bits(a.count * size_of(a.type)) : folded(a, me);
  if (a.collective == Collective::reduce && me != 0) return Bits(a.count * size_of(a.type));
  return folded(a, a.collective == Collective::scan ? me + 1 : ranks);
}

// Ranks that share no memory are taken for different hosts: pairs of ranks are hosts then.
enum class Ground { shm, tcp, hosts };
struct World {
  Ground ground;
  Rank ranks;
};
void on_ranks(World w, const Body& body) {
  run_ranks(
      w.ranks,
      [w](Rank r) {
        return Options{.transports = w.ground == Ground::shm ? "shm" : w.ground == Ground::tcp || r / 2 != 0 ? "tcp" : "shm,tcp"};
      },
      body);
}

class Contract : public testing::TestWithParam<World> {};

std::string world_name(const testing::TestParamInfo<World>& world) {
  const char* const grounds[] = {"shm", "tcp", "hosts"};
  return grounds[static_cast<int>(world.param.ground)] + std::to_string(world.param.ranks);
}
constexpr World kWorlds[] = {{Ground::shm, 2}, {Ground::shm, 3}, {Ground::shm, 4}, {Ground::shm, 5},
                             {Ground::shm, 8}, {Ground::tcp, 3}, {Ground::tcp, 6}, {Ground::hosts, 4}};
INSTANTIATE_TEST_SUITE_P(In, Contract, testing::ValuesIn(kWorlds), world_name);

constexpr Collective kReducing[] = {Collective::all_reduce, Collective::reduce, Collective::reduce_scatter, Collective::scan,
                                    Collective::exscan};

// All that can be asked for by name, and the one that is chosen.
std::vector<std::string> ways_of(Collective collective) {
  std::vector<std::string> ways{""};
  for (const Algorithm& row : algorithms()) {
    if (row.collective != collective) continue;
    const std::string name(row.name);
    ways.push_back(name);
    if (row.pipelines) ways.push_back(name + "/pieces=3");
    if (row.publishes) ways.push_back(name + "/published");
    if (row.publishes) ways.push_back(name + "/sent");
    for (const char* radix : {"/radix=2", "/radix=4"})
      if (row.has_radix) ways.push_back(name + radix);
  }
  return ways;
}

TEST_P(Contract, PlacementFreeIsTheCanonicalTreeWhateverDoesIt) {
  std::mutex mutex;
  std::map<std::string, int> kept;  // by way of all_reduce: how often
  on_ranks(GetParam(), [&](Communicator& comm) {
    for (const DataType type : {DataType::f32, DataType::bf16, DataType::f64})
      for (const ReduceKind kind : {ReduceKind::sum, ReduceKind::prod})
        for (const std::size_t count : {1, 1003, 20011}) {
          const Bits input = contribution(type, count, comm.rank());
          for (const Collective collective : kReducing) {
            Asked asked{
                .collective = collective, .type = type, .kind = kind, .count = count, .order = OrderClass::placement_free};
            const Bits right = expected(asked, comm.rank(), comm.size());
            for (const std::string& way : ways_of(collective)) {
              asked.algorithm = way;
              const auto result = run(comm, asked, input);
              ASSERT_TRUE(result || !way.empty());
              if (!result) continue;
              ASSERT_EQ(*result, right) << asked.text();
              if (comm.rank() != 0 || collective != Collective::all_reduce) continue;
              const std::lock_guard lock(mutex);
              ++kept[way];
            }
          }
        }
  });
  EXPECT_GT(kept["direct/pieces=3"], 0);
  EXPECT_GT(kept["two_shot"], 0);
  EXPECT_EQ(kept["recursive_doubling/radix=2"] > 0, GetParam().ranks != 5);
  EXPECT_EQ(kept["direct/published"] > 0, GetParam().ground == Ground::shm && GetParam().ranks > 2);
  EXPECT_EQ(kept["ring"] > 0, GetParam().ranks == 2) << "two ranks have but one order";
}

TEST_P(Contract, MeansOfAllFloatsArePlacementFree) {
  on_ranks(GetParam(), [&](Communicator& comm) {
    for (const DataType type : {DataType::f16, DataType::f8e4m3, DataType::f8e5m2, DataType::c64, DataType::c128, DataType::f32})
      for (const Collective collective : {Collective::all_reduce, Collective::reduce, Collective::reduce_scatter}) {
        const Asked asked{
            .collective = collective, .type = type, .kind = ReduceKind::avg, .count = 777, .order = OrderClass::placement_free};
        const auto result = run(comm, asked, contribution(type, 777, comm.rank()));
        ASSERT_TRUE(result);
        ASSERT_EQ(*result, expected(asked, comm.rank(), comm.size())) << asked.text();
      }
  });
}

TEST_P(Contract, SizeFreeSumsAreExactAndDoNotSeeRanksThatGiveNothing) {
  const Rank ranks = GetParam().ranks;
  on_ranks(GetParam(), [&](Communicator& comm) {
    for (const DataType type : {DataType::f32, DataType::f64, DataType::f16, DataType::bf16, DataType::c64})
      for (Rank giving = 1; giving <= ranks; ++giving)
        for (const std::size_t count : {5, 9001}) {
          const Asked asked{.type = type, .count = count, .order = OrderClass::size_free};
          // Who gives which is turned round by one.
          const Rank gives = (comm.rank() + 1) % ranks;
          const auto result = run(comm, asked, gives < giving ? contribution(type, count, gives) : Bits(count * size_of(type)));
          ASSERT_TRUE(result);
          ASSERT_EQ(*result, folded(asked, giving, Accumulation::exact)) << asked.text() << ", " << giving << " give";
        }
  });
}

TEST_P(Contract, PrefixesOfUnequalRanksAreExact) {
  on_ranks(GetParam(), [&](Communicator& comm) {
    for (const Collective collective : {Collective::scan, Collective::exscan}) {
      const Asked asked{.collective = collective, .type = DataType::f64, .count = 333, .order = OrderClass::size_free};
      const auto result = run(comm, asked, contribution(DataType::f64, 333, comm.rank()));
      ASSERT_TRUE(result);
      const Rank before = comm.rank() + (collective == Collective::scan ? 1 : 0);
      if (before > 0) {
        ASSERT_EQ(*result, folded(asked, before, Accumulation::exact)) << asked.text();
      }
    }
  });
}

TEST_P(Contract, AccumulatesInF64AndInF32FromTheFirstToTheLast) {
  on_ranks(GetParam(), [&](Communicator& comm) {
    for (const Collective collective : {Collective::all_reduce, Collective::reduce, Collective::reduce_scatter})
      for (const std::size_t count : {3, 4099}) {
        Asked asked{.collective = collective, .count = count, .accumulate = DataType::f64};
        auto result = run(comm, asked, contribution(DataType::f32, count, comm.rank()));
        ASSERT_TRUE(result);
        if (collective != Collective::reduce || comm.rank() == 0) {
          ASSERT_EQ(*result, folded(asked, comm.size(), Accumulation::f64)) << asked.text();
        }
        asked.type = DataType::bf16;
        asked.accumulate = DataType::f32;
        result = run(comm, asked, contribution(DataType::bf16, count, comm.rank()));
        ASSERT_TRUE(result);
        ASSERT_EQ(*result, expected(asked, comm.rank(), comm.size())) << asked.text();
      }
  });
}

// What one job has measured when it started must not show in the bits of the next one. Nothing is measured in the second job
// here.
TEST_P(Contract, TheSameLayoutHasTheSameBitsInEveryRun) {
  constexpr std::size_t kCounts[] = {1, 50, 700, 3000, 20000, 100000, 600000};
  const World w = GetParam();
  std::vector<std::vector<Bits>> runs;
  for (const char* calibrate : {"1", "0"}) {
    setenv("TUTTI_CALIBRATE", calibrate, 1);
    std::vector<Bits> results;
    on_ranks(w, [&](Communicator& comm) {
      for (const std::size_t count : kCounts)
        for (const Collective collective : kReducing) {
          const Asked asked{.collective = collective, .count = count};
          const auto result = run(comm, asked, contribution(DataType::f32, count, comm.rank()));
          ASSERT_TRUE(result);
          if (comm.rank() == 0) results.push_back(*result);
        }
    });
    runs.push_back(std::move(results));
  }
  unsetenv("TUTTI_CALIBRATE");
  EXPECT_EQ(runs[0], runs[1]);
}

TEST(ContractErrors, SayWhatCouldBeHad) {
  run_ranks(3, [](Communicator& comm) {
    std::vector<float> data(100, 1.0F);
    const auto call = [&](DataType type, ReduceOp op, OrderClass order, std::optional<DataType> accumulate = {},
                          std::string_view algorithm = {}) {
      return comm.run({.collective = Collective::all_reduce,
                       .input = data.data(),
                       .output = data.data(),
                       .count = 10,
                       .type = type,
                       .op = op,
                       .algorithm = algorithm,
                       .order = order,
                       .accumulate = accumulate});
    };
    const auto refused = [&](const Status& s, const std::vector<std::string>& words) {
      ASSERT_FALSE(s);
      fails(s.error(), Code::invalid_argument, words);
    };
    using enum OrderClass;
    refused(call(DataType::f32, {.kind = ReduceKind::prod}, size_free),
            {"rank", "prod of f32", "size_free", "placement_free can"});
    refused(call(DataType::f32, {}, size_free, {}, "ring"), {"ring", "in several steps", "the numeric contract asks for one"});
    refused(call(DataType::f32, {}, placement_free, {}, "ring"), {"ring", "an order of its own"});
    refused(call(DataType::bf16, {}, fast, DataType::f64), {"sum of bf16", "accumulated in f64", "f32 can be asked for of 16-"});
    refused(call(DataType::f64, {}, fast, DataType::f32), {"sum of f64", "accumulated in f32"});
    ReduceOp user{.kind = ReduceKind::user};
    user.user.apply = [](const void*, void*, std::size_t, DataType, void*) noexcept {};
    refused(call(DataType::f32, user, size_free), {"user", "size_free"});
    refused(call(DataType::f32, user, fast, DataType::f64), {"a user's operator"});
    refused(call(DataType::f32, {}, static_cast<OrderClass>(9)), {"order class 9 does not exist"});
    refused(call(DataType::f32, {}, fast, static_cast<DataType>(200)), {"data type 200", "does not exist"});
    // Where nothing is rounded there is nothing to refuse.
    ok(call(DataType::i32, {}, size_free, DataType::f64));
    ok(call(DataType::f32, {.kind = ReduceKind::max}, size_free));
    ok(call(DataType::f32, {.kind = ReduceKind::prod}, placement_free));
  });
}

// What is asked for all calls holds where it can; only what a call asks itself is an error.
TEST(ContractErrors, DefaultsHoldAsFarAsTheyCan) {
  run_ranks(3, Options{.order = OrderClass::size_free, .accumulate = DataType::f64}, [](Communicator& comm) {
    const Asked product{.type = DataType::bf16, .kind = ReduceKind::prod, .count = 77};
    const auto result = run(comm, product, contribution(DataType::bf16, 77, comm.rank()));
    ASSERT_TRUE(result);
    EXPECT_EQ(*result, folded(product, 3)) << "placement_free";
    ReduceOp user{.kind = ReduceKind::user};
    user.user.apply = [](const void* in, void* inout, std::size_t count, DataType, void*) noexcept {
      for (std::size_t i = 0; i < count; ++i) static_cast<float*>(inout)[i] += static_cast<const float*>(in)[i];
    };
    float data = 1;
    ok(comm.all_reduce(std::span(&data, 1), user));
    EXPECT_EQ(data, 3);
  });
}

// A choice from nothing ends with an error, whatever could be had instead.
TEST(ContractErrors, NothingIsLeftToChooseFrom) {
  for (const OrderClass order : {OrderClass::fast, OrderClass::same_layout, OrderClass::placement_free, OrderClass::size_free})
    for (const std::optional<DataType> accumulate : {std::optional<DataType>(), std::optional(DataType::f64)})
      run_ranks(3, [&](Communicator& comm) {
        float data = 1;
        const Status s = comm.run({.collective = Collective::all_reduce,
                                   .input = &data,
                                   .output = &data,
                                   .count = 1,
                                   .type = DataType::f32,
                                   .algorithm_filter = "multi_ring",
                                   .order = order,
                                   .accumulate = accumulate});
        ASSERT_FALSE(s);
        fails(s.error(), Code::invalid_argument, {"no algorithm can serve all_reduce"});
      });
}

// What can be promised there are kernels for.
TEST(ContractErrors, GrantsNothingThatNoKernelDoes) {
  for (int t = 0; t < kDataTypes; ++t)
    for (int k = 0; k < kReduceKinds; ++k)
      for (const std::optional<DataType> accumulate :
           {std::optional<DataType>(), std::optional(DataType::f32), std::optional(DataType::f64)})
        for (const OrderClass order : {OrderClass::fast, OrderClass::size_free}) {
          const auto type = static_cast<DataType>(t);
          const auto kind = static_cast<ReduceKind>(k);
          const auto granted =
              numerics_of(Collective::all_reduce, type, {.kind = kind}, 4, {.order = order, .accumulate = accumulate});
          if (!granted || granted->accumulation == Accumulation::usual) continue;
          EXPECT_TRUE(kernels::accumulates(kind, type, granted->accumulation)) << name(kind) << " of " << name(type);
        }
}

TEST(ContractErrors, RanksMustAccumulateAlike) {
  run_ranks(2, [](Communicator& comm) {
    float data = 1;
    const Status s = comm.run({.collective = Collective::all_reduce,
                               .input = &data,
                               .output = &data,
                               .count = 1,
                               .type = DataType::f32,
                               .accumulate = comm.rank() == 0 ? std::optional(DataType::f64) : std::nullopt});
    ASSERT_FALSE(s);
    fails(s.error(), Code::mismatch, {"ranks disagree", "accumulation"});
  });
}

TEST(ContractErrors, TheEnvironmentAndTheOptionsAskToo) {
  setenv("TUTTI_ORDER", "size_free", 1);
  run_ranks(3, [](Communicator& comm) {
    float data = comm.rank() == 0 ? 0x1p30F : comm.rank() == 1 ? 1.0F : -0x1p30F;
    ok(comm.all_reduce(std::span(&data, 1)));
    EXPECT_EQ(data, 1.0F) << "an exact sum";
  });
  run_ranks(3, Options{.order = OrderClass::placement_free}, [](Communicator& comm) {
    float data = comm.rank() == 0 ? 0x1p30F : comm.rank() == 1 ? 1.0F : -0x1p30F;
    ok(comm.all_reduce(std::span(&data, 1)));
    EXPECT_EQ(data, 0.0F) << "the option goes before the variable";
  });
  run_ranks(3, Options{.order = OrderClass::fast, .accumulate = DataType::f64}, [](Communicator& comm) {
    float data = comm.rank() == 0 ? 0x1p30F : comm.rank() == 1 ? 1.0F : -0x1p30F;
    ok(comm.all_reduce(std::span(&data, 1)));
    EXPECT_EQ(data, 1.0F);
  });
  unsetenv("TUTTI_ORDER");
}

TEST(ContractErrors, PartsAndGroupsKeepIt) {
  run_ranks(6, Options{.order = OrderClass::size_free}, [](Communicator& comm) {
    const float mine[] = {0x1p30F, 1.0F, -0x1p30F};
    auto part = comm.split(comm.rank() % 2, comm.rank());
    ASSERT_TRUE(part);
    float alone = mine[part->rank()], grouped = alone;
    ok(part->all_reduce(std::span(&alone, 1)));
    EXPECT_EQ(alone, 1.0F);
    Group group;
    ok(group.add(
        *part, {.collective = Collective::all_reduce, .input = &grouped, .output = &grouped, .count = 1, .type = DataType::f32}));
    ok(group.run());
    EXPECT_EQ(grouped, 1.0F);
  });
}

}  // namespace
}  // namespace tutti
