// All ranks' memory for a call, and what must come out, on the driver that there is.
#pragma once

#include "tests/exec/gpu/cases.h"
#include "tests/exec/gpu/ranks.h"

namespace tutti::gpu {

inline std::shared_ptr<const Prepared> prepare(const RankTools& rank, const CollectiveCall& call, const Schedule& mine) {
  auto prepared = rank.executor->prepare(call, mine);
  if (!prepared) throw std::runtime_error(prepared.error().to_string());
  return *prepared;
}

// All ranks' memory for a call, and what must come out.
class Job {
 public:
  Job(const Case& c, std::uint64_t count, DataType type = DataType::i32, ReduceOp op = {}, unsigned seed = 0)
      : c_(c), type_(type), op_(op), values_(c, count, type, op, seed) {
    const Entered entered(d(), context_of_device(0));
    for (Rank r = 0; r < c.ranks; ++r) memory_.push_back(std::make_unique<TestMemory>(values_.place(r).size));
  }
  ~Job() {
    const Entered entered(d(), context_of_device(0));
    memory_.clear();
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  std::uint64_t most_bytes = kPieceBytes;
  [[nodiscard]] CollectiveCall call() const {
    CollectiveCall call = c_.call(values_.count(), type_, op_);
    call.most_bytes = most_bytes;
    return call;
  }
  [[nodiscard]] std::shared_ptr<const Prepared> prepare(const RankTools& rank) const {
    return gpu::prepare(rank, call(), schedule(rank));
  }
  [[nodiscard]] Schedule schedule(const RankTools& rank) const { return c_.schedule(rank.rank); }
  [[nodiscard]] double factor() const { return op_.scalar; }
  [[nodiscard]] std::string text() const { return c_.text(); }
  [[nodiscard]] std::shared_ptr<const Prepared> prepare_one_pass(const RankTools& rank) const {
    auto prepared = rank.executor->prepare_one_pass(call());
    if (!prepared) throw std::runtime_error(prepared.error().to_string());
    return *prepared;
  }
  // Ranks of one process see each other's memory as it is.
  void run_in_one_pass(const RankTools& rank) const {
    const auto prepared = prepare_one_pass(rank);
    fill(rank);
    const DeviceBuffers b = buffers(rank);
    ok(rank.executor->enqueue(*prepared, {&b, 1}, {}, rank.stream, b));
    if (!right(rank)) throw std::runtime_error("wrong values: " + c_.text());
  }
  void fill(const RankTools& rank) const {
    if (values_.reads(rank.rank)) put(buffers(rank).input, values_.input(rank.rank), rank.stream);
  }
  void enqueue(const RankTools& rank, const Prepared& prepared) const { enqueue(rank, prepared, rank.stream); }
  void enqueue(const RankTools& rank, const Prepared& prepared, StreamHandle stream) const {
    const DeviceBuffers b = buffers(rank);
    ok(rank.executor->enqueue(prepared, {&b, 1}, {.value = op_.scalar}, stream));
  }
  [[nodiscard]] bool right(const RankTools& rank) const {
    if (!values_.writes(rank.rank)) return true;
    const auto expected = values_.expected(rank.rank);
    return take(buffers(rank).output, expected.size(), rank.stream) == expected;
  }
  void run(const RankTools& rank) const {
    const auto prepared = prepare(rank);
    fill(rank);
    enqueue(rank, *prepared);
    if (!right(rank)) throw std::runtime_error("wrong values: " + c_.text());
  }

  [[nodiscard]] DeviceBuffers buffers(const RankTools& rank) const {
    const Values::Place place = values_.place(rank.rank);
    const Address base = memory_[static_cast<std::size_t>(rank.rank)]->at();
    return {base + place.input, base + place.output};
  }

 private:
  Case c_;
  DataType type_;
  ReduceOp op_;
  Values values_;
  std::vector<std::unique_ptr<TestMemory>> memory_;
};

inline Case all_reduce(Rank ranks, std::string_view row = "direct") {
  Case c;
  c.row = find_algorithm(Collective::all_reduce, row);
  c.ranks = ranks;
  return c;
}

// Calls of a row: in all its roots and places, of counts around nothing and of several pieces.
inline std::vector<std::unique_ptr<Job>> jobs_of(const Algorithm& row, Rank ranks) {
  std::vector<std::unique_ptr<Job>> jobs;
  for (const Case& c : cases(row, ranks, false))
    for (const std::uint64_t count : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{77}, std::uint64_t{1003}}) {
      jobs.push_back(std::make_unique<Job>(c, count));
      jobs.back()->most_bytes = 1024;
    }
  return jobs;
}

// all_reduces of every type by every operator that goes with it.
inline std::vector<std::unique_ptr<Job>> jobs_of_all_types(Rank ranks, std::initializer_list<std::uint64_t> counts) {
  std::vector<std::unique_ptr<Job>> jobs;
  for (int t = 0; t < kDataTypes; ++t)
    for (int k = 0; k < kReduceKinds; ++k) {
      const auto type = static_cast<DataType>(t);
      const ReduceOp op{.kind = static_cast<ReduceKind>(k), .scalar = 2};
      if (op.kind == ReduceKind::user || !supports(op.kind, type)) continue;
      for (const std::uint64_t count : counts) jobs.push_back(std::make_unique<Job>(all_reduce(ranks), count, type, op));
    }
  return jobs;
}

}  // namespace tutti::gpu
