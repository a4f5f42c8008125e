// The text form: what is printed is read back, and whatever else is read is refused politely.
#include "schedule/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "schedule/passes.h"

namespace tutti {
namespace {

using testing::HasSubstr;

// A schedule with every kind of step, some scratch and an odd name.
Schedule everything() {
  Builder b(Collective::all_reduce, "every \"thing\"\n#1", 1, {.ranks = 4, .root = 0}, 8);
  const Slice a = b.scratch_like(b.input(2, 3));
  const Slice c = b.scratch_like(b.input(0));
  b.copy(b.input(0, 8), b.output(0, 8));
  b.send(b.output(2, 3), 3, 7);
  b.recv(2, a, 65535);
  b.reduce(a, b.output(2, 3));
  b.reduce_left(c, b.output(0));
  Schedule s = std::move(b).finish();
  s.steps.push_back({.kind = StepKind::recv_reduce, .from_is_left = true, .peer = 0, .from = b.output(1), .to = b.output(1)});
  s.steps.push_back({.kind = StepKind::recv_reduce, .channel = 2, .peer = 3, .from = b.input(5), .to = b.output(6)});
  s.operands = {b.output(0), c, b.input(4)};
  s.steps.push_back({.kind = StepKind::fold, .to = b.output(7), .operand_begin = 0, .operand_end = 3});
  derive_dependencies(s);
  return s;
}

Schedule random_schedule(std::mt19937_64& random) {
  const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  Schedule s;
  s.collective = static_cast<Collective>(below(kCollectives));
  s.algorithm = "random";
  s.ranks = 1 + static_cast<Rank>(below(9));
  s.rank = static_cast<Rank>(below(static_cast<std::uint32_t>(s.ranks)));
  s.root = static_cast<Rank>(below(static_cast<std::uint32_t>(s.ranks)));
  s.in_place = below(2) == 0;
  s.chunks_per_block = 1 + below(20);
  for (auto n = below(50); n > 0; --n)
    s.scratch.push_back(below(3) == 0 || s.scratch.empty() ? below(1000) : s.scratch[s.scratch.size() - 1] + 1);
  const auto slice = [&] { return Slice{static_cast<Buffer>(below(3)), below(1000), 1 + below(5) / 2}; };
  const auto peer = [&] { return static_cast<Rank>(below(static_cast<std::uint32_t>(s.ranks))); };
  const auto channel = [&] { return static_cast<std::uint16_t>(below(3) == 0 ? below(65536) : 0); };
  for (auto n = below(30); n > 0; --n) {
    Step step{.kind = static_cast<StepKind>(below(6))};
    if (step.kind != StepKind::recv && step.kind != StepKind::fold) step.from = slice();
    if (step.kind != StepKind::send) step.to = slice();
    if (step.kind == StepKind::send || step.kind == StepKind::recv || step.kind == StepKind::recv_reduce)
      step.peer = peer(), step.channel = channel();
    if (step.kind == StepKind::reduce || step.kind == StepKind::recv_reduce) step.from_is_left = below(2) == 0;
    if (step.kind == StepKind::fold) {
      step.operand_begin = static_cast<std::uint32_t>(s.operands.size());
      for (auto o = 1 + below(4); o > 0; --o) s.operands.push_back(slice());
      step.operand_end = static_cast<std::uint32_t>(s.operands.size());
    }
    s.steps.push_back(step);
  }
  derive_dependencies(s);
  return s;
}

// Other dependencies than the derived ones for some steps, down to none.
void change_dependencies(Schedule& s, std::mt19937_64& random) {
  std::vector<std::uint32_t> begin{0}, list;
  for (std::uint32_t i = 0; i < s.steps.size(); ++i) {
    const auto old = s.dependencies(i);
    if (i == 0 || random() % 3 == 0)
      list.insert(list.end(), old.begin(), old.end());
    else
      for (auto n = random() % 3; n > 0; --n) list.push_back(static_cast<std::uint32_t>(random() % i));
    begin.push_back(static_cast<std::uint32_t>(list.size()));
  }
  s.dependency_begin = begin;
  s.dependency_list = list;
}

void expect_round_trip(const Schedule& s) {
  const auto text = print(s);
  const auto parsed = parse_schedules(text);
  ASSERT_TRUE(parsed) << parsed.error().to_string() << "\n" << text;
  ASSERT_EQ(parsed->size(), 1U);
  EXPECT_EQ(parsed->front(), s) << text;
}

TEST(ScheduleText, reads_what_it_prints) { expect_round_trip(everything()); }

TEST(ScheduleText, reads_what_it_prints_of_random_schedules) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 300; ++i) {
    auto s = random_schedule(random);
    expect_round_trip(s);
    change_dependencies(s, random);
    expect_round_trip(s);
  }
}

TEST(ScheduleText, holds_several_ranks) {
  std::mt19937_64 random(4);
  const auto a = random_schedule(random), b = random_schedule(random);
  const auto parsed = parse_schedules(print(a) + "\n# the next one\n" + print(b));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, (std::vector<Schedule>{a, b}));
}

TEST(ScheduleText, is_one_line_per_step) {
  const auto text = print(everything());
  EXPECT_THAT(text, HasSubstr("schedule all_reduce \"every \\\"thing\\\"\\x0a#1\" rank 1 of 4 chunks 8\nscratch 2:5 0\n"));
  EXPECT_THAT(text, HasSubstr("\nsend output[2:5] -> 3 channel 7\n"));
  EXPECT_THAT(text, HasSubstr("\nrecv 2 -> scratch[0:3] channel 65535\n"));
  EXPECT_THAT(text, HasSubstr("\nreduce scratch[0:3] -> output[2:5]\n"));
  EXPECT_THAT(text, HasSubstr("\nreduce_left scratch[3] -> output[0]\n"));
  EXPECT_THAT(text, HasSubstr("\nrecv_reduce output[1] + 0 -> output[1]\n"));
  EXPECT_THAT(text, HasSubstr("\nrecv_reduce 3 + input[5] -> output[6] channel 2\n"));
  EXPECT_THAT(text, HasSubstr("\nfold output[0] + scratch[3] + input[4] -> output[7]\n"));
  EXPECT_THAT(text, testing::Not(HasSubstr("after")));
}

TEST(ScheduleText, may_be_written_by_hand) {
  const auto parsed = parse_schedules(
      "# two steps\r\n\n  schedule broadcast mine rank 1 of 2 chunks 1 root 1 in_place # at the root\n"
      "\tcopy input[0] ->  output[0:1]\n send output[0] -> 0 after none");
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  const Schedule& s = parsed->front();
  EXPECT_EQ(s.root, 1);
  EXPECT_TRUE(s.in_place);
  ASSERT_EQ(s.steps.size(), 2U);
  EXPECT_TRUE(s.dependencies(1).empty());
}

struct Bad {
  std::string_view text, why;  // "@": behind a first line that is right
};
class BadText : public testing::TestWithParam<Bad> {};

TEST_P(BadText, is_refused_with_line_and_reason) {
  std::string text(GetParam().text);
  if (text.starts_with('@')) text.replace(0, 1, "schedule all_reduce ring rank 0 of 2 chunks 4\n");
  const auto parsed = parse_schedules(text);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code(), Code::protocol);
  EXPECT_THAT(parsed.error().to_string(), HasSubstr(GetParam().why));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadText,
    testing::Values(Bad{"", "no schedule in the text"}, Bad{"# nothing\n", "no schedule in the text"},
                    Bad{"send input[0] -> 1", "line 1: expected 'schedule' before anything else, found 'send'"},
                    Bad{"schedule all_produce x rank 0 of 1 chunks 1", "line 1: expected a collective"},
                    Bad{"schedule all_reduce \"x rank 0 of 1 chunks 1", "a closing quote"},
                    Bad{"schedule all_reduce \"\\q\" rank 0 of 1 chunks 1", "two hexadecimal digits"},
                    Bad{"schedule all_reduce x rank 2 of 2 chunks 1", "there is no rank 2 of 2"},
                    Bad{"schedule all_reduce x rank 0 of 2 chunks 1 root 2", "the root is rank 2 of 2"},
                    Bad{"schedule all_reduce x rank 0 of 2 chunks 0", "at least one chunk"},
                    Bad{"schedule all_reduce x rank 0 of 99999999999999999999 chunks 1", "expected of (a number"},
                    Bad{"schedule all_reduce x rank 0 of 1 chunks 1 inplace", "expected nothing more, found 'inplace'"},
                    Bad{"@jump input[0] -> 1", "line 2: expected a step: send, recv"},
                    Bad{"@send input[0] 1", "expected '->', found '1'"},
                    Bad{"@send input[0] -> 2", "expected a rank (a number up to 1), found '2'"},
                    Bad{"@send input[0] -> -1", "expected a rank"}, Bad{"@send inputs[0] -> 1", "expected a slice such as"},
                    Bad{"@send input[0 -> 1", "expected a slice"}, Bad{"@send input[] -> 1", "expected a slice"},
                    Bad{"@send input[3:3] -> 1", "expected a slice"}, Bad{"@send input[3:2] -> 1", "expected a slice"},
                    Bad{"@send input[0x1] -> 1", "expected a slice"}, Bad{"@send input[2147483647] -> 1", "expected a slice"},
                    Bad{"@send input[0] -> 1 channel 65536", "expected a channel (a number up to 65535)"},
                    Bad{"@fold -> output[0]", "expected a slice"}, Bad{"@fold input[0] + -> output[0]", "expected a slice"},
                    Bad{"@recv_reduce 1 + 1 -> output[0]", "expected a slice"},
                    Bad{"@recv_reduce input[0] + input[0] -> output[0]", "expected a rank"},
                    Bad{"@copy input[0] -> output[0]\nscratch 1", "line 3: scratch must be declared before"},
                    Bad{"@scratch 1 x", "numbers of data chunks"}, Bad{"@scratch 0:2147483647", "chunks of scratch"},
                    Bad{"@copy input[0] -> output[0] after 0", "line 2: the first step has nothing to wait for"},
                    Bad{"@send input[0] -> 1\nsend input[0] -> 1 after 1",
                        "expected an earlier step (a number up to 0), found '1'"},
                    Bad{"@send input[0] -> 1\nsend input[0] -> 1 after", "expected an earlier step"},
                    Bad{"@copy input[0] -> output[0] \x01\xff",
                        "expected nothing more, found '?"
                        "?'"}));

TEST(ScheduleText, is_refused_where_dependencies_would_take_forever) {
  std::string text = "schedule all_reduce x rank 0 of 2 chunks 1000000\n";
  for (int i = 0; i < 20000; ++i) text += "send output[0:1000000] -> 1\n";
  for (int i = 0; i < 20000; ++i) text += "send output[" + std::to_string(i * 2 + 1) + "] -> 1\n";
  const auto parsed = parse_schedules(text);
  ASSERT_FALSE(parsed);
  EXPECT_THAT(parsed.error().to_string(), HasSubstr("overlap in too many ways"));
}

// Broken texts: they parse or they do not, but nothing else happens; what parses prints and parses the same again.
class BrokenText : public testing::Test {
 protected:
  void survive(const std::string& text) {
    const auto parsed = parse_schedules(text);
    if (!parsed) {
      EXPECT_EQ(parsed.error().code(), Code::protocol);
      EXPECT_LT(parsed.error().to_string().size(), 500U);
      ++refused_;
      return;
    }
    ++read_;
    std::string printed;
    for (const auto& s : *parsed) printed += print(s);
    const auto again = parse_schedules(printed);
    ASSERT_TRUE(again) << again.error().to_string() << "\n" << printed;
    EXPECT_EQ(*again, *parsed);
  }

  std::mt19937_64 random_{5};
  std::string text_ = print(everything());
  std::size_t refused_ = 0, read_ = 0;
};

TEST_F(BrokenText, with_bits_flipped) {
  for (int i = 0; i < 5000; ++i) {
    auto text = text_;
    for (auto n = 1 + random_() % 3; n > 0; --n) text[random_() % text.size()] ^= static_cast<char>(1U << (random_() % 8));
    survive(text);
  }
  EXPECT_GT(refused_, 1000U);
  EXPECT_GT(read_, 100U);
}

TEST_F(BrokenText, cut_short) {
  for (std::size_t n = 0; n < text_.size(); ++n) survive(text_.substr(0, n));
  EXPECT_GT(refused_, 100U);
}

TEST_F(BrokenText, spliced) {
  for (int i = 0; i < 2000; ++i) {
    auto text = text_;
    const auto from = random_() % text.size(), to = random_() % text.size();
    text.insert(to, text.substr(from, random_() % 40));
    if (i % 2 == 0) text.erase(random_() % text.size(), random_() % 20);
    survive(text);
  }
  EXPECT_GT(refused_, 500U);
}

TEST_F(BrokenText, of_random_tokens) {
  constexpr std::string_view kTokens[] = {"send",     "recv",        "copy",       "reduce",
                                          "fold",     "recv_reduce", "scratch",    "schedule all_reduce x rank 0 of 2 chunks 2\n",
                                          "input[0]", "output[0:2]", "scratch[1]", "->",
                                          "+",        "1",           "0",          "4294967295",
                                          "after",    "none",        "channel",    "\n",
                                          "\n",       "#",           "\"",         "[",
                                          ":",        "in_place"};
  for (int i = 0; i < 3000; ++i) {
    std::string text = i % 2 == 0 ? "" : "schedule all_reduce x rank 0 of 2 chunks 2\n";
    for (auto n = random_() % 40; n > 0; --n) text.append(kTokens[random_() % std::size(kTokens)]).append(" ");
    survive(text);
  }
  EXPECT_GT(refused_, 500U);
}

}  // namespace
}  // namespace tutti
