// Does the verifier bite? Right schedules are broken in small ways. Each mutant must be refused, or else compute the right thing
// in every one of many random interleavings (then it is equivalent: a copy made twice, a dependency that others imply, ...).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "catalog/catalog.h"
#include "catalog/machines.h"
#include "interpreter.h"
#include "schedule/passes.h"
#include "verify/verify.h"

namespace tutti {
namespace {

using Random = std::mt19937_64;
using Set = std::vector<Schedule>;

std::uint32_t pick(Random& random, std::size_t below) { return static_cast<std::uint32_t>(random() % below); }

struct Subject {
  std::string name;
  VerifyOptions options;
  Set ranks;
};

// Every algorithm of the table for a few rank counts; fused ones, too.
std::vector<Subject> subjects() {
  std::vector<Subject> all;
  for (const Algorithm& row : algorithms())
    for (const Rank p : {3, 4, 6}) {
      if (!applies(row, p) || row.collective == Collective::send_recv) continue;
      const auto machines = made_up_machines(p);
      const Shape shape{
          .ranks = p, .root = p - 1, .in_place = p == 4, .levels = row.needs.levels ? &machines.front().levels : nullptr};
      Set ranks;
      for (Rank r = 0; r < p; ++r) ranks.push_back(row.build(r, shape, {.pieces = 2}));
      const VerifyOptions options{.ordered = reduces(row.collective) && !row.needs.commutative,
                                  .equal_blocks = row.needs.equal_blocks};
      const auto name_of = fmt::format("{} {} {}", name(row.collective), row.name, p);
      all.push_back({name_of, options, ranks});
      for (Schedule& s : ranks) s = fuse(s);
      if (ranks != all.back().ranks) all.push_back({name_of + " fused", options, std::move(ranks)});
    }
  return all;
}

// Keeps the dependencies of the steps that stay, in their new places; the others' are inherited by those that waited for them.
void rebuild(Schedule& s, const std::vector<std::vector<std::uint32_t>>& dependencies) {
  s.dependency_begin.assign(1, 0);
  s.dependency_list.clear();
  for (const auto& list : dependencies) {
    s.dependency_list.insert(s.dependency_list.end(), list.begin(), list.end());
    s.dependency_begin.push_back(static_cast<std::uint32_t>(s.dependency_list.size()));
  }
}
std::vector<std::vector<std::uint32_t>> dependencies(const Schedule& s) {
  std::vector<std::vector<std::uint32_t>> lists;
  for (std::size_t i = 0; i < s.steps.size(); ++i) lists.emplace_back(s.dependencies(i).begin(), s.dependencies(i).end());
  return lists;
}

// The mutations: each changes one schedule in one random way and says whether it did.
bool drop(Schedule& s, Random& random) {
  s.steps.erase(s.steps.begin() + pick(random, s.steps.size()));
  derive_dependencies(s);
  return true;
}

bool duplicate(Schedule& s, Random& random) {
  const auto from = pick(random, s.steps.size());
  const auto to = from + pick(random, s.steps.size() - from + 1);
  const Step step = s.steps[from];
  s.steps.insert(s.steps.begin() + to, step);
  derive_dependencies(s);
  return true;
}

bool retarget_peer(Schedule& s, Random& random) {
  Step& step = s.steps[pick(random, s.steps.size())];
  if (step.peer == kNoRank) return false;
  step.peer = static_cast<Rank>((step.peer + 1 + pick(random, static_cast<std::size_t>(s.ranks) - 1)) % s.ranks);
  return true;
}

Slice* any_slice(Schedule& s, Random& random) {
  Step& step = s.steps[pick(random, s.steps.size())];
  switch (step.kind) {
    case StepKind::send:
      return &step.from;
    case StepKind::recv:
      return &step.to;
    case StepKind::fold:
      if (random() % 2 == 0) return &s.operands[step.operand_begin + pick(random, step.operand_end - step.operand_begin)];
      return &step.to;
    case StepKind::copy:
    case StepKind::reduce:
    case StepKind::recv_reduce:
      return random() % 2 == 0 ? &step.from : &step.to;
  }
  return nullptr;
}

bool retarget_chunk(Schedule& s, Random& random) {
  Slice& slice = *any_slice(s, random);
  const Slice before = slice;
  if (random() % 3 == 0) slice.buffer = static_cast<Buffer>(random() % 3);
  if (random() % 3 != 0) slice.chunk = pick(random, before.chunk + 4);
  derive_dependencies(s);
  return slice != before;
}

bool retarget_channel(Schedule& s, Random& random) {
  Step& step = s.steps[pick(random, s.steps.size())];
  if (step.peer == kNoRank) return false;
  step.channel = static_cast<std::uint16_t>(step.channel ^ (1 + random() % 3));
  return true;
}

bool swap_steps(Schedule& s, Random& random) {
  const auto a = pick(random, s.steps.size());
  const auto b = random() % 2 == 0 ? (a + 1) % s.steps.size() : pick(random, s.steps.size());
  if (s.steps[a] == s.steps[b]) return false;
  std::swap(s.steps[a], s.steps[b]);
  derive_dependencies(s);
  return true;
}

bool unlink(Schedule& s, Random& random) {
  if (s.dependency_list.empty()) return false;
  auto lists = dependencies(s);
  auto left = pick(random, s.dependency_list.size());
  for (auto& list : lists) {
    if (left < list.size()) {
      list.erase(list.begin() + left);
      break;
    }
    left -= static_cast<std::uint32_t>(list.size());
  }
  rebuild(s, lists);
  return true;
}

bool relink(Schedule& s, Random& random) {
  const auto i = pick(random, s.steps.size());
  if (i == 0) return false;
  auto lists = dependencies(s);
  const auto on = pick(random, i);
  if (lists[i].empty() || random() % 2 == 0)
    lists[i].push_back(on);
  else
    lists[i][pick(random, lists[i].size())] = on;
  rebuild(s, lists);
  return true;
}

bool resize(Schedule& s, Random& random) {
  Step& step = s.steps[pick(random, s.steps.size())];
  const bool grow = random() % 2 == 0, both = random() % 2 == 0;
  const auto change = [&](Slice& slice) { slice.count += grow ? 1U : UINT32_MAX; };
  if (step.kind == StepKind::send) {
    change(step.from);
  } else if (step.kind == StepKind::recv) {
    change(step.to);
  } else {
    change(step.to);
    if (both && step.kind != StepKind::fold) change(step.from);
    if (both && step.kind == StepKind::fold)
      for (auto o = step.operand_begin; o < step.operand_end; ++o) change(s.operands[o]);
  }
  if (step.to.count != 0 && (step.kind != StepKind::send || step.from.count != 0)) derive_dependencies(s);
  return true;
}

// Both ends of a message change alike: what one rank's view alone cannot see.
bool resize_message(Set& ranks, Random& random) {
  Schedule& s = ranks[pick(random, ranks.size())];
  if (s.steps.empty()) return false;
  std::vector<std::uint32_t> candidates;
  for (std::uint32_t i = 0; i < s.steps.size(); ++i)
    if (s.steps[i].kind == StepKind::send) candidates.push_back(i);
  if (candidates.empty()) return false;
  const auto chosen = candidates[pick(random, candidates.size())];
  Step& send = s.steps[chosen];
  const auto same = [&](const Step& a) { return a.kind == StepKind::send && a.peer == send.peer && a.channel == send.channel; };
  auto left = std::count_if(s.steps.begin(), s.steps.begin() + chosen, same);
  const std::uint32_t change = random() % 2 == 0 ? 1U : UINT32_MAX;
  Schedule& other = ranks[static_cast<std::size_t>(send.peer)];
  for (Step& recv : other.steps) {
    const bool receives = recv.kind == StepKind::recv || recv.kind == StepKind::recv_reduce;
    if (!receives || recv.peer != s.rank || recv.channel != send.channel || left-- != 0) continue;
    recv.to.count += change;
    if (recv.kind == StepKind::recv_reduce) recv.from.count += change;
    send.from.count += change;
    break;
  }
  if (send.from.count == 0) return true;
  derive_dependencies(s);
  derive_dependencies(other);
  return true;
}

using Mutation = bool (*)(Schedule&, Random&);
template <Mutation mutate>
bool in_one(Set& ranks, Random& random) {
  Schedule& s = ranks[pick(random, ranks.size())];
  return !s.steps.empty() && mutate(s, random);
}

struct Kind {
  std::string_view name;
  bool (*mutate)(Set&, Random&);
};
constexpr Kind kKinds[] = {
    {"drop", in_one<drop>},
    {"duplicate", in_one<duplicate>},
    {"retarget peer", in_one<retarget_peer>},
    {"retarget chunk", in_one<retarget_chunk>},
    {"retarget channel", in_one<retarget_channel>},
    {"reorder: swap two steps", in_one<swap_steps>},
    {"reorder: drop a dependency", in_one<unlink>},
    {"reorder: change a dependency", in_one<relink>},
    {"resize one end", in_one<resize>},
    {"resize a message", resize_message},
};

constexpr int kMutants = 20;       // per subject and kind
constexpr int kInterleavings = 8;  // per mutant that was accepted

std::string second_opinion(const Set& ranks, bool ordered, Random& random) {
  for (int i = 0; i < kInterleavings; ++i)
    if (auto wrong = interpreter::run(ranks, ordered, random()); !wrong.empty()) return wrong;
  return "";
}

TEST(Mutation, originals_are_right_by_both_opinions) {
  Random random(1);
  for (const Subject& subject : subjects()) {
    const auto proof = verify(subject.ranks, subject.options);
    EXPECT_TRUE(proof) << subject.name << ": " << proof.error().to_string();
    EXPECT_EQ(second_opinion(subject.ranks, subject.options.ordered, random), "") << subject.name;
  }
}

TEST(Mutation, second_opinion_is_worth_something) {
  Random random(3);
  std::size_t mutants = 0, wrong = 0;
  for (const Subject& subject : subjects()) {
    Set ranks = subject.ranks;
    if (!in_one<drop>(ranks, random)) continue;
    ++mutants;
    wrong += second_opinion(ranks, subject.options.ordered, random).empty() ? 0 : 1;
  }
  EXPECT_GT(wrong, mutants * 9 / 10);
}

TEST(Mutation, every_mutant_is_refused_or_equivalent) {
  const auto all = subjects();
  ASSERT_FALSE(all.empty());
  for (const Kind& kind : kKinds) {
    Random random(2);
    std::size_t mutants = 0, killed = 0;
    for (const Subject& subject : all)
      for (int m = 0; m < kMutants; ++m) {
        Set ranks = subject.ranks;
        if (!kind.mutate(ranks, random) || ranks == subject.ranks) continue;
        ++mutants;
        if (!verify(ranks, subject.options)) {
          ++killed;
          continue;
        }
        const auto wrong = second_opinion(ranks, subject.options.ordered, random);
        if (wrong.empty()) continue;
        std::string text;
        for (const auto& s : ranks) text += print(s);
        FAIL() << kind.name << " of " << subject.name << " was accepted, but " << wrong << "\n" << text;
      }
    fmt::print("{}: {} mutants, {} killed, {} equivalent\n", kind.name, mutants, killed, mutants - killed);
    EXPECT_GT(killed, mutants / 10) << kind.name;  // many other orders are as good
  }
}

// Changes the first number of its kind that a cost declares, larger or smaller by one; false where there is none.
using Change = bool (*)(Cost&, int by);

template <auto member>
bool change_level(Cost& cost, int by) {
  for (LevelCost& level : cost.levels) {
    auto& number = level.*member;
    if (number == 0 || (by < 0 && number == 1)) continue;  // 0 may say that it is not declared
    number += static_cast<std::remove_reference_t<decltype(number)>>(by);
    return true;
  }
  return false;
}
template <auto member>
bool change(Cost& cost, int by) {
  if (cost.*member == 0 || (by < 0 && cost.*member == 1)) return false;
  cost.*member += static_cast<std::uint64_t>(by);
  return true;
}

struct WrongNumber {
  const Algorithm& row;
  Change change;
  int by;
  mutable bool changed = false;

  static Cost cost(const void* state, const Shape& shape, const Chunking& chunking) {
    const auto& self = *static_cast<const WrongNumber*>(state);
    Cost cost = self.row.cost(shape, chunking);
    if (cost.exact && self.change(cost, self.by)) self.changed = true;
    return cost;
  }
};

TEST(Mutation, every_number_of_an_exact_cost_is_compared) {
  const std::pair<std::string_view, Change> numbers[] = {{"rounds", change_level<&LevelCost::rounds>},
                                                         {"path", change_level<&LevelCost::path>},
                                                         {"sent", change_level<&LevelCost::sent>},
                                                         {"reduced", change_level<&LevelCost::reduced>},
                                                         {"carried", change_level<&LevelCost::carried>},
                                                         {"leaving", change_level<&LevelCost::leaving>},
                                                         {"at a time", change_level<&LevelCost::at_a_time>},
                                                         {"posted", change_level<&LevelCost::posted>},
                                                         {"published", change<&Cost::published>},
                                                         {"taken", change<&Cost::taken>}};
  for (const auto& [number, change] : numbers) {
    std::size_t mutants = 0;
    for (const Algorithm& row : algorithms())
      for (const int by : {-1, 1}) {
        if (number == "taken" && row.needs.levels) continue;  // compared of flat rows only
        const WrongNumber wrong{row, change, by};
        Algorithm mutant = row;
        mutant.cost = {&wrong, WrongNumber::cost};
        const auto summary = verify_algorithm(mutant, 8, {.pieces = {2}, .radices = {2}, .roots = {3}, .fused = false});
        mutants += wrong.changed ? 1 : 0;
        EXPECT_EQ(!summary, wrong.changed) << number << " of " << name(row.collective) << " " << row.name << " by " << by;
      }
    EXPECT_GT(mutants, 0U) << number;
    fmt::print("{}: {} wrong numbers refused\n", number, mutants);
  }
}

}  // namespace
}  // namespace tutti
