#include "player.h"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace tutti::stress {
namespace {

constexpr std::size_t kSlots = 16, kFewSlots = 6;
constexpr unsigned kSizeBits = 19;
constexpr std::size_t kMostWords = std::size_t{1} << kSizeBits;
constexpr std::size_t kWordsOfPage = 1024;
constexpr std::size_t kMostChildren = 4;
constexpr unsigned kHangs = 120;  // seconds

std::ptrdiff_t at(std::size_t index) { return static_cast<std::ptrdiff_t>(index); }

// Without what sanitizers and the C library do at the end.
[[noreturn]] void end_process(int status) {
  syscall(SYS_exit_group, status);
  std::abort();
}

}  // namespace

Player::Player(std::uint64_t seed, Rank me, Communicator world, Progress& progress)
    : seed_(seed),
      index_(static_cast<std::size_t>(me)),
      shared_(seed),
      own_(seed * 1000003 + index_ + 1),
      progress_(progress),
      slots_(kSlots),
      pieces_(kSlots) {
  std::vector<Rank> all(static_cast<std::size_t>(world.size()));
  for (std::size_t r = 0; r < all.size(); ++r) all[r] = static_cast<Rank>(r);
  splits_.push_back({std::move(world), {all}});
  splits_.push_back({splits_[0].communicator.duplicate().value_or_throw(), {all}});
  split(1, true);
  split(2, false);
  for (Split& s : splits_)
    s.own = &*std::ranges::find_if(s.groups, [me](const auto& ranks) { return std::ranges::find(ranks, me) != ranks.end(); });
}

Player::~Player() { reap(true); }

void Player::split(int color_modulus, bool reversed) {
  const auto me = static_cast<Rank>(index_), size = splits_[0].communicator.size();
  Groups groups(static_cast<std::size_t>(std::min(color_modulus, size)));
  for (Rank r = 0; r < size; ++r) groups[static_cast<std::size_t>(r % color_modulus)].push_back(r);
  if (reversed)
    for (auto& ranks : groups) std::ranges::reverse(ranks);
  splits_.push_back({splits_[0].communicator.split(me % color_modulus, reversed ? -me : me).value_or_throw(), std::move(groups)});
}

void Player::play(std::uint64_t steps) {
  for (step_ = 0; step_ < steps; ++step_) {
    progress_.step = step_;
    alarm(kHangs);
    step();
    reap(false);
  }
  tell("the end");
  check_all();
  // Something that can be adopted, whatever came before.
  pieces_[0] = memory_of_pages(std::size_t{1} << 18);
  slots_[0] = {.size = words(0).size(), .made = step_ + 1, .of_rank = std::vector<std::vector<std::uint32_t>>(ranks())};
  fill(0, 0);
  const Part all{0, 0, slots_[0].size};
  run_alone({.count = all.count, .in_place = true, .input = all, .output = all, .algorithm = {}});
  need(splits_[0].communicator.barrier());
  reap(true);
  for (auto& piece : pieces_) piece.reset();
}

void Player::step() {
  const std::size_t what = shared_.below(100);
  if (what < 8 || live().size() < kFewSlots) return make(draw_size());
  if (what < 58) return calls();
  if (what < 62) return drop();
  if (what < 67) return resize();
  if (what < 74) return rewrite();
  if (what < 82) return empty();
  if (what < 86) return replace();
  if (what < 89) return fork_a_child({});
  if (what < 92) return fork_while_one_writes();
  if (what < 94) return start_another_program();
  check_all();
}

// ---- Buffers

std::vector<std::size_t> Player::live() const {
  std::vector<std::size_t> all;
  for (std::size_t b = 0; b < kSlots; ++b)
    if (slots_[b].size != 0) all.push_back(b);
  return all;
}

// Larger ones more often.
std::size_t Player::draw_buffer() {
  const auto all = live();
  const std::size_t one = all[shared_.below(all.size())], other = all[shared_.below(all.size())];
  return slots_[one].size > slots_[other].size ? one : other;
}

// Seldom one that calls come back to.
std::size_t Player::draw_buffer_to_end() {
  const std::size_t buffer = draw_buffer();
  const bool comes_back = std::ranges::any_of(recurring_, [buffer](const Recurring& recurring) {
    return recurring.plan.input.buffer == buffer || recurring.plan.output.buffer == buffer;
  });
  return comes_back && !shared_.percent(5) ? draw_buffer_to_end() : buffer;
}

// Of whole pages now and then.
std::size_t Player::draw_size() {
  const std::size_t words = shared_.log_uniform(kSizeBits);
  return words > kWordsOfPage && shared_.percent(30) ? words / kWordsOfPage * kWordsOfPage : words;
}

// New contents from this word on.
void Player::fill(std::size_t buffer, std::size_t first) {
  Slot& slot = slots_[buffer];
  for (auto& model : slot.of_rank) {
    model.resize(slot.size);
    auto value = static_cast<std::uint32_t>(shared_());
    for (std::size_t i = first; i < slot.size; ++i) model[i] = value += 0x9e3779b9U;
  }
  std::copy(expected(buffer).begin() + at(first), expected(buffer).end(), words(buffer).begin() + at(first));
}

std::optional<std::string> Player::difference(std::size_t buffer) const {
  const auto [got, wanted] = std::ranges::mismatch(words(buffer), expected(buffer));
  if (wanted == expected(buffer).end()) return {};
  return fmt::format("buffer {} of {} words at {}: word {} is {:#x}, not {:#x}", buffer, slots_[buffer].size,
                     fmt::ptr(words(buffer).data()), wanted - expected(buffer).begin(), *got, *wanted);
}

void Player::check(std::size_t buffer) {
  if (auto what = difference(buffer)) fail(*what);
}

void Player::check_all() {
  for (const std::size_t b : live()) check(b);
}

void Player::make(std::size_t words) {
  if (live().size() == kSlots) drop();
  const auto free = std::ranges::find_if(slots_, [](const Slot& slot) { return slot.size == 0; });
  const auto buffer = static_cast<std::size_t>(free - slots_.begin());
  tell("make buffer {} of {} words", buffer, words);
  pieces_[buffer] = maker_.make(words, own_);
  slots_[buffer] = {.size = words, .made = step_ + 1, .of_rank = std::vector<std::vector<std::uint32_t>>(ranks())};
  fill(buffer, 0);
}

void Player::drop() {
  const std::size_t buffer = draw_buffer_to_end();
  tell("free buffer {}", buffer);
  check(buffer);
  pieces_[buffer].reset();
  slots_[buffer] = {};
}

void Player::resize() {
  const std::size_t buffer = draw_buffer_to_end();
  Slot& slot = slots_[buffer];
  const std::size_t before = slot.size;
  slot.size = shared_.percent(50) ? 1 + shared_.below(before) : std::min(before + shared_.below(before + 4096), kMostWords);
  slot.made = step_ + 1;
  tell("resize buffer {} from {} to {} words", buffer, before, slot.size);
  const std::size_t zero_from = pieces_[buffer]->resize(slot.size);
  for (auto& model : slot.of_rank) model.resize(slot.size);
  const auto [got, wanted] =
      std::mismatch(words(buffer).begin(), words(buffer).begin() + at(std::min(before, slot.size)), expected(buffer).begin());
  if (wanted != expected(buffer).begin() + at(std::min(before, slot.size)))
    fail(fmt::format("word {} was {:#x}, and is {:#x}", wanted - expected(buffer).begin(), *wanted, *got));
  for (std::size_t i = zero_from; i < slot.size; ++i)
    if (words(buffer)[i] != 0) fail(fmt::format("word {} of fresh pages is {:#x}", i, words(buffer)[i]));
  fill(buffer, std::min(before, slot.size));
}

void Player::replace() {
  const std::size_t buffer = draw_buffer();
  tell("free buffer {}, and have other memory there", buffer);
  check(buffer);
  if (pieces_[buffer]->replace() && std::ranges::any_of(words(buffer), [](std::uint32_t word) { return word != 0; }))
    fail("fresh memory is not empty");
  fill(buffer, 0);
}

void Player::rewrite() {
  const std::size_t buffer = draw_buffer();
  tell("write to buffer {}", buffer);
  check(buffer);
  fill(buffer, shared_.percent(50) ? 0 : shared_.below(slots_[buffer].size));
}

void Player::empty() {
  const std::size_t buffer = draw_buffer();
  const Part part = cut({buffer, 0, slots_[buffer].size});
  tell("empty buffer {} [{}, +{}]", buffer, part.first, part.count);
  for (auto& model : slots_[buffer].of_rank) std::fill_n(model.begin() + at(part.first), part.count, 0U);
  pieces_[buffer]->empty(words(buffer).subspan(part.first, part.count), own_);
  check(buffer);
}

// ---- Other processes

// It sees what there was, and has copies of its own. Not what calls are writing, nor what a thread writes.
void Player::fork_a_child(const Plans& under_way) {
  if (under_way.empty()) tell("fork");
  const pid_t child = fork();
  if (child < 0) fail("fork() fails");
  if (child > 0) {
    children_.push_back(child);
    return;
  }
  alarm(kHangs);
  for (const std::size_t b : live()) {
    if (!pieces_[b]->is_copied_by_fork()) continue;  // the parent goes on with it
    const bool changes =
        b == written_ || std::ranges::any_of(under_way, [b](const Plan& plan) { return plan.output.buffer == b; });
    if (const auto what = changes ? std::nullopt : difference(b)) fail("in a child: " + *what);
    pieces_[b]->protect(PROT_READ | PROT_WRITE);
    std::ranges::fill(words(b), 0xdeadbeefU);
  }
  end_process(0);
}

void Player::fork_while_one_writes() {
  tell("fork while a thread writes");
  written_ = draw_unused({});
  {
    const std::jthread thread = writer(*written_);
    fork_a_child({});
  }
  check(*std::exchange(written_, {}));
}

void Player::start_another_program() {
  tell("start /bin/true");
  std::array<char, 5> name{"true"};
  std::array<char*, 2> arguments{name.data(), nullptr};
  pid_t child = 0;
  if (posix_spawn(&child, "/bin/true", nullptr, nullptr, arguments.data(), environ) != 0) fail("posix_spawn() fails");
  children_.push_back(child);
  check_all();
}

void Player::reap(bool all) {
  std::erase_if(children_, [&](pid_t child) {
    int status = 0;
    const bool wait = all || children_.size() > kMostChildren;
    if (waitpid(child, &status, wait ? 0 : WNOHANG) == 0) return false;
    if (status != 0) fail(fmt::format("a child has ended with status {:#x}", status));
    return true;
  });
}

void Player::fail(const std::string& what) const {
  const std::string line = fmt::format("adopt_stress: seed {} step {} rank {}: {}: {}\n", seed_, step_, index_, story_, what);
  (void)!write(STDERR_FILENO, line.data(), line.size());
  end_process(1);
}

}  // namespace tutti::stress
