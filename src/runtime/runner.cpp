#include "runtime/runner.h"

#include <fmt/format.h>

#include <numeric>

#include "algorithms/send_recv/send_recv.h"
#include "core/hash.h"
#include "core/log.h"
#include "schedule/passes.h"

namespace tutti {
namespace {

// The number that all ranks must agree on: of v-variants the sum of the counts, which all ranks know (but in all_to_allv).
// A message's size says what its count is: its two sides may count differently in a call that also goes the other way.
std::uint64_t agreed_count(const Request& r) {
  if (r.collective == Collective::send_recv) return 0;
  if (r.equal_blocks()) return r.count;
  if (r.collective == Collective::all_to_all) return 0;
  const auto counts = r.input_blocks.counts.empty() ? r.output_blocks.counts : r.input_blocks.counts;
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

Signature signature_of(const Request& r, const Schedule& schedule) {
  Hasher plan;
  plan.text(schedule.algorithm).value(schedule.chunks_per_block).value(r.op.commutative);
  if (r.collective != Collective::all_to_all)
    for (const auto counts : {r.input_blocks.counts, r.output_blocks.counts})
      for (const auto c : counts) plan.value(c);
  return {.count = agreed_count(r),
          .plan = r.collective == Collective::send_recv ? 0 : static_cast<std::uint32_t>(plan.result()),
          .root = static_cast<std::uint32_t>(r.root),
          .collective = static_cast<std::uint8_t>(r.collective),
          .type = static_cast<std::uint8_t>(r.type),
          .op = reduces(r.collective) ? static_cast<std::uint8_t>(r.op.kind) : std::uint8_t{0}};
}

ChunkMap chunk_map_for(const Request& r, const Schedule& s) {
  Blocks output = r.output_blocks;
  if (r.collective == Collective::send_recv) output.uniform = r.receive_count;
  return {s.collective, s.rank, s.ranks, s.chunks_per_block, r.input_blocks, output, size_of(r.type), s.scratch};
}

}  // namespace

std::byte* Scratch::reserve(std::uint64_t bytes) {
  if (bytes <= size_) return memory_.get();
  constexpr std::uint64_t kAlign = 4096;
  const std::uint64_t rounded = (bytes + kAlign - 1) / kAlign * kAlign;
  memory_.reset();
  size_ = 0;
  memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlign, rounded)));
  if (memory_) size_ = rounded;
  return memory_.get();
}

Runner::Runner(std::unique_ptr<Job> job)
    : job_(std::move(job)),
      machine_(job_->machine()),
      memory_limit_(static_cast<std::uint64_t>(job_->config().integer(Var::memory_limit))),
      streams_(*job_),
      policy_(job_->wait_policy()) {
  if (job_->session().overlay) watch_.emplace(*job_->session().overlay);
}

Result<std::unique_ptr<Runner>> Runner::make(std::unique_ptr<Job> job) {
  auto overrides = AlgorithmOverrides::parse(job->config().text(Var::algorithm));
  if (!overrides) return overrides.because("TUTTI_ALGORITHM");
  std::unique_ptr<Runner> runner(new Runner(std::move(job)));
  runner->overrides_ = std::move(*overrides);
  return runner;
}

Runner::~Runner() { streams_.close(); }

Status Runner::alive() {
  if (aborted_.load(std::memory_order_acquire) && !failure_)
    if (auto s = job_->session().overlay->poll_failures(); !s) return fail(std::move(s.error()));
  if (failure_) return failure_->clone().because("this communicator has failed before");
  return {};
}

void Runner::abort(const std::string& reason) {
  if (!job_->session().overlay) return;  // alone: nobody waits
  job_->session().overlay->abort({Code::aborted, fmt::format("aborted by rank {}: {}", job_->rank(), reason), job_->rank()});
  aborted_.store(true, std::memory_order_release);
}

Error Runner::fail(Error error) {
  if (watch_) error = find_cause(*job_->session().overlay, std::move(error));
  if (!failure_) {
    log(LogLevel::info, error.to_string());
    failure_ = error.clone();
    streams_.close();
  }
  return error;
}

Result<Selection> Runner::choose(const Request& r, SelectRequest* asked) const {
  std::uint64_t elements = r.count;
  if (!r.equal_blocks()) elements = agreed_count(r) / static_cast<std::uint64_t>(machine_.ranks);
  const SelectRequest request{.collective = r.collective,
                              .root = r.root,
                              .block_bytes = elements * size_of(r.type),
                              .commutative = r.op.commutative,
                              .equal_blocks = r.equal_blocks(),
                              .forced = r.algorithm.empty() ? overrides_.forced(r.collective) : r.algorithm};
  if (asked != nullptr) *asked = request;
  return select(request, machine_);
}

Result<Schedule> Runner::schedule_for(const Request& r) const {
  if (r.collective == Collective::send_recv) return send_recv_schedule(job_->rank(), job_->size(), r.destination, r.source);
  auto selection = choose(r);
  if (!selection) return std::move(selection.error());
  const Candidate& winner = selection->winner();
  const Shape shape{.ranks = machine_.ranks,
                    .root = r.root,
                    .in_place = r.in_place,
                    .levels = machine_.levels.empty() ? nullptr : &machine_.levels};
  return fuse(winner.algorithm->build(job_->rank(), shape, winner.chunking));
}

Result<CachedPlan*> Runner::make_plan(const Request& r) {
  auto schedule = schedule_for(r);
  if (!schedule) return std::move(schedule.error());
  auto plan = lower(*schedule, chunk_map_for(r, *schedule), signature_of(r, *schedule), r.type, r.op, streams_);
  if (!plan) return std::move(plan.error());
  if (auto s = check_memory(*plan); !s) return std::move(s.error());
  const auto copy = [](std::span<const std::uint64_t> s) { return std::vector<std::uint64_t>(s.begin(), s.end()); };
  auto cached = std::make_shared<CachedPlan>(PlanKey(r));
  cached->forced_algorithm = r.algorithm;
  cached->counts = {copy(r.input_blocks.counts), copy(r.input_blocks.displacements), copy(r.output_blocks.counts),
                    copy(r.output_blocks.displacements)};
  cached->algorithm = schedule->algorithm;
  cached->plan = std::move(*plan);
  CachedPlan* made = plans_.insert(std::move(cached));
  plan_bytes_ = plans_.memory_bytes();
  transport_bytes_ = streams_.memory_bytes();
  last_plan_ = nullptr;  // its memory may have been used again
  return made;
}

Status Runner::check_memory(const Plan& plan) const {
  if (memory_limit_ == 0) return {};
  MemoryUse use = memory();
  use.transport_bytes = streams_.memory_bytes();
  use.scratch_bytes = std::max(use.scratch_bytes, plan.scratch_needed());
  use.plan_bytes += plan.memory_bytes();
  if (use.total() <= memory_limit_) return {};
  return Error(
      Code::resource,
      fmt::format("rank {} would hold {} bytes (scratch {}, connections {}, plans {}) with this call; TUTTI_MEMORY_LIMIT allows "
                  "{}: raise it or send less at once",
                  job_->rank(), use.total(), use.scratch_bytes, use.transport_bytes, use.plan_bytes, memory_limit_));
}

Result<std::byte*> Runner::scratch_for(const Plan& plan) {
  if (plan.scratch_needed() == 0) return static_cast<std::byte*>(nullptr);
  std::byte* memory = scratch_.reserve(plan.scratch_needed());
  if (memory == nullptr)
    return Error(Code::resource, fmt::format("rank {}: no memory for {} bytes of scratch", job_->rank(), plan.scratch_needed()));
  return memory;
}

Result<CachedPlan*> Runner::plan_for(const Request& r) {
  if (auto s = alive(); !s) return std::move(s.error());
  if (CachedPlan* known = plans_.find(r)) return known;
  auto made = make_plan(r);
  // What is wrong with the call itself is wrong on all ranks alike; anything else has happened here only, so the others must
  // know.
  if (!made && made.error().code() != Code::invalid_argument) return fail(std::move(made.error()));
  return made;
}

Result<Runner::Prepared> Runner::prepare(const Request& r) {
  auto plan = plan_for(r);
  if (!plan) return std::move(plan.error());
  auto scratch = scratch_for((*plan)->plan);
  if (!scratch) return fail(std::move(scratch.error()));
  return Prepared{(*plan)->shared_from_this(), {r.input, r.output, *scratch, r.op.scalar}, next_sequence(r)};
}

Status Runner::run(const Request& r) {
  auto plan = plan_for(r);
  if (!plan) return std::move(plan.error());
  auto scratch = scratch_for((*plan)->plan);
  if (!scratch) return fail(std::move(scratch.error()));
  Execution& execution = *(*plan)->execution;
  Status s = execution.start({r.input, r.output, *scratch, r.op.scalar}, next_sequence(r));
  if (s && !execution.done()) s = drive(execution, policy_, *watch_);
  if (!s) return fail(s.because(fmt::format("{} on rank {}", execution.signature().to_string(), job_->rank())));
  if (last_plan_ != *plan) {
    last_plan_ = *plan;
    transport_bytes_ = streams_.memory_bytes();
    const std::lock_guard lock(name_mutex_);
    last_algorithm_ = last_plan_->algorithm;
  }
  return {};
}

std::string Runner::last_algorithm() const {
  const std::lock_guard lock(name_mutex_);
  return last_algorithm_;
}

MemoryUse Runner::memory() const {
  return {.scratch_bytes = scratch_.size(), .transport_bytes = transport_bytes_, .plan_bytes = plan_bytes_};
}

}  // namespace tutti
