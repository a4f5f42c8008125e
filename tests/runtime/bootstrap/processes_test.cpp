// Ranks as processes: started by the real launchers, and killed.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "bootstrap/sockets.h"
#include "ranks.h"

extern char** environ;

namespace tutti {
namespace {

using testing::HasSubstr;

struct Outcome {
  int status = -1;
  std::string output;
};

Outcome run(const std::string& command) {
  Outcome outcome;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return outcome;
  std::array<char, 4096> piece{};
  while (const std::size_t n = fread(piece.data(), 1, piece.size(), pipe)) outcome.output.append(piece.data(), n);
  outcome.status = pclose(pipe);
  return outcome;
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

bool installed(const std::string& program) { return run("command -v " + program).status == 0; }

struct Launcher {
  const char* title;
  const char* program;
  const char* options;
  const char* name;
  bool needs_host_name = false;  // that can be looked up
};

class RealLauncher : public testing::TestWithParam<Launcher> {};

TEST_P(RealLauncher, StartsFiveRanksThreeTimes) {
  const Launcher& launcher = GetParam();
  if (!installed(launcher.program)) GTEST_SKIP() << launcher.program << " is not installed: this launcher is NOT tested here";
  if (launcher.needs_host_name && !resolves(host_name()))
    GTEST_SKIP() << "this system does not know its own name (/etc/hosts), which this launcher needs: it is NOT tested here";
  const auto outcome =
      run(std::string("TUTTI_TIMEOUT=60 ") + launcher.program + " " + launcher.options + " " + BOOTSTRAP_PROGRAM + " 3");
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  for (int rank = 0; rank < 5; ++rank) {
    const std::string line = "ok rank " + std::to_string(rank) + " of 5 by " + launcher.name + "\n";
    int seen = 0;
    for (auto at = outcome.output.find(line); at != std::string::npos; at = outcome.output.find(line, at + 1)) ++seen;
    EXPECT_EQ(seen, 3) << line << outcome.output;
  }
}

INSTANTIATE_TEST_SUITE_P(Launchers, RealLauncher,
                         testing::Values(Launcher{"OpenMpi", "mpirun.openmpi",
                                                  "--allow-run-as-root --oversubscribe --bind-to none -np 5",
                                                  "Open MPI's mpirun"},
                                         Launcher{"Hydra", "mpiexec.hydra", "-n 5", "Hydra"},
                                         Launcher{"HydraByPort", "mpiexec.hydra", "-pmi-port -n 5", "Hydra", true}),
                         [](const auto& row) { return row.param.title; });

TEST(Processes, PlainVariables) {
  const std::uint16_t port = SocketAddress::of_socket(listen_at(v4_loopback()).value_or_throw().get()).value_or_throw().port();
  std::string command = "TUTTI_SIZE=3; TUTTI_RENDEZVOUS=127.0.0.1:" + std::to_string(port) +
                        "; export TUTTI_SIZE TUTTI_RENDEZVOUS; for r in 2 0 1; do TUTTI_RANK=$r " BOOTSTRAP_PROGRAM
                        " & done; wait";
  const auto outcome = run(command);
  for (int rank = 0; rank < 3; ++rank)
    EXPECT_THAT(outcome.output, HasSubstr("ok rank " + std::to_string(rank) + " of 3 by TUTTI_RANK and TUTTI_SIZE"));
}

// A rank in a process of its own, with a pipe to what it says.
class Process {
 public:
  Process(Rank rank, Rank size, std::uint16_t port, const std::string& mode) {
    std::array<int, 2> pipe{};
    EXPECT_EQ(pipe2(pipe.data(), O_CLOEXEC), 0);
    output_.reset(pipe[0]);
    const Fd theirs(pipe[1]);
    std::vector<std::string> variables{"TUTTI_RANK=" + std::to_string(rank), "TUTTI_SIZE=" + std::to_string(size),
                                       "TUTTI_RENDEZVOUS=127.0.0.1:" + std::to_string(port), "TUTTI_TIMEOUT=60"};
    std::vector<char*> env;
    for (auto& variable : variables) env.push_back(variable.data());
    for (char** entry = environ; *entry != nullptr; ++entry) env.push_back(*entry);
    env.push_back(nullptr);
    std::string program = BOOTSTRAP_PROGRAM;
    std::string argument = mode;
    std::array<char*, 3> argv{program.data(), argument.data(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, theirs.get(), 1);
    EXPECT_EQ(posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), env.data()), 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Process() {
    if (pid_ <= 0) return;
    (void)kill(pid_, SIGKILL);
    (void)waitpid(pid_, nullptr, 0);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  std::string read_line() {
    std::string line;
    for (char c = 0; read(output_.get(), &c, 1) == 1 && c != '\n';) line += c;
    return line;
  }
  void kill_now() { ASSERT_EQ(kill(pid_, SIGKILL), 0); }
  int wait() {
    int status = 0;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    return std::exchange(pid_, -1) > 0 ? status : -1;
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  Fd output_;
};

TEST(Processes, EverySurvivorNamesTheKilledOneAndExits) {
  constexpr Rank kSize = 6;
  constexpr Rank kVictim = 4;
  const std::uint16_t port = SocketAddress::of_socket(listen_at(v4_loopback()).value_or_throw().get()).value_or_throw().port();
  std::vector<std::unique_ptr<Process>> ranks;
  for (Rank rank = 0; rank < kSize; ++rank) ranks.push_back(std::make_unique<Process>(rank, kSize, port, "watch"));
  for (auto& rank : ranks) ASSERT_EQ(rank->read_line(), "ready");
  const auto pid = std::to_string(ranks[kVictim]->pid());
  ranks[kVictim]->kill_now();
  for (Rank rank = 0; rank < kSize; ++rank) {
    if (rank == kVictim) continue;
    const std::string said = ranks[static_cast<std::size_t>(rank)]->read_line();
    EXPECT_THAT(said, HasSubstr("peer 4:"));
    EXPECT_THAT(said, HasSubstr("pid " + pid + ") died or closed its connection"));
    const int status = ranks[static_cast<std::size_t>(rank)]->wait();
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 3) << status;
  }
}

}  // namespace
}  // namespace tutti
