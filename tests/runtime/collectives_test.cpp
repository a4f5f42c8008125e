// Every row of the table, really run: over shared memory, of which there may be little, over TCP, and over both at once on a
// machine with levels.
#include <bit>
#include <cstdlib>

#include "tests/runtime/reference.h"

namespace tutti {
namespace {

enum class Ground { shm, little_shm, tcp, two_hosts };

// Ranks that share no memory are taken for different hosts: ranks 0 and 1 are then one host, and all others hosts of their own.
Options options_on(Ground ground, Rank rank) {
  if (ground == Ground::two_hosts) return {.transports = rank < 2 ? "shm,tcp" : "tcp"};
  return {.transports = ground == Ground::tcp ? "tcp" : "shm"};
}

struct World {
  Ground ground;
  Rank ranks;
  [[nodiscard]] bool has_levels() const { return ground == Ground::two_hosts && ranks > 2; }
};

class EveryRow : public testing::TestWithParam<World> {
 protected:
  // Boards of 64 KB, on which all but small messages go in pieces.
  void SetUp() override {
    if (GetParam().ground == Ground::little_shm) setenv("TUTTI_SHM_BYTES", "256K", 1);
  }
  void TearDown() override { unsetenv("TUTTI_SHM_BYTES"); }
  void on_ranks(const Body& body) {
    const World w = GetParam();
    run_ranks(
        w.ranks, [w](Rank r) { return options_on(w.ground, r); }, body);
  }
  // What the row's requirements say of this world.
  [[nodiscard]] bool fits(const Algorithm& a, bool commutative) const {
    const World w = GetParam();
    const auto& needs = a.needs;
    return w.ranks >= needs.min_ranks && (!needs.power_of_two || std::has_single_bit(static_cast<std::uint32_t>(w.ranks))) &&
           (!needs.even || w.ranks % 2 == 0) && (commutative || !needs.commutative) && (!needs.levels || w.has_levels()) &&
           needs.routes == RouteKind::none;  // no job knows any yet
  }
  template <class Problem>
  void run_row(Communicator& comm, const Algorithm& a, Case c, bool commutative) {
    c.collective = a.collective;
    c.algorithm = a.name;
    if (fits(a, commutative)) return run_case<Problem>(comm, c);
    Trial<Problem> trial(c, comm.rank(), comm.size());
    fails(comm.run(trial.call()), Code::invalid_argument, {std::string(a.name), "cannot be done by"});
  }
};

TEST_P(EveryRow, GivesTheAnswerForAllCountsInPlaceOrNot) {
  on_ranks([&](Communicator& comm) {
    const auto p = static_cast<std::size_t>(comm.size());
    for (const Algorithm& a : algorithms())
      for (const std::size_t count :
           {std::size_t{0}, std::size_t{1}, p - 1, std::size_t{17}, std::size_t{1000}, std::size_t{70000}})
        for (const bool in_place : {false, true})
          run_row<Sum>(comm, a, {.collective = a.collective, .count = count, .in_place = in_place, .root = comm.size() - 1},
                       true);
    works(comm);
  });
}

TEST_P(EveryRow, ServesAllRoots) {
  on_ranks([&](Communicator& comm) {
    for (const Algorithm& a : algorithms())
      for (Rank root = 0; has_root(a.collective) && root < comm.size(); ++root)
        for (const bool in_place : {false, true})
          run_row<Sum>(comm, a, {.collective = a.collective, .count = 23, .in_place = in_place, .root = root}, true);
  });
}

TEST_P(EveryRow, KeepsTheOrderOfRanks) {
  on_ranks([&](Communicator& comm) {
    for (const Algorithm& a : algorithms())
      for (const std::size_t count : {1, 19, 5000})
        for (Rank root = 0; reduces(a.collective) && root < (has_root(a.collective) ? comm.size() : 1); ++root)
          for (const bool in_place : {false, true})
            run_row<MatrixProduct>(comm, a, {.collective = a.collective, .count = count, .in_place = in_place, .root = root},
                                   false);
  });
}

TEST_P(EveryRow, SplitsNoElement) {
  on_ranks([&](Communicator& comm) {
    for (const Algorithm& a : algorithms())
      for (const std::size_t count : {1, 19, 30000})
        for (const bool in_place : {false, true})
          if (reduces(a.collective))
            run_row<Stretches>(comm, a, {.collective = a.collective, .count = count, .in_place = in_place}, false);
  });
}

// Without a name, something is chosen that serves the call.
TEST_P(EveryRow, OrTheOneThatIsChosen) {
  on_ranks([&](Communicator& comm) {
    for (int c = 0; c < static_cast<int>(Collective::send_recv); ++c)
      for (const std::size_t count : {1, 300, 100000}) {
        const auto collective = static_cast<Collective>(c);
        run_case<Sum>(comm, {.collective = collective, .count = count});
        EXPECT_TRUE(comm.size() == 1 || find_algorithm(collective, comm.last_algorithm()) != nullptr) << comm.last_algorithm();
        if (reduces(collective)) run_case<MatrixProduct>(comm, {.collective = collective, .count = count});
      }
  });
}

TEST_P(EveryRow, RunsOverTheTransportsThatWereAskedFor) {
  const World w = GetParam();
  on_ranks([&](Communicator& comm) {
    works(comm);
    const std::string expected = w.ranks == 1 ? "self" : w.ground == Ground::tcp ? "tcp" : w.has_levels() ? "shm+tcp" : "shm";
    EXPECT_EQ(comm.transports(), expected);
  });
}

std::string world_name(const testing::TestParamInfo<World>& info) {
  constexpr std::array kNames{"shm", "little_shm", "tcp", "two_hosts"};
  return fmt::format("{}_{}", kNames[static_cast<std::size_t>(info.param.ground)], info.param.ranks);
}

INSTANTIATE_TEST_SUITE_P(Worlds, EveryRow,
                         testing::Values(World{Ground::shm, 1}, World{Ground::shm, 2}, World{Ground::shm, 3},
                                         World{Ground::shm, 4}, World{Ground::shm, 7}, World{Ground::little_shm, 3},
                                         World{Ground::little_shm, 5}, World{Ground::tcp, 2}, World{Ground::tcp, 5},
                                         World{Ground::two_hosts, 4}, World{Ground::two_hosts, 5}),
                         world_name);

}  // namespace
}  // namespace tutti
