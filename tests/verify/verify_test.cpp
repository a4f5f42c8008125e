#include "verify/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "samples.h"
#include "schedule/passes.h"

namespace tutti {
namespace {

using samples::all_ranks;
using samples::from_text;
using testing::HasSubstr;

std::string refusal(const std::vector<Schedule>& ranks, const VerifyOptions& options = {}) {
  const auto proof = verify(ranks, options);
  return proof ? "accepted" : proof.error().to_string();
}

class Samples : public testing::TestWithParam<std::tuple<Rank, bool>> {
 protected:
  [[nodiscard]] Shape shape(Rank root = 0) const {
    return {.ranks = std::get<0>(GetParam()), .root = root, .in_place = std::get<1>(GetParam())};
  }
};
INSTANTIATE_TEST_SUITE_P(RanksAndPlaces, Samples, testing::Combine(testing::Values(1, 2, 3, 5, 8), testing::Bool()));

TEST_P(Samples, are_accepted) {
  EXPECT_EQ(refusal(all_ranks(samples::ring_all_reduce, shape())), "accepted");
  EXPECT_EQ(refusal(all_ranks(samples::direct_all_reduce, shape()), {.ordered = true}), "accepted");
  EXPECT_EQ(refusal(all_ranks(samples::ring_all_gather, shape())), "accepted");
  EXPECT_EQ(refusal(all_ranks(samples::linear_scan, shape()), {.ordered = true}), "accepted");
  EXPECT_EQ(refusal(all_ranks(samples::pairwise_all_to_all, shape())), "accepted");
  for (Rank root = 0; root < shape().ranks; ++root)
    EXPECT_EQ(refusal(all_ranks(samples::chain_broadcast, shape(root))), "accepted");
}

TEST_P(Samples, are_accepted_after_fusing) {
  const auto fused = [&](auto build) {
    auto ranks = all_ranks(build, shape());
    for (auto& s : ranks) s = fuse(s);
    return ranks;
  };
  EXPECT_EQ(refusal(fused(samples::ring_all_reduce)), "accepted");
  EXPECT_EQ(refusal(fused(samples::direct_all_reduce), {.ordered = true}), "accepted");
  EXPECT_EQ(refusal(fused(samples::linear_scan), {.ordered = true}), "accepted");
}

// Sets that are wrong in one way each, and what must be said about them.
struct Wrong {
  std::string_view name, text, why;
  VerifyOptions options = {};
};
void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.name; }
class Refusals : public testing::TestWithParam<Wrong> {};

TEST_P(Refusals, name_the_steps_and_the_slice) {
  const auto proof = verify(from_text(GetParam().text), GetParam().options);
  ASSERT_FALSE(proof);
  EXPECT_EQ(proof.error().code(), Code::invalid_argument);
  EXPECT_THAT(proof.error().to_string(), HasSubstr(GetParam().why));
}

constexpr Wrong kMalformed[] = {
    {"missing rank", "schedule all_reduce x rank 0 of 2 chunks 1\n",
     "rank 0's schedule is for 2 ranks, but 1 schedules were given"},
    {"wrong place", "schedule barrier x rank 1 of 2 chunks 1\nschedule barrier x rank 0 of 2 chunks 1",
     "the schedule at place 0 is rank 1's"},
    {"other collective", "schedule barrier x rank 0 of 2 chunks 1\nschedule scan x rank 1 of 2 chunks 1",
     "do not have the same collective"},
    {"other root", "schedule reduce x rank 0 of 2 chunks 1\nschedule reduce x rank 1 of 2 chunks 1 root 1",
     "do not have the same root"},
    {"other chunking", "schedule scan x rank 0 of 2 chunks 1\nschedule scan x rank 1 of 2 chunks 2",
     "do not have the same number of chunks"},
    {"outside of a buffer", "schedule scan x rank 0 of 1 chunks 2\ncopy input[1:3] -> output[0:2]",
     "rank 0 step 0 (copy input[1:3] -> output[0:2]) touches input[1:3], but input has 2 chunks"},
    {"no output", "schedule reduce x rank 0 of 2 chunks 1\nschedule reduce x rank 1 of 2 chunks 1\ncopy input[0] -> output[0]",
     "rank 1 step 0 (copy input[0] -> output[0]) touches output[0], but this rank has no output"},
    {"no input",
     "schedule broadcast x rank 0 of 2 chunks 1\nschedule broadcast x rank 1 of 2 chunks 1\ncopy input[0] -> output[0]",
     "this rank has no input"},
    {"const input", "schedule scan x rank 0 of 1 chunks 2\ncopy output[0] -> input[0]",
     "writes input[0], which is the user's and const"},
    {"const input in place",
     "schedule reduce_scatter x rank 0 of 2 chunks 1 in_place\ncopy input[0] -> input[1]\n"
     "schedule reduce_scatter x rank 1 of 2 chunks 1",
     "writes input[1], which is the user's and const"},
    {"onto itself", "schedule scan x rank 0 of 1 chunks 2 in_place\ncopy input[0] -> output[0]",
     "has input[0] and output[0] in the same memory"},
    {"half onto itself", "schedule scan x rank 0 of 1 chunks 3\ncopy output[0:2] -> output[1:3]", "in the same memory"},
    {"other count", "schedule scan x rank 0 of 1 chunks 3\ncopy input[0:2] -> output[0]",
     "brings 2 chunks of input[0:2] to 1 of output[0]"},
    {"to itself", "schedule scan x rank 0 of 1 chunks 1\nsend input[0] -> 0", "talks to itself"},
    {"one operand", "schedule scan x rank 0 of 1 chunks 1\nfold input[0] -> output[0]", "needs two operands at least"},
    {"scratch of no size", "schedule scan x rank 0 of 1 chunks 1\nscratch 1\n",
     "scratch[0] has the size of data chunk 1, but there are only 1"},
};
INSTANTIATE_TEST_SUITE_P(Malformed, Refusals, testing::ValuesIn(kMalformed));

constexpr Wrong kUnmatched[] = {
    {"no receive", "schedule barrier x rank 0 of 2 chunks 1\nsend input[0] -> 1\nschedule barrier x rank 1 of 2 chunks 1",
     "rank 0 step 0 (send input[0] -> 1) has no receive"},
    {"no send", "schedule barrier x rank 0 of 2 chunks 1\nschedule barrier x rank 1 of 2 chunks 1\nrecv 0 -> output[0]",
     "rank 1 step 0 (recv 0 -> output[0]) has no send"},
    {"other channel",
     "schedule barrier x rank 0 of 2 chunks 1\nsend input[0] -> 1 channel 1\n"
     "schedule barrier x rank 1 of 2 chunks 1\nrecv 0 -> output[0]",
     "rank 1 step 0 (recv 0 -> output[0]) has no send"},
    {"other number of chunks",
     "schedule scan x rank 0 of 2 chunks 2\nsend input[0:2] -> 1\nschedule scan x rank 1 of 2 chunks 2\nrecv 0 -> output[0]",
     "rank 0 step 0 (send input[0:2] -> 1) sends 2 chunks, but rank 1 step 0 (recv 0 -> output[0]) takes 1"},
    {"other chunk",
     "schedule scan x rank 0 of 2 chunks 2\nsend input[0] -> 1\nschedule scan x rank 1 of 2 chunks 2\nrecv 0 -> output[1]",
     "input[0] and output[1] are not of one size"},
    {"other block",
     "schedule all_gather x rank 0 of 2 chunks 1\nsend input[0] -> 1\nschedule all_gather x rank 1 of 2 chunks 1\nrecv 0 -> "
     "output[1]",
     "input[0] and output[1] are not of one size"},
    {"other pair",
     "schedule all_to_all x rank 0 of 2 chunks 1\nsend input[0] -> 1\nschedule all_to_all x rank 1 of 2 chunks 1\nrecv 0 -> "
     "output[0]",
     "input[0] and output[0] are not of one size"},
    {"other size of a copy", "schedule scan x rank 0 of 1 chunks 2\ncopy input[0] -> output[1]",
     "input[0] and output[1] are not of one size"},
    {"other piece of equal blocks",
     "schedule all_gather x rank 0 of 1 chunks 2\ncopy input[0] -> output[1]",
     "are not of one size",
     {.equal_blocks = true}},
};
INSTANTIATE_TEST_SUITE_P(Unmatched, Refusals, testing::ValuesIn(kUnmatched));

constexpr Wrong kRaces[] = {
    {"read and write",
     "schedule all_reduce x rank 0 of 2 chunks 1\ncopy input[0] -> output[0]\nsend output[0] -> 1 after none\n"
     "schedule all_reduce x rank 1 of 2 chunks 1\nrecv 0 -> output[0]",
     "race: rank 0 step 0 (copy input[0] -> output[0]) and step 1 (send output[0] -> 1) both touch output[0] and neither waits "
     "for the other"},
    {"two writes",
     "schedule all_reduce x rank 0 of 2 chunks 1\nsend input[0] -> 1\nsend input[0] -> 1\n"
     "schedule all_reduce x rank 1 of 2 chunks 1\nrecv 0 -> output[0]\nrecv 0 -> output[0] after none",
     "race: rank 1 step 0 (recv 0 -> output[0]) and step 1 (recv 0 -> output[0]) both touch output[0]"},
    {"a write under a send",
     "schedule scan x rank 0 of 2 chunks 1\nsend input[0] -> 1\ncopy input[0] -> output[0]\nschedule scan x rank 1 of 2 chunks "
     "1\n"
     "scratch 0\ncopy input[0] -> output[0]\nsend output[0] -> 0 after 0\nrecv 0 -> scratch[0]\nreduce scratch[0] -> output[0] "
     "after 0 2\n",
     "has no receive"},
    {"in place",
     "schedule all_reduce x rank 0 of 2 chunks 1 in_place\nscratch 0\nsend input[0] -> 1\nrecv 1 -> scratch[0]\nreduce "
     "scratch[0] -> output[0]\n"
     "schedule all_reduce x rank 1 of 2 chunks 1\nscratch 0\ncopy input[0] -> output[0]\nsend input[0] -> 0\nrecv 0 -> "
     "scratch[0]\nreduce scratch[0] -> output[0]",
     "race: rank 0 step 0 (send input[0] -> 1) and step 2 (reduce scratch[0] -> output[0]) both touch output[0]"},
};
INSTANTIATE_TEST_SUITE_P(Races, Refusals, testing::ValuesIn(kRaces));

constexpr Wrong kDeadlocks[] = {
    {"both send first",
     "schedule all_reduce x rank 0 of 2 chunks 1\nscratch 0\nsend input[0] -> 1\nrecv 1 -> scratch[0] after 0\n"
     "schedule all_reduce x rank 1 of 2 chunks 1\nscratch 0\nsend input[0] -> 0\nrecv 0 -> scratch[0] after 0\n",
     "deadlock without buffering: rank 0 step 0 (send input[0] -> 1) needs rank 1 step 1 (recv 0 -> scratch[0]), which starts "
     "only after "
     "rank 1 step 0 (send input[0] -> 0), which needs rank 0 step 1 (recv 1 -> scratch[0]), which starts only after rank 0 step "
     "0"},
    {"crossed streams",
     "schedule all_reduce x rank 0 of 2 chunks 1\nscratch 0 0\nrecv 1 -> scratch[0] after none\nsend input[0] -> 1 after 0\nrecv "
     "1 -> scratch[1]\n"
     "schedule all_reduce x rank 1 of 2 chunks 1\nscratch 0\nrecv 0 -> scratch[0]\nsend scratch[0] -> 0\nsend input[0] -> 0",
     "deadlock without buffering"},
};
INSTANTIATE_TEST_SUITE_P(Deadlocks, Refusals, testing::ValuesIn(kDeadlocks));

constexpr std::string_view kExchange =
    "schedule all_reduce x rank 0 of 2 chunks 1\nscratch 0\ncopy input[0] -> output[0]\nsend input[0] -> 1\nrecv 1 -> "
    "scratch[0]\nreduce scratch[0] -> output[0]\n"
    "schedule all_reduce x rank 1 of 2 chunks 1\nscratch 0\ncopy input[0] -> output[0]\nsend input[0] -> 0\nrecv 0 -> "
    "scratch[0]\nreduce scratch[0] -> output[0]\n";
constexpr Wrong kMeanings[] = {
    {"undefined read", "schedule scan x rank 0 of 1 chunks 1\nscratch 0\ncopy scratch[0] -> output[0]",
     "undefined read: rank 0 step 0 (copy scratch[0] -> output[0]) reads scratch[0], which nothing has written before"},
    {"nothing done", "schedule scan x rank 0 of 1 chunks 1",
     "wrong result: output[0] of rank 0 ends with nothing; it must hold chunk 0 of ranks 0 (no step writes it)"},
    {"too few",
     "schedule all_reduce x rank 0 of 2 chunks 1\ncopy input[0] -> output[0]\nschedule all_reduce x rank 1 of 2 chunks 1",
     "wrong result: output[0] of rank 0 ends with chunk 0 of ranks 0; it must hold chunk 0 of ranks 0-1 (last written by rank 0 "
     "step 0"},
    {"twice", "schedule scan x rank 0 of 1 chunks 1\ncopy input[0] -> output[0]\nreduce input[0] -> output[0]",
     "some rank would count twice"},
    {"out of order",
     kExchange,
     "rank 1 step 3 (reduce scratch[0] -> output[0]) combines chunk 0 of ranks 1 with chunk 0 of ranks 0 into output[0]: "
     "not in the order of ranks",
     {.ordered = true}},
    {"exscan writes at rank 0", "schedule exscan x rank 0 of 1 chunks 1\ncopy input[0] -> output[0]", "it must hold nothing"},
    {"different data",
     "schedule reduce_scatter x rank 0 of 1 chunks 1\nscratch 0\ncopy input[0] -> scratch[0]\nreduce scratch[0] -> output[0]",
     "reads output[0]"},
    {"wrong block",
     "schedule all_gather x rank 0 of 2 chunks 1\ncopy input[0] -> output[0]\ncopy input[0] -> output[1]\n"
     "schedule all_gather x rank 1 of 2 chunks 1",
     "output[1] of rank 0 ends with chunk 0 of block 0; it must hold chunk 0 of block 1",
     {.equal_blocks = true}},
};
INSTANTIATE_TEST_SUITE_P(Meanings, Refusals, testing::ValuesIn(kMeanings));

TEST(Verify, accepts_a_plain_exchange_of_a_commutative_operator) { EXPECT_EQ(refusal(from_text(kExchange)), "accepted"); }

TEST(Verify, follows_chains_of_dependencies) {
  // Step 2 waits for step 0 by way of step 1 only.
  EXPECT_EQ(refusal(from_text(
                "schedule scan x rank 0 of 1 chunks 1\nscratch 0\ncopy input[0] -> output[0]\ncopy output[0] -> scratch[0]\n"
                "copy scratch[0] -> output[0] after 1")),
            "accepted");
}

TEST(Verify, refuses_broken_dependency_tables) {
  auto ranks = from_text("schedule scan x rank 0 of 1 chunks 1\ncopy input[0] -> output[0]\n");
  ranks[0].dependency_begin = {0};
  EXPECT_THAT(refusal(ranks), HasSubstr("dependency table"));
  ranks[0].dependency_begin = {0, 1};
  EXPECT_THAT(refusal(ranks), HasSubstr("dependency table"));
  ranks[0].dependency_list = {0};
  EXPECT_THAT(refusal(ranks), HasSubstr("depends on step 0, which does not come before it"));
}

TEST(Verify, refuses_what_is_too_big_instead_of_trying) {
  const auto proof = verify(from_text("schedule all_gather x rank 0 of 1 chunks 2000000000"));
  ASSERT_FALSE(proof);
  EXPECT_EQ(proof.error().code(), Code::unsupported);
}

TEST(Verify, measures_rings) {
  const auto proof = verify(all_ranks(samples::ring_all_reduce, {.ranks = 64}));
  ASSERT_TRUE(proof) << proof.error().to_string();
  EXPECT_EQ(proof->rounds, 126U);
  EXPECT_EQ(proof->path, 126U);
  EXPECT_EQ(proof->sent, 126U);
  EXPECT_EQ(proof->reduced, 63U);
  EXPECT_EQ(proof->messages, 64U * 126U);
  EXPECT_EQ(proof->steps, 64U * (1 + 63 * 3 + 63 * 2));
}

TEST(Verify, measures_streams_and_heavy_chains) {
  const auto chain = verify(all_ranks(samples::chain_broadcast, {.ranks = 5}));
  ASSERT_TRUE(chain);
  EXPECT_EQ(chain->rounds, 4U + 2U);  // three pieces down a chain of four links
  EXPECT_EQ(chain->sent, 3U);
  const auto gather = verify(all_ranks(samples::ring_all_gather, {.ranks = 5}));
  ASSERT_TRUE(gather);
  EXPECT_EQ(gather->rounds, 4U);
  EXPECT_EQ(gather->path, 8U);
  const auto direct = verify(all_ranks(samples::pairwise_all_to_all, {.ranks = 5}));
  ASSERT_TRUE(direct);
  EXPECT_EQ(direct->rounds, 1U);  // nobody waits for anybody
  EXPECT_EQ(direct->sent, 4U);
}

TEST(Verify, measures_fused_steps_like_what_they_stand_for) {
  auto ranks = all_ranks(samples::direct_all_reduce, {.ranks = 5});
  const auto before = verify(ranks);
  for (auto& s : ranks) s = fuse(s);
  const auto after = verify(ranks);
  ASSERT_TRUE(before && after);
  EXPECT_EQ(before->reduced, 4U);
  EXPECT_EQ(after->reduced, 4U);
  EXPECT_LT(after->steps, before->steps);
}

TEST(Verify, tells_when_steps_happen) {
  const auto ranks = all_ranks(samples::ring_all_reduce, {.ranks = 3});
  EXPECT_TRUE(verify(ranks)->timeline.messages.empty());
  const auto proof = verify(ranks, {.timeline = true});
  ASSERT_TRUE(proof);
  const Timeline& timeline = proof->timeline;
  ASSERT_EQ(timeline.messages.size(), proof->messages);
  for (std::size_t i = 0; i < timeline.messages.size(); ++i) {
    const auto& m = timeline.messages[i];
    EXPECT_EQ(m.sender, static_cast<Rank>(i / 4));
    EXPECT_EQ(m.receiver, (m.sender + 1) % 3);
    EXPECT_EQ(m.round, i % 4 + 1);  // a rank sends on what has arrived
    EXPECT_EQ(ranks[static_cast<std::size_t>(m.sender)].steps[m.send].kind, StepKind::send);
    EXPECT_EQ(ranks[static_cast<std::size_t>(m.receiver)].steps[m.recv].kind, StepKind::recv);
  }
  // copy, send, recv, reduce, send, recv, reduce, send, recv, send, recv
  EXPECT_THAT(timeline.round[0], testing::ElementsAre(0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4));
}

// Sent or received by one rank, however many chunks each has.
TEST(Verify, measures_messages_of_the_busiest_rank) {
  const auto posted = [](const std::vector<Schedule>& ranks) {
    const auto proof = verify(ranks);
    return proof ? proof->posted : 0;
  };
  EXPECT_EQ(posted(all_ranks(samples::direct_all_reduce, {.ranks = 5})), 4U);
  EXPECT_EQ(posted(all_ranks(samples::ring_all_reduce, {.ranks = 5})), 8U);
  EXPECT_EQ(posted(all_ranks(samples::chain_broadcast, {.ranks = 5})), 3U) << "pieces";

  const std::vector<Grouping> pairs{Grouping({0, 0, 1, 1, 2, 2})};
  const auto proof = verify(all_ranks(samples::direct_all_reduce, {.ranks = 6}), {.levels = &pairs});
  ASSERT_TRUE(proof);
  EXPECT_EQ(proof->levels[0].posted, 1U);
  EXPECT_EQ(proof->levels[1].posted, 4U);
}

TEST(Verify, measures_messages_at_a_time) {
  const auto at_a_time = [](const std::vector<Schedule>& ranks) {
    const auto proof = verify(ranks, {.at_a_time = true});
    return proof ? proof->at_a_time : 0;
  };
  EXPECT_EQ(at_a_time(all_ranks(samples::direct_all_reduce, {.ranks = 5})), 4U);
  EXPECT_EQ(at_a_time(all_ranks(samples::ring_all_reduce, {.ranks = 5})), 1U);
  EXPECT_EQ(at_a_time(all_ranks(samples::chain_broadcast, {.ranks = 5})), 1U);
  EXPECT_EQ(verify(all_ranks(samples::direct_all_reduce, {.ranks = 5}))->at_a_time, 0U) << "only where it is asked for";

  const std::vector<Grouping> pairs{Grouping({0, 0, 1, 1, 2, 2})};
  const auto proof = verify(all_ranks(samples::direct_all_reduce, {.ranks = 6}), {.levels = &pairs, .at_a_time = true});
  ASSERT_TRUE(proof);
  EXPECT_EQ(proof->levels[0].at_a_time, 1U);
  EXPECT_EQ(proof->levels[1].at_a_time, 4U);
}

TEST(Verify, measures_what_leaves_a_group) {
  const auto everywhere = all_ranks(samples::pairwise_all_to_all, {.ranks = 6});
  EXPECT_EQ(most_leaving(everywhere, Grouping({0, 0, 0, 0, 1, 1})), 8U);
  EXPECT_EQ(most_leaving(everywhere, Grouping({0, 0, 0, 0, 0, 1})), 5U);
  EXPECT_EQ(most_leaving(everywhere, Grouping({0, 0, 0, 0, 0, 0})), 0U);
  EXPECT_EQ(most_leaving(all_ranks(samples::linear_scan, {.ranks = 6}), Grouping({0, 1, 0, 1, 0, 1})), 3U);
}

TEST(Verify, measures_levels_apart) {
  const std::vector<Grouping> levels{Grouping({0, 0, 1, 1}), Grouping({0, 0, 0, 0})};
  const auto proof = verify(all_ranks(samples::ring_all_reduce, {.ranks = 4}), {.levels = &levels});
  ASSERT_TRUE(proof);
  ASSERT_EQ(proof->levels.size(), 3U);
  EXPECT_EQ(proof->levels[0].sent, 6U);    // 0 -> 1 and 2 -> 3
  EXPECT_EQ(proof->levels[1].sent, 6U);    // 1 -> 2 and 3 -> 0
  EXPECT_EQ(proof->levels[0].rounds, 6U);  // in the order of the stream
  EXPECT_EQ(proof->levels[2], Traffic{});
}

TEST(Verify, measures_what_is_carried_over_a_torus) {
  const auto ring = all_ranks(samples::ring_all_reduce, {.ranks = 6});
  const auto carried = [&](std::vector<Rank> torus) {
    const auto proof = verify(ring, {.torus = torus});
    return proof ? proof->carried : 0;
  };
  const std::uint64_t by_rank = 2 * 5;  // chunks, each to the next rank
  EXPECT_EQ(carried({6}), 6 * by_rank);
  EXPECT_EQ(carried({2, 3}), 8 * by_rank);  // 2 -> 3 and 5 -> 0 go round in both dimensions
  EXPECT_EQ(carried({3, 2}), 9 * by_rank);  // every second one does
  EXPECT_EQ(carried({1, 6, 1}), 6 * by_rank);
  EXPECT_EQ(carried({}), 0U);
}

TEST(Verify, measures_what_leaves_the_busiest_pod) {
  const auto ring = all_ranks(samples::ring_all_reduce, {.ranks = 6});
  const auto carried = [&](Rank pod) {
    const auto proof = verify(ring, {.pod = pod});
    return proof ? proof->carried : 0;
  };
  const std::uint64_t by_rank = 2 * 5;
  EXPECT_EQ(carried(3), by_rank) << "from the last rank of each";
  EXPECT_EQ(carried(4), by_rank) << "of 4 and 2 ranks";
  EXPECT_EQ(carried(1), by_rank) << "each rank is one";
  EXPECT_EQ(carried(6), 0U);
  EXPECT_EQ(carried(0), 0U);
  const auto star = all_ranks(samples::ring_all_reduce, {.ranks = 2});
  EXPECT_EQ(verify(star, {.pod = 1})->carried, 2U);
}

}  // namespace
}  // namespace tutti
