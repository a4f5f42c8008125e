// adopt_stress [SEED] [STEPS] [RANKS]: a random program whose buffers' pages are adopted (TUTTI_ADOPT), against a model of what
// all ranks' buffers hold. Ranks are processes. All draw what they must agree on from one sequence, and what each may do as it
// likes (kinds of memory, alignment, threads and children of its own) from another one.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <new>
#include <random>

#include "player.h"
#include "transports/shm/address_space.h"

namespace {

using tutti::stress::Progress;

constexpr int kMostRanks = 16;

// What all processes see.
struct Shared {
  tutti::UniqueId id;
  std::atomic<bool> has_id{false};
  std::array<Progress, kMostRanks> progress;
};

struct Settings {
  std::uint64_t seed = 0, steps = 1000;
  int ranks = 3;
  std::string adopt = "by chance";
};

// One rank adopts at the first use, whatever the seed.
std::string way_to_adopt(const Settings& s, int me) {
  if (s.adopt != "by chance") return s.adopt;
  if (s.seed % static_cast<std::uint64_t>(s.ranks) == static_cast<std::uint64_t>(me)) return "eager";
  const std::size_t chance = tutti::stress::Random(s.seed * 31 + static_cast<std::uint64_t>(me)).below(10);
  return chance < 5 ? "eager" : chance < 8 ? "auto" : "off";
}

int run_rank(const Settings& s, int me, Shared& shared) {
  const std::string way = way_to_adopt(s, me);
  setenv("TUTTI_ADOPT", way.c_str(), 1);
  if (me == 0) {
    shared.id = tutti::create_unique_id().value_or_throw();
    shared.has_id = true;
  }
  while (!shared.has_id) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  auto world = tutti::Communicator::create(shared.id, me, s.ranks, {.transports = "shm"}).value_or_throw();
  tutti::stress::Player(s.seed, me, std::move(world), shared.progress[static_cast<std::size_t>(me)]).play(s.steps);

  const auto report = tutti::adoption_report();
  fmt::print("rank {} (TUTTI_ADOPT={}): {}\n", me, way, tutti::to_string(report));
  const auto query = tutti::shm::AreaQuery::open();
  if (!query && me == 0) fmt::print("skipped: whether anything is adopted: {}\n", query.error().to_string());
  if (query && way == "eager" && report.adopted == 0) fmt::print(stderr, "adopt_stress: rank {} has adopted nothing\n", me);
  return query && way == "eager" && report.adopted == 0 ? 1 : 0;
}

pid_t start_rank(const Settings& s, int me, Shared& shared) {
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    std::exit(run_rank(s, me, shared));
  } catch (const std::exception& e) {
    fmt::print(stderr, "adopt_stress: seed {} rank {}: {}\n", s.seed, me, e.what());
    std::exit(1);
  }
}

// When one has failed, the others are not waited for.
bool run_ranks(const Settings& s, Shared& shared) {
  std::vector<pid_t> ranks;
  for (int me = 0; me < s.ranks; ++me) ranks.push_back(start_rank(s, me, shared));
  bool well = std::ranges::find(ranks, -1) == ranks.end();
  for (int left = s.ranks; left > 0; --left) {
    int status = 0;
    const pid_t ended = waitpid(-1, &status, 0);
    const auto rank = static_cast<std::size_t>(std::ranges::find(ranks, ended) - ranks.begin());
    if (rank == ranks.size()) return false;
    ranks[rank] = 0;
    if (status == 0) continue;
    if (well && WIFSIGNALED(status))
      fmt::print(stderr, "adopt_stress: seed {} step {} rank {}: {}: ended by signal {}\n", s.seed,
                 shared.progress[rank].step.load(), rank, shared.progress[rank].story.data(), WTERMSIG(status));
    well = false;
    for (const pid_t other : ranks)
      if (other > 0) kill(other, SIGKILL);
  }
  return well;
}

}  // namespace

int main(int argc, char** argv) {
  Settings s;
  CLI::App app{"A random program whose buffers' pages are adopted, against a model of what they hold"};
  app.add_option("SEED", s.seed, "The same seed is the same program (0: by chance)");
  app.add_option("STEPS", s.steps, "Of the program")->capture_default_str();
  app.add_option("RANKS", s.ranks, "Processes")->capture_default_str()->check(CLI::Range(2, kMostRanks));
  app.add_option("--adopt", s.adopt, "TUTTI_ADOPT of all ranks")->check(CLI::IsMember({"off", "auto", "eager"}));
  CLI11_PARSE(app, argc, argv);
  if (s.seed == 0) s.seed = std::random_device()();
  fmt::print("adopt_stress {} {} {}\n", s.seed, s.steps, s.ranks);
  std::fflush(stdout);

  setenv("TUTTI_CALIBRATE", "0", 1);  // in place whatever this machine's caches do
  setenv("TUTTI_TUNING", "off", 1);
  setenv("TUTTI_TIMEOUT", "20", 0);
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return run_ranks(s, *new (memory) Shared) ? 0 : 1;
}
