// Whatever a caller can get wrong is refused with a text that names it, and the communicator goes on working.
#include <limits>

#include "tests/runtime/communicators.h"

namespace tutti {
namespace {

using Counts = std::vector<std::uint64_t>;
constexpr auto kHuge = std::numeric_limits<std::uint64_t>::max();

struct Wrong {
  Call call;
  std::vector<std::string> words;
};

void nothing(const void*, void*, std::size_t, DataType, void*) noexcept {}

TEST(Arguments, EachWrongOneIsNamed) {
  static const Counts three{1, 1, 1}, two{1, 1}, overflowing{kHuge, kHuge}, far{0, kHuge - 1}, at{0, 1}, threes{3, 3},
      close{4, 2};
  static std::vector<int> memory(100);
  int* const m = memory.data();
  constexpr auto i32 = DataType::i32;
  using enum Collective;
  const std::vector<Wrong> wrong{
      {{.collective = static_cast<Collective>(77)}, {"collective 77", "does not exist"}},
      {{.collective = all_reduce, .input = m, .output = m, .count = 1, .type = static_cast<DataType>(99)}, {"data type 99"}},
      {{.collective = all_reduce, .input = m, .output = m, .count = 1, .op = {.kind = static_cast<ReduceKind>(55)}},
       {"operator 55"}},
      {{.collective = all_reduce, .input = m, .output = m, .count = 1, .type = DataType::f32, .op = {.kind = ReduceKind::band}},
       {"band", "f32", "not defined"}},
      {{.collective = reduce, .input = m, .output = m, .count = 1, .type = DataType::c64, .op = {.kind = ReduceKind::max}},
       {"max", "c64"}},
      {{.collective = scan, .input = m, .output = m, .count = 1, .op = {.kind = ReduceKind::user}}, {"no function"}},
      {{.collective = all_reduce, .input = m, .output = m, .count = 1, .op = {.commutative = false}}, {"non-commutative"}},
      {{.collective = broadcast, .input = m, .output = m, .count = 1, .root = 2}, {"root 2", "0 to 1"}},
      {{.collective = gather, .input = m, .output = m, .count = 1, .root = -1}, {"root -1"}},
      {{.collective = send_recv, .input = m, .count = 1, .destination = 2}, {"destination 2"}},
      {{.collective = send_recv, .output = m, .source = -3, .receive_count = 1}, {"source -3"}},
      {{.collective = all_reduce, .output = m, .count = 5, .type = i32}, {"input is null", "20 bytes"}},
      {{.collective = all_reduce, .input = m, .count = 5, .type = i32}, {"output is null", "20 bytes"}},
      {{.collective = all_reduce, .input = m, .output = m, .count = kHuge / 2, .type = i32}, {"count", "i32", "memory"}},
      {{.collective = all_gather, .input = m, .output = m, .count = kHuge / 8, .type = i32}, {"count", "memory"}},
      {{.collective = send_recv, .output = m, .type = i32, .source = 0, .receive_count = kHuge / 2}, {"receive count"}},
      {{.collective = all_reduce, .input = m, .output = m + 1, .count = 5, .type = i32}, {"overlap", "in place"}},
      {{.collective = all_gather, .input = m + 1, .output = m, .count = 5, .type = i32}, {"overlap", "own block"}},
      {{.collective = reduce_scatter, .input = m, .output = m + 1, .count = 5, .type = i32}, {"overlap", "own block"}},
      {{.collective = all_to_all, .input = m, .output = m + 5, .count = 5, .type = i32}, {"overlap"}},
      {{.collective = send_recv,
        .input = m,
        .output = m,
        .count = 1,
        .type = i32,
        .destination = 0,
        .source = 0,
        .receive_count = 1},
       {"overlap"}},
      {{.collective = all_gather, .input = m, .output = m + 50, .type = i32, .output_counts = three},
       {"3 output counts", "2 ranks"}},
      {{.collective = all_gather, .input = m, .output = m + 50, .type = i32, .input_counts = two}, {"input counts", "one block"}},
      {{.collective = all_gather, .input = m, .output = m + 50, .type = i32, .output_displacements = at},
       {"displacements", "without counts"}},
      {{.collective = all_gather, .input = m, .output = m + 50, .type = i32, .output_counts = two, .output_displacements = three},
       {"3 output displacements"}},
      {{.collective = all_gather, .input = m, .output = m + 50, .type = i32, .output_counts = overflowing},
       {"output counts", "64 bits"}},
      {{.collective = all_gather, .input = m, .output = m + 50, .type = i32, .output_counts = two, .output_displacements = far},
       {"output", "memory"}},
      {{.collective = all_gather,
        .input = m,
        .output = m + 50,
        .type = i32,
        .output_counts = threes,
        .output_displacements = close},
       {"output blocks of ranks 1 and 0 overlap", "displacement 2 count 3"}},
      {{.collective = all_to_all, .input = m, .output = m + 50, .type = i32, .input_counts = two}, {"both sides"}},
      {{.collective = all_reduce, .input = m, .output = m, .count = 1, .algorithm = "no_such"}, {"no_such", "ring", "direct"}},
      {{.collective = all_reduce,
        .input = m,
        .output = m,
        .count = 1,
        .type = i32,
        .op = {.kind = ReduceKind::user, .commutative = false, .user = {.apply = nothing}},
        .algorithm = "ring"},
       {"ring", "not commutative"}},
      {{.collective = all_gather, .input = m, .output = m, .count = 0, .algorithm = "hierarchical"}, {"hierarchical", "levels"}},
  };
  run_ranks(2, [&](Communicator& comm) {
    for (const Wrong& w : wrong) {
      const testing::ScopedTrace trace(__FILE__, __LINE__, w.words.front());
      fails(comm.run(w.call), Code::invalid_argument, w.words);
    }
    works(comm);
  });
}

TEST(Arguments, SpansMustFit) {
  run_ranks(2, [](Communicator& comm) {
    const std::vector<int> in(5);
    std::vector<int> out(6);
    const std::span<const int> i(in);
    const std::span<int> o(out);
    const Counts counts{5, 5}, one{5};
    const std::vector<std::string> sizes{"5", "6"};
    fails(comm.all_reduce(i, o), Code::invalid_argument, sizes);
    fails(comm.reduce(i, o, comm.rank()), Code::invalid_argument, sizes);
    fails(comm.all_gather(i, o), Code::invalid_argument, {"10", "6"});
    fails(comm.reduce_scatter(i, o), Code::invalid_argument, {"12", "5"});
    fails(comm.gather(i, o, comm.rank()), Code::invalid_argument, {"10", "6"});
    fails(comm.scatter(i, o, comm.rank()), Code::invalid_argument, {"12", "5"});
    fails(comm.all_to_all(i, o), Code::invalid_argument, sizes);
    fails(comm.all_to_all(i, o.first(5)), Code::invalid_argument, {"multiples"});
    fails(comm.scan(i, o), Code::invalid_argument, sizes);
    fails(comm.exscan(i, o), Code::invalid_argument, sizes);
    fails(comm.all_gatherv(i, o, counts), Code::invalid_argument, {"10", "6"});
    fails(comm.all_gatherv(i, o, one), Code::invalid_argument, {"1 counts", "2 ranks"});
    fails(comm.gatherv(i, o, counts, comm.rank()), Code::invalid_argument, {"10", "6"});
    fails(comm.scatterv(i, o, counts, comm.rank()), Code::invalid_argument, sizes);
    fails(comm.reduce_scatterv(i, o, counts), Code::invalid_argument, sizes);
    fails(comm.all_to_allv(i, counts, o, counts), Code::invalid_argument, {"10", "5"});
    works(comm);
  });
}

TEST(Arguments, BlocksThatNoMemoryHolds) {
  run_ranks(4, [](Communicator& comm) {
    std::vector<int> memory(100);
    const Call call{
        .collective = Collective::reduce_scatter,
        .input = memory.data(),
        .output = memory.data() + 50,
        .count = 1,
        .op = {.kind = ReduceKind::user, .user = {.apply = nothing, .element_bytes = std::size_t{1} << 62}},
    };
    fails(comm.run(call), Code::invalid_argument, {"input count 1", "memory"});
    works(comm);
  });
}

TEST(Arguments, OptionsAndRanksOfTheStart) {
  const auto id = create_unique_id(30);
  ASSERT_TRUE(id);
  fails(Communicator::create(*id, 2, 2), Code::invalid_argument, {"2"});
  fails(Communicator::create(*id, -1, 2), Code::invalid_argument, {"-1"});
  fails(Communicator::create(*id, 0, 0), Code::invalid_argument, {"0"});
  fails(Communicator::create(UniqueId{}, 0, 2), Code::invalid_argument, {});
  const auto with = [&](const Options& options) { return Communicator::create(*id, 0, 1, options); };
  fails(with({.timeout_s = -1}), Code::environment, {"option timeout_s=\"-1\""});
  fails(with({.algorithm = "all_reduce:no_such"}), Code::environment, {"option algorithm", "no_such"});
  fails(with({.transports = "xx"}), Code::environment, {"option transports=\"xx\"", "shm, verbs, tcp"});
}

TEST(Arguments, RanksThatForceDifferentAlgorithmsDoNotBegin) {
  const auto id = create_unique_id(60);
  ASSERT_TRUE(id);
  each_rank_thread(3, [&](Rank rank) {
    const Options options{.algorithm = rank == 1 ? "all_reduce:ring" : "all_reduce:direct"};
    fails(Communicator::create(*id, rank, 3, options), Code::mismatch, {"all_reduce:ring", "all_reduce:direct"});
  });
}

// Nothing connects them: the first call that needs to says so on both.
TEST(Arguments, RanksWithoutACommonTransport) {
  const auto options = [](Rank rank) { return Options{.transports = rank == 0 ? "shm" : "tcp"}; };
  run_ranks(2, options, [](Communicator& comm) {
    fails(comm.barrier(), Code::unsupported, {"no transport reaches", "TUTTI_TRANSPORT"});
    fails(comm.barrier(), Code::unsupported, {"failed before"});
  });
}

}  // namespace
}  // namespace tutti
