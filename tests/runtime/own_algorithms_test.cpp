// Schedules of one's own in a communicator, and who decides which algorithm a call uses.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <numeric>

#include "algorithms/registry.h"
#include "tests/runtime/communicators.h"

namespace tutti {
namespace {

// A file of schedules that a test writes: the library's, under another name.
class ScheduleFile {
 public:
  ScheduleFile(Collective collective, std::string_view algorithm, Shape shape) {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() / fmt::format("tutti_own_{}_{}.txt", getpid(), count++);
    std::ofstream file(path_);
    for (Rank r = 0; r < shape.ranks; ++r) {
      Schedule s = find_algorithm(collective, algorithm)->build(r, shape, {});
      s.algorithm = "mine";
      file << print(s);
    }
  }
  ~ScheduleFile() { std::filesystem::remove(path_); }
  ScheduleFile(const ScheduleFile&) = delete;
  ScheduleFile& operator=(const ScheduleFile&) = delete;
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

void sums(Communicator& comm, bool in_place) {
  std::vector<std::int64_t> in(1001), out(1001);
  std::iota(in.begin(), in.end(), comm.rank());
  if (in_place)
    ok(comm.all_reduce(std::span(out = in)));
  else
    ok(comm.all_reduce(std::span<const std::int64_t>(in), std::span(out)));
  const std::int64_t p = comm.size();
  for (std::int64_t i = 0; i < 1001; ++i) ASSERT_EQ(out[static_cast<std::size_t>(i)], p * i + p * (p - 1) / 2) << i;
}

TEST(Own, SchedulesRunByNameWhereverTheBuffersAre) {
  for (const char* algorithm : {"ring", "direct", "recursive_doubling"}) {
    const ScheduleFile file(Collective::all_reduce, algorithm, {.ranks = 3});
    run_ranks(3, Options{.algorithm = "all_reduce:mine", .schedules = file.path()}, [](Communicator& comm) {
      for (int i = 0; i < 3; ++i) sums(comm, i > 0 && (i == 2 || comm.rank() == 1));  // by none, by one rank, by all in place
      EXPECT_EQ(comm.last_algorithm(), "mine");
    });
  }
}

TEST(Own, PartsOfOtherSizesGoOnWithTheLibrarys) {
  const ScheduleFile file(Collective::all_reduce, "ring", {.ranks = 4});
  run_ranks(4, Options{.schedules = file.path()}, [](Communicator& comm) {
    auto half = comm.split(comm.rank() % 2).value_or_throw();
    sums(half, false);
    EXPECT_NE(half.last_algorithm(), "mine");
    const auto text = half.explain({.collective = Collective::all_reduce, .count = 100});
    ASSERT_TRUE(text);
    EXPECT_THAT(*text, testing::HasSubstr("its schedules are for 4 ranks; there are 2"));
    auto all = comm.duplicate().value_or_throw();
    ok(all.run({.collective = Collective::all_reduce, .algorithm = "mine"}));
    fails(half.run({.collective = Collective::all_reduce, .algorithm = "mine"}), Code::invalid_argument,
          {"for 4 ranks; there are 2"});
    sums(half, true);  // a bad call does no harm
  });
}

TEST(Own, RootsThatAreNotThereAreRefused) {
  const ScheduleFile file(Collective::reduce, "knomial", {.ranks = 3, .root = 2});
  run_ranks(3, Options{.schedules = file.path()}, [](Communicator& comm) {
    int in = 1, out = 0;
    const Call call{.collective = Collective::reduce,
                    .input = &in,
                    .output = &out,
                    .count = 1,
                    .type = DataType::i32,
                    .root = 2,
                    .algorithm = "mine"};
    ok(comm.run(call));
    EXPECT_EQ(out, comm.rank() == 2 ? 3 : 0);
    Call other = call;
    other.root = 1;
    fails(comm.run(other), Code::invalid_argument, {"for root 2; the root is 1"});
  });
}

TEST(Own, RanksWithOtherFilesFindOut) {
  const ScheduleFile ring(Collective::all_reduce, "ring", {.ranks = 3}), direct(Collective::all_reduce, "direct", {.ranks = 3});
  auto id = create_unique_id(60).value_or_throw();
  each_rank_thread(3, [&](Rank rank) {
    const Options options{.schedules = rank == 2 ? direct.path() : ring.path()};
    fails(Communicator::create(id, rank, 3, options), Code::mismatch, {"all_reduce mine"});
  });
}

TEST(Own, AMissingFileEndsAllRanks) {
  const ScheduleFile file(Collective::all_reduce, "ring", {.ranks = 3});
  auto id = create_unique_id(60).value_or_throw();
  each_rank_thread(3, [&](Rank rank) {
    const Options options{.schedules = rank == 1 ? "/no/such/file" : file.path()};
    fails(Communicator::create(id, rank, 3, options), Code::invalid_argument, {"/no/such/file"});
  });
}

void gathers(Communicator& comm, const Call& like) {
  const std::size_t p = static_cast<std::size_t>(comm.size()), each = 40000;
  std::vector<std::int64_t> in(each, comm.rank()), out(each * p, -1);
  Call call = like;
  call.collective = Collective::all_gather;
  call.input = in.data();
  call.output = out.data();
  call.count = each;
  call.type = DataType::i64;
  ok(comm.run(call));
  for (std::size_t i = 0; i < out.size(); ++i) ASSERT_EQ(out[i], static_cast<std::int64_t>(i / each)) << i;
}

TEST(Own, CutsOfPluginsThatAreWrongAreNotUsed) {
  const std::string late = std::string(TUTTI_TEST_PLUGINS) + "/liblate.so";
  run_ranks(3, Options{.plugins = late}, [](Communicator& comm) {
    for (const char* name : {"late", "cheap"}) {
      const std::string forced = fmt::format("{}/pieces=4", name);
      fails(comm.run({.collective = Collective::all_gather, .algorithm = forced}), Code::invalid_argument,
            {"liblate.so", fmt::format("all_gather {}, 3 ranks, root 0, 4 piece(s)", name), "forced by the call"});
      gathers(comm, {.algorithm = name});  // in other pieces
      EXPECT_EQ(comm.last_algorithm(), name);
      gathers(comm, {.algorithm_filter = name});
      EXPECT_EQ(comm.last_algorithm(), name);
      gathers(comm, {.algorithm = fmt::format("{}/pieces=3", name)});
    }
    gathers(comm, {});
  });
}

TEST(Own, RootsOfPluginsThatAreWrongAreNotUsed) {
  const std::string late = std::string(TUTTI_TEST_PLUGINS) + "/liblate.so";
  run_ranks(8, Options{.plugins = late}, [](Communicator& comm) {
    for (const Rank root : {0, 2, 3}) {
      int value = comm.rank() == root ? 42 : 0;
      Call call{.collective = Collective::broadcast,
                .input = &value,
                .output = &value,
                .count = 1,
                .type = DataType::i32,
                .root = root,
                .algorithm = "rooted"};
      if (root == 2) {
        fails(comm.run(call), Code::invalid_argument, {"broadcast rooted, 8 ranks, root 2"});
        call.algorithm = "";
      }
      ok(comm.run(call));
      EXPECT_EQ(value, 42);
    }
  });
}

std::string chosen(const Communicator& comm, std::string_view algorithm, std::string_view filter) {
  auto text =
      comm.explain({.collective = Collective::all_reduce, .count = 100, .algorithm = algorithm, .algorithm_filter = filter});
  if (!text) return text.error().to_string();
  return text->substr(text->find("chosen: "));
}

TEST(Precedence, TheNearestPlaceDecidesAlone) {
  using testing::AllOf, testing::HasSubstr;
  run_ranks(3, Options{.algorithm = "ring"}, [](Communicator& comm) {
    EXPECT_THAT(chosen(comm, "", ""), HasSubstr("ring, because it was forced by option algorithm"));
    EXPECT_THAT(chosen(comm, "direct", ""), HasSubstr("direct, because it was forced by the call"));
    EXPECT_THAT(chosen(comm, "", "recursive_doubling"),
                AllOf(HasSubstr("chosen: recursive_doubling"), HasSubstr("the least predicted time")));
    EXPECT_THAT(chosen(comm, "direct", "^direct"), HasSubstr("filtered out by the call"));
  });
  run_ranks(3, Options{.algorithm_filter = "ring,two_shot"}, [](Communicator& comm) {
    EXPECT_THAT(chosen(comm, "", ""), HasSubstr("two_shot, the least predicted time"));
    EXPECT_THAT(chosen(comm, "direct", ""), HasSubstr("direct, because it was forced by the call"));
    EXPECT_THAT(chosen(comm, "", "^direct,^two_shot"), HasSubstr("the least predicted time"));
    EXPECT_THAT(chosen(comm, "ring/pieces=2000", ""), HasSubstr("from 1 to 1024"));
    EXPECT_THAT(chosen(comm, "", "helical"), HasSubstr("no algorithm \"helical\""));
    sums(comm, false);
    EXPECT_THAT(comm.last_algorithm(), testing::AnyOf("ring", "two_shot"));
    // Calls that differ in what they may use have plans of their own.
    std::int64_t in = 1, out = 0;
    Call call{.collective = Collective::all_reduce, .input = &in, .output = &out, .count = 1, .type = DataType::i64};
    for (const char* one : {"direct", "ring", "direct"}) {
      call.algorithm_filter = one;
      ok(comm.run(call));
      EXPECT_EQ(comm.last_algorithm(), one);
    }
  });
}

}  // namespace
}  // namespace tutti
