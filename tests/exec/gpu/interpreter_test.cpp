// The interpreter kernel's host build: ranks are threads, blocks are threads, and mailboxes lie between them. Under
// ThreadSanitizer this checks that the protocols' memory orders suffice.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <span>
#include <thread>

#include "gpu/ops.h"
#include "standin/api.h"
#include "tests/algorithms/rows.h"
#include "tests/exec/gpu/cases.h"
#include "tests/exec/gpu/launch.h"

namespace tutti::gpu {
namespace {

using device::Control;
using device::InterpretArguments;
using device::Lane;
using device::Mailbox;
using device::Protocol;

constexpr std::uint64_t kPerPiece = 32;  // elements of a block
constexpr Protocol kProtocols[] = {Protocol::simple, Protocol::ll, Protocol::ll128};
constexpr unsigned kThreads = 16;

std::string_view name_of(Protocol protocol) {
  constexpr std::string_view kNames[] = {"simple", "ll", "ll128"};
  return kNames[static_cast<std::size_t>(protocol)];
}

// All mailboxes between all ranks, for blocks of any number; of one protocol.
class Mail {
 public:
  // `piece`: how many pieces each lane has passed on before.
  explicit Mail(std::uint64_t half_bytes, std::uint64_t piece = 0) : half_bytes_(half_bytes), piece_(piece) {}
  [[nodiscard]] std::uint64_t half_bytes() const { return half_bytes_; }
  std::vector<Lane> lanes(Rank me, const std::vector<PlanLink>& links, unsigned blocks) {
    std::vector<Lane> all;
    for (unsigned b = 0; b < blocks; ++b)
      for (const PlanLink& link : links)
        all.push_back({.own = box(me, link.peer, link.channel, b),
                       .peers = box(link.peer, me, link.channel, b),
                       .peer = static_cast<std::uint32_t>(link.peer)});
    return all;
  }

 private:
  struct alignas(device::kLineBytes) Line {
    std::byte bytes[device::kLineBytes];
  };
  Mailbox* box(Rank owner, Rank from, std::uint16_t channel, unsigned block) {
    auto& memory = boxes_[{owner, from, channel, block}];
    auto* mailbox = reinterpret_cast<Mailbox*>(memory.data());
    if (!memory.empty()) return mailbox;
    memory.resize(device::mailbox_bytes(half_bytes_) / device::kLineBytes);
    mailbox = reinterpret_cast<Mailbox*>(memory.data());
    mailbox->state = {.sent = piece_, .received = piece_};
    mailbox->credit = piece_;
    mailbox->ready = device::ready_value(piece_, 0);
    return mailbox;
  }

  std::uint64_t half_bytes_, piece_;
  std::map<std::tuple<Rank, Rank, std::uint16_t, unsigned>, std::vector<Line>> boxes_;
};

// What a rank runs, and its memory.
struct Participant {
  KernelCall call;
  std::vector<std::byte> memory;
  std::byte* input = nullptr;
  std::byte* output = nullptr;
  std::vector<std::byte> scratch = {};
  std::vector<Lane> lanes = {};
  Control control = {};

  InterpretArguments arguments(std::uint64_t half_bytes) {
    InterpretArguments a = arguments_of(call);
    a.half_bytes = half_bytes;
    a.piece.ops = call.piece.ops.data();
    a.piece.operands = call.piece.operands.data();
    a.piece.lane_use = call.piece.lane_use.data();
    a.last.ops = call.last.ops.data();
    a.last.operands = call.last.operands.data();
    a.last.lane_use = call.last.lane_use.data();
    a.input = input;
    a.output = output;
    a.scratch = scratch.data();
    a.lanes = lanes.data();
    a.control = &control;
    return a;
  }
};

struct How {
  Protocol protocol = Protocol::simple;
  std::uint64_t pieces = 1;
  unsigned blocks = 1;
  unsigned threads = kThreads;
  DataType type = DataType::i32;
  ReduceOp op = {};
  std::uint64_t count = 0;    // 0: chosen by `pieces`
  std::size_t misplaced = 0;  // bytes from an aligned address

  [[nodiscard]] std::uint64_t elements() const {
    if (count > 0) return count;
    return pieces == 1 ? 37 : (pieces - 1) * kPerPiece + 5;
  }
};

class InterpretedJob {
 public:
  InterpretedJob(const Case& c, const How& how) : c_(c), how_(how), values_(c, how.elements(), how.type, how.op) {
    const bool barrier = c.row->collective == Collective::barrier;
    const Cut cut{
        .count = values_.count(), .per_piece = how.pieces == 1 || barrier ? values_.count() : kPerPiece, .pieces = how.pieces};
    const CollectiveCall call = c.call(values_.count(), how.type, how.op);
    for (Rank r = 0; r < c.ranks; ++r) {
      auto kernel = kernel_call(call, c.schedule(r), cut, how.protocol);
      EXPECT_TRUE(kernel) << kernel.error().to_string();
      ranks_.push_back(std::make_unique<Participant>());
      ranks_.back()->call = std::move(*kernel);
      half_bytes_ = std::max(half_bytes_, ranks_.back()->call.half_bytes);
    }
  }
  [[nodiscard]] std::uint64_t half_bytes() const { return half_bytes_; }
  Participant& rank(Rank r) { return *ranks_[static_cast<std::size_t>(r)]; }

  void start(Mail& mail) {
    for (Rank r = 0; r < c_.ranks; ++r) {
      Participant& p = rank(r);
      const Values::Place place = values_.place(r);
      p.memory.assign(place.size + how_.misplaced + 1, std::byte{0xee});
      p.input = p.memory.data() + how_.misplaced + place.input;
      p.output = p.memory.data() + how_.misplaced + place.output;
      if (values_.reads(r)) std::ranges::copy(values_.input(r), p.input);
      p.scratch.assign(p.call.scratch_bytes * how_.blocks, std::byte{0xdd});
      p.lanes = mail.lanes(r, p.call.lanes, how_.blocks);
    }
  }
  void launch(Rank r, std::uint64_t half_bytes) {
    Participant& p = rank(r);
    InterpretArguments a = p.arguments(half_bytes);
    void* parameters[] = {&a};
    const StandinLaunch shape{{how_.blocks, 1, 1}, {how_.threads, 1, 1}, static_cast<unsigned>(p.call.shared_bytes())};
    tutti_interpret(&shape, parameters);
  }
  // Of calls that are not in place.
  void forget_results() {
    for (Rank r = 0; r < c_.ranks; ++r)
      std::fill_n(rank(r).output, values_.writes(r) ? values_.expected(r).size() : 0, std::byte{0xee});
  }
  void run(Mail& mail) {
    start(mail);
    std::vector<std::thread> threads;
    threads.reserve(ranks_.size());
    for (Rank r = 0; r < c_.ranks; ++r) threads.emplace_back([this, r, &mail] { launch(r, mail.half_bytes()); });
    for (std::thread& t : threads) t.join();
  }
  void check() {
    for (Rank r = 0; r < c_.ranks; ++r) {
      EXPECT_EQ(rank(r).control.stopped, 0U);
      if (!values_.writes(r)) continue;
      const auto expected = values_.expected(r);
      ASSERT_TRUE(std::ranges::equal(expected, std::span(rank(r).output, expected.size()))) << "rank " << r;
    }
  }

 private:
  Case c_;
  How how_;
  Values values_;
  std::uint64_t half_bytes_ = 0;
  std::vector<std::unique_ptr<Participant>> ranks_;
};

std::string text(const Case& c, const How& how) {
  return c.text() + ", " + std::string(name_of(how.protocol)) + ", " + std::to_string(how.pieces) + " GPU pieces, " +
         std::to_string(how.blocks) + " blocks, " + std::string(name(how.op.kind)) + " of " + std::string(name(how.type));
}

void check(const Case& c, const How& how, int times = 1) {
  const testing::ScopedTrace trace(__FILE__, __LINE__, text(c, how));
  InterpretedJob job(c, how);
  Mail mail(job.half_bytes());
  for (int i = 0; i < times; ++i) {
    job.run(mail);
    job.check();
  }
}

const Algorithm& row(Collective collective, std::string_view name) { return *find_algorithm(collective, name); }
Case plain(Collective collective, std::string_view name, Rank ranks) {
  Case c;
  c.row = &row(collective, name);
  c.ranks = ranks;
  return c;
}

TEST_P(Row, RunsInEveryProtocol) {
  int turn = 0;
  for (Rank p = 1; p <= TUTTI_MOST_RANKS; ++p)
    for (const Case& c : cases(*GetParam(), p, false)) {
      const unsigned blocks = 1U << turn++ % 3;
      for (const Protocol protocol : kProtocols)
        for (const std::uint64_t pieces : {1, 4})
          if (pieces == 1 || c.row->collective != Collective::barrier)
            check(c, {.protocol = protocol, .pieces = pieces, .blocks = pieces == 1 ? 1 : blocks}, pieces == 1 ? 1 : 2);
    }
}
INSTANTIATE_TEST_SUITE_P(Algorithms, Row, testing::ValuesIn(rows()), row_name);

TEST(Interpreter, OneElementNoneAndOddOnes) {
  for (const Protocol protocol : kProtocols)
    for (const std::string_view name : {"ring", "direct", "recursive_doubling"}) {
      const Case c = plain(Collective::all_reduce, name, 4);
      for (const std::uint64_t count : {1, 3, 31, 1001}) check(c, {.protocol = protocol, .count = count, .misplaced = 0});
      for (const std::uint64_t count : {1, 17, 119, 121, 255}) {
        check(c, {.protocol = protocol, .type = DataType::u8, .count = count, .misplaced = 1});
        check(c, {.protocol = protocol, .type = DataType::i16, .count = count, .misplaced = 2});
      }
    }
  const CollectiveCall none = plain(Collective::all_reduce, "ring", 2).call(0);
  const auto call = kernel_call(none, none.build(0), cut(none).value_or_throw(), Protocol::simple);
  ASSERT_TRUE(call);
  EXPECT_EQ(call->pieces, 0U);
  EXPECT_TRUE(call->last.ops.empty());
}

TEST(Interpreter, EveryTypeAndOperator) {
  for (const Protocol protocol : kProtocols)
    for (int t = 0; t < kDataTypes; ++t)
      for (int k = 0; k < kReduceKinds; ++k) {
        const auto type = static_cast<DataType>(t);
        const auto kind = static_cast<ReduceKind>(k);
        if (kind == ReduceKind::user || !supports(kind, type)) continue;
        const How how{
            .protocol = protocol, .type = type, .op = {.kind = kind, .scalar = 2}, .count = 37, .misplaced = size_of(type)};
        check(plain(Collective::all_reduce, "direct", 3), how);
        check(plain(Collective::all_reduce, "recursive_doubling", 2), how);
        check(plain(Collective::reduce_scatter, "direct", 3),
              {.protocol = protocol, .pieces = 3, .blocks = 2, .type = type, .op = {.kind = kind, .scalar = 2}});
      }
}

TEST(Interpreter, FoldsMoreOperandsThanAKernelHasParameters) {
  for (const Protocol protocol : kProtocols)
    check(plain(Collective::all_reduce, "direct", device::kMostOperands + 4), {.protocol = protocol, .count = 50});
}

// Lanes that one plan uses and another does not, used often enough for halves to come again.
TEST(Interpreter, PlansTakeTurnsOnTheSameLanes) {
  for (const Protocol protocol : kProtocols)
    for (const unsigned blocks : {1U, 2U}) {
      std::vector<std::unique_ptr<InterpretedJob>> jobs;
      std::uint64_t half = 0;
      const auto add = [&](Collective collective, std::string_view name, const How& how) {
        jobs.push_back(std::make_unique<InterpretedJob>(plain(collective, name, 4), how));
        half = std::max(half, jobs.back()->half_bytes());
      };
      add(Collective::all_reduce, "ring", {.protocol = protocol, .pieces = 3, .blocks = blocks});
      add(Collective::all_reduce, "direct", {.protocol = protocol, .blocks = blocks});
      add(Collective::broadcast, "knomial", {.protocol = protocol, .pieces = 2, .blocks = blocks, .type = DataType::f64});
      add(Collective::all_gather, "ring", {.protocol = protocol, .blocks = blocks, .type = DataType::u8, .count = 1});
      Mail mail(half);
      for (int i = 0; i < 12; ++i) {
        InterpretedJob& job = *jobs[static_cast<std::size_t>(i * 7 % 5 % 4)];
        job.run(mail);
        job.check();
      }
    }
}

// 32 bits of flag begin anew; messages of very different sizes leave old flags behind.
TEST(Interpreter, FlagsComeAgain) {
  for (const Protocol protocol : kProtocols) {
    const Case c = plain(Collective::all_reduce, "ring", 3);
    InterpretedJob large(c, {.protocol = protocol, .count = 500}), small(c, {.protocol = protocol, .count = 3});
    Mail mail(large.half_bytes(), device::kFlags - 4);
    for (int i = 0; i < 10; ++i) {
      InterpretedJob& job = i % 3 == 0 ? large : small;
      job.run(mail);
      job.check();
    }
  }
}

// A flag that is found in a place where nothing has been written since it was last in use must not be taken for a new one.
TEST(Interpreter, ForgetsFlagsAtTheEndOfEachRound) {
  const Case c = plain(Collective::all_reduce, "ring", 2);
  InterpretedJob job(c, {.protocol = Protocol::ll, .count = 100});
  Mail mail(job.half_bytes(), device::kFlags - 2);
  for (int i = 0; i < 2; ++i) job.run(mail);
  for (Rank r = 0; r < 2; ++r)
    for (const Lane& lane : job.rank(r).lanes) {
      EXPECT_EQ(lane.own->state.received, device::kFlags);
      const auto* words = reinterpret_cast<const std::uint64_t*>(lane.own + 1);
      // The halves that held the round's last two flags; the piece after has flag 1.
      std::uint64_t flags = 0;
      for (std::uint64_t i = 0; i < 2 * mail.half_bytes() / 8; ++i) flags |= words[i] >> 32 >= device::kFlags - 1 ? 1U : 0U;
      EXPECT_EQ(flags, 0U);
    }
}

TEST(Interpreter, AbortEndsEveryWait) {
  for (const Protocol protocol : kProtocols)
    for (const unsigned blocks : {1U, 4U}) {
      const Case c = plain(Collective::all_reduce, "ring", 3);
      InterpretedJob job(c, {.protocol = protocol, .pieces = 6, .blocks = blocks});
      Mail mail(job.half_bytes());
      job.start(mail);
      std::thread waits([&] { job.launch(0, mail.half_bytes()); });
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      Participant& p = job.rank(0);
      EXPECT_EQ(std::atomic_ref(p.control.stopped).load(), 0U);
      std::atomic_ref(p.control.abort).store(1);
      waits.join();
      EXPECT_EQ(p.control.stopped, 1U + 2) << "its left neighbour, which never came";
    }
}

// A sender gets two pieces ahead of a receiver that does not come, then waits.
TEST(Interpreter, AbortEndsTheWaitForRoom) {
  for (const Protocol protocol : kProtocols) {
    const Case c = plain(Collective::broadcast, "knomial", 2);
    InterpretedJob job(c, {.protocol = protocol, .pieces = 6});
    Mail mail(job.half_bytes());
    job.start(mail);
    std::thread waits([&] { job.launch(0, mail.half_bytes()); });
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    Participant& p = job.rank(0);
    std::atomic_ref(p.control.abort).store(1);
    waits.join();
    EXPECT_EQ(p.control.stopped, 1U + 1);
    EXPECT_EQ(p.lanes[0].own->state.sent, 3U);
  }
}

void done(CUresult result) { ASSERT_EQ(result, kSuccess); }

// Launched by the driver's stand-in and captured: what counts pieces lies in memory, so a replay goes on where the last one was.
TEST(Interpreter, IsReplayedByGraphs) {
  constexpr Rank kRanks = 3;
  setenv("STANDIN_KERNELS", TUTTI_KERNELS_HOST, 1);
  CUcontext context = nullptr;
  CUmodule module = nullptr;
  CUfunction kernel = nullptr;
  done(cuInit(0));
  done(cuDevicePrimaryCtxRetain(&context, 0));
  done(cuCtxSetCurrent(context));
  done(cuModuleLoadData(&module, "not looked at"));
  done(cuModuleGetFunction(&kernel, module, "tutti_interpret"));
  for (const Protocol protocol : kProtocols) {
    const How how{.protocol = protocol, .pieces = 4, .blocks = 2};
    InterpretedJob job(plain(Collective::all_reduce, "ring", kRanks), how);
    Mail mail(job.half_bytes());
    job.start(mail);
    std::vector<CUstream> streams(kRanks);
    std::vector<CUgraph> graphs(kRanks);
    std::vector<CUgraphExec> ready(kRanks);
    for (std::size_t r = 0; r < kRanks; ++r) {
      Participant& p = job.rank(static_cast<Rank>(r));
      InterpretArguments a = p.arguments(mail.half_bytes());
      void* parameters[] = {&a};
      done(cuStreamCreate(&streams[r], kStreamNonBlocking));
      done(cuStreamBeginCapture_v2(streams[r], kCaptureRelaxed));
      done(cuLaunchKernel(kernel, how.blocks, 1, 1, how.threads, 1, 1, static_cast<unsigned>(p.call.shared_bytes()), streams[r],
                          parameters, nullptr));
      done(cuStreamEndCapture(streams[r], &graphs[r]));
      done(cuGraphInstantiateWithFlags(&ready[r], graphs[r], 0));
    }
    for (int replay = 0; replay < 5; ++replay) {
      job.forget_results();
      for (std::size_t r = 0; r < kRanks; ++r) done(cuGraphLaunch(ready[r], streams[r]));
      for (const CUstream stream : streams) done(cuStreamSynchronize(stream));
      job.check();
    }
    for (std::size_t r = 0; r < kRanks; ++r) {
      done(cuGraphExecDestroy(ready[r]));
      done(cuGraphDestroy(graphs[r]));
      done(cuStreamDestroy_v2(streams[r]));
    }
  }
  done(cuModuleUnload(module));
  done(cuDevicePrimaryCtxRelease_v2(0));
}

TEST(KernelCall, RefusesUsersOperators) {
  const Case c = plain(Collective::all_reduce, "ring", 2);
  const CollectiveCall call = c.call(10, DataType::i32, {.kind = ReduceKind::user});
  const auto kernel = kernel_call(call, c.schedule(0), cut(Collective::all_reduce, 10, 2, 4, 4096), Protocol::ll);
  ASSERT_FALSE(kernel);
  EXPECT_EQ(kernel.error().code(), Code::unsupported);
}

}  // namespace
}  // namespace tutti::gpu
