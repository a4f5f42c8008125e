#include "tests/transports/conformance/world.h"

#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

#include "core/clock.h"

namespace tutti::conformance {
namespace {

// Only failures take so long: this much without any rank having moved anything.
constexpr double kDeadlineSeconds = 40;
// What a hung rank gets on top, to say where it hung.
constexpr double kGraceSeconds = 10;

template <std::size_t N>
void write_text(std::array<char, N>& to, const std::string& text) {
  std::strncpy(to.data(), text.c_str(), N - 1);
}

}  // namespace

// Shared by the ranks of one test, whether they share the rest of their memory or not.
struct Board {
  struct Entry {
    std::array<std::byte, 512> address{};
    std::size_t address_size = 0;
    std::array<char, 256> step{};
    std::array<char, 2048> failure{};
    std::atomic<bool> finished{false};
    std::atomic<bool> dead{false};  // left on purpose
  };
  Rank ranks = 0;
  std::atomic<Clock::rep> last_move{0};
  std::atomic<int> arrived{0};
  std::atomic<std::uint32_t> generation{0};
  std::atomic<int> alive{0};
  std::atomic<bool> failed{false};
  std::array<std::atomic<bool>, 4> points{};
  std::array<Entry, kMaxRanks> entries;

  Entry& of(Rank rank) { return entries[static_cast<std::size_t>(rank)]; }
  void check_deadline() const {
    if (failed) throw RankFailed("another rank failed");
    if (quiet_seconds() > kDeadlineSeconds) throw RankFailed("it hangs");
  }
  void moved() { last_move = Clock::now().time_since_epoch().count(); }
  double quiet_seconds() const { return seconds_since(TimePoint(Duration(last_move))); }
};

std::vector<Case> cases(const TransportFactory& factory) {
  std::vector<Case> all;
  if (factory.threads) all.push_back({factory, false});
  if (factory.processes) all.push_back({factory, true});
  return all;
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  return info.param.factory.name + (info.param.processes ? "_processes" : "_threads");
}

Buffer pattern(std::size_t size, std::uint64_t seed) {
  Buffer bytes(size);
  std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;
  for (std::size_t i = 0; i < size; i += 8) {
    state = (state ^ (state >> 29)) * 0xbf58476d1ce4e5b9ULL + i;
    std::memcpy(bytes.data() + i, &state, std::min<std::size_t>(8, size - i));
  }
  return bytes;
}

Signature signature(std::uint32_t sequence, std::uint64_t count) {
  return {.count = count,
          .sequence = sequence,
          .collective = static_cast<std::uint8_t>(Collective::all_reduce),
          .type = static_cast<std::uint8_t>(DataType::f32)};
}

std::optional<Error> Link::try_send(const Signature& signature, ConstBytes data) {
  Result<bool> finished = endpoint_->post_send(signature, data);
  if (!finished) return std::move(finished.error());
  if (!*finished) ++sends_;
  return std::nullopt;
}

std::optional<Error> Link::try_recv(const Signature& expected, const Sink& sink) {
  Result<bool> finished = endpoint_->post_recv(expected, sink);
  if (!finished) return std::move(finished.error());
  if (!*finished) ++recvs_;
  return std::nullopt;
}

void Link::send(const Signature& signature, ConstBytes data) {
  if (const auto error = try_send(signature, data)) throw RankFailed("post_send: " + error->to_string());
}

void Link::recv(const Signature& expected, const Sink& sink) {
  if (const auto error = try_recv(expected, sink)) throw RankFailed("post_recv: " + error->to_string());
}

Result<bool> Link::poll() {
  const Result<Endpoint::Progress> progress = endpoint_->poll();
  if (!progress) return progress.error().clone();
  if (progress->sends > sends_ || progress->recvs > recvs_)
    return Error(Code::internal, fmt::format("poll() finished {} sends and {} receives, but only {} and {} were posted",
                                             progress->sends, progress->recvs, sends_, recvs_));
  if (progress->sends + progress->recvs > 0 && !progress->moved)
    return Error(Code::internal, "poll() finished something but says that nothing moved");
  sends_ -= progress->sends;
  recvs_ -= progress->recvs;
  return progress->moved;
}

Member::Member(const Case& config, Board& board, Rank rank, const Secret& secret)
    : config_(config), board_(board), rank_(rank), secret_(secret) {
  step("starting");
  come_back();
  const auto address = transport_->listen();
  check(static_cast<bool>(address), address ? "" : "listen: " + address.error().to_string());
  Board::Entry& entry = board.of(rank);
  check(address->size() <= entry.address.size(), fmt::format("an address of {} bytes is too long", address->size()));
  std::memcpy(entry.address.data(), address->data(), address->size());
  entry.address_size = address->size();
  barrier();
}

void Member::come_back() {
  TransportOptions options;
  options.secret = secret_;
  options.rank = rank_;
  options.local_ranks = board_.ranks;
  transport_ = config_.factory.make(options);
}

void Member::arrive(std::size_t point) { board_.points[point] = true; }
bool Member::arrived(std::size_t point) {
  board_.check_deadline();
  sched_yield();
  return board_.points[point];
}

Rank Member::size() const { return board_.ranks; }
void Member::step(const std::string& what) {
  board_.moved();
  write_text(board_.of(rank_).step, what);
}
void Member::moved() { board_.moved(); }
void Member::check(bool holds, const std::string& what) {
  if (!holds) throw RankFailed(what);
}

void Member::barrier() {
  const std::uint32_t generation = board_.generation;
  if (board_.arrived.fetch_add(1) + 1 >= board_.alive) {
    board_.arrived = 0;
    board_.moved();
    board_.generation.fetch_add(1);
    return;
  }
  while (board_.generation == generation) {
    board_.check_deadline();
    sched_yield();
  }
}

ConstBytes Member::address_of(Rank rank) const {
  const Board::Entry& entry = board_.of(rank);
  return ConstBytes(entry.address).first(entry.address_size);
}

ConnectRequest Member::request(Rank peer, std::uint64_t stream) const {
  const ConstBytes address = address_of(peer);
  return {.me = rank_, .peer = peer, .stream = stream, .peer_address = {address.begin(), address.end()}};
}

Link Member::connect(Rank peer, std::uint64_t stream) {
  auto endpoint = transport_->connect(request(peer, stream));
  check(static_cast<bool>(endpoint), endpoint ? "" : "connect: " + endpoint.error().to_string());
  if (rank_ % 2 == 0) (void)(*endpoint)->tune(config_.factory.tuning);
  return {std::move(*endpoint), peer};
}

void Member::until(std::span<Link* const> links, const std::function<bool()>& done) {
  while (!done()) {
    bool moved = false;
    for (Link* link : links) {
      const Result<bool> polled = link->poll();
      if (!polled) throw RankFailed(fmt::format("link to rank {}: {}", link->peer(), polled.error().to_string()));
      moved = moved || *polled;
    }
    if (moved) {
      board_.moved();
      continue;
    }
    board_.check_deadline();
    sched_yield();
  }
}

void Member::until_idle(std::initializer_list<Link*> links) {
  const std::vector<Link*> all(links);
  until(all, [&] { return std::ranges::all_of(all, [](const Link* link) { return link->idle(); }); });
}

Error Member::until_error(Link& link) {
  for (;;) {
    Result<bool> polled = link.poll();
    if (!polled) return std::move(polled.error());
    if (*polled) board_.moved();
    board_.check_deadline();
    sched_yield();
  }
}

void Member::die(std::initializer_list<Link*> links) {
  step("dying");
  board_.of(rank_).dead = true;
  board_.alive.fetch_sub(1);
  if (config_.processes) kill(getpid(), SIGKILL);
  for (Link* link : links) link->endpoint().close();
}

namespace {

void run_rank(const Case& config, Board& board, Rank rank, const Secret& secret, const Body& body) {
  MixedMemory::mapped = config.factory.mapped;
  MixedMemory::allocated = static_cast<unsigned>(rank);  // so that ranks differ
  try {
    Member member(config, board, rank, secret);
    body(member);
  } catch (const RankFailed& failure) {
    const bool first = !board.failed.exchange(true);
    if (first || std::string_view(failure.what()) != "another rank failed") write_text(board.of(rank).failure, failure.what());
  }
  board.of(rank).finished = true;
}

std::string describe(Board& board, Rank rank, const std::string& what) {
  return fmt::format("rank {}, while {}: {}", rank, board.of(rank).step.data(), what);
}

void run_processes(const Case& config, Board& board, const std::function<Secret(Rank)>& secret_of, const Body& body) {
  std::vector<pid_t> children;
  for (Rank rank = 0; rank < board.ranks; ++rank) {
    const pid_t child = fork();
    ASSERT_GE(child, 0) << "fork: " << std::strerror(errno);
    if (child == 0) {
      run_rank(config, board, rank, secret_of(rank), body);
      _exit(0);
    }
    children.push_back(child);
  }
  for (Rank rank = 0; rank < board.ranks; ++rank) {
    const pid_t child = children[static_cast<std::size_t>(rank)];
    int status = 0;
    bool hung = false;
    while (waitpid(child, &status, WNOHANG) == 0) {
      if (!hung && board.quiet_seconds() > kDeadlineSeconds + kGraceSeconds) {
        hung = true;
        kill(child, SIGKILL);
      }
      usleep(500);
    }
    if (hung) {
      ADD_FAILURE() << describe(board, rank, "it hung inside the transport and was killed");
    } else if (WIFSIGNALED(status) && !board.of(rank).dead) {
      ADD_FAILURE() << describe(board, rank, fmt::format("killed by signal {}", WTERMSIG(status)));
      board.failed = true;
    } else if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
      ADD_FAILURE() << describe(board, rank, fmt::format("exit status {}", WEXITSTATUS(status)));
      board.failed = true;
    }
  }
}

void run_threads(const Case& config, Board& board, const std::function<Secret(Rank)>& secret_of, const Body& body) {
  std::vector<std::thread> threads;
  for (Rank rank = 0; rank < board.ranks; ++rank)
    threads.emplace_back([&, rank] { run_rank(config, board, rank, secret_of(rank), body); });
  for (Rank rank = 0; rank < board.ranks; ++rank) {
    while (!board.of(rank).finished) {
      if (board.quiet_seconds() > kDeadlineSeconds + kGraceSeconds) {
        // A thread cannot be stopped from outside: the program has to end.
        fprintf(stderr, "%s\n", describe(board, rank, "it hangs inside the transport").c_str());
        std::_Exit(3);
      }
      usleep(500);
    }
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

void run(const Case& config, Rank ranks, const Body& body, const std::function<Secret(Rank)>& secret_of) {
  void* memory = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  Board& board = *new (memory) Board;
  board.ranks = ranks;
  board.alive = ranks;
  board.moved();
  const auto same_secret = [](Rank) { return Secret{{std::byte{7}, std::byte{1}, std::byte{9}}}; };
  const std::function<Secret(Rank)> secrets = secret_of ? secret_of : same_secret;
  if (config.processes) {
    run_processes(config, board, secrets, body);
  } else {
    run_threads(config, board, secrets, body);
  }
  for (Rank rank = 0; rank < ranks; ++rank) {
    if (board.of(rank).failure[0] != 0) ADD_FAILURE() << describe(board, rank, board.of(rank).failure.data());
  }
  board.~Board();
  munmap(memory, sizeof(Board));
}

}  // namespace tutti::conformance
