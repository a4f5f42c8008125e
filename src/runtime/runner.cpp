#include "runtime/runner.h"

#include <fmt/format.h>

#include "algorithms/send_recv/send_recv.h"
#include "core/hash.h"
#include "core/log.h"
#include "runtime/alone.h"
#include "schedule/passes.h"

namespace tutti {
namespace {

const Candidate& first_of(const Selection& selection) { return selection.winner(); }
const Candidate& first_of(const Candidate& candidate) { return candidate; }

constexpr Duration kBackgroundSpin = std::chrono::microseconds(20);  // less than it takes to sleep and to be woken

Signature signature_of(const Request& r, const Schedule& schedule, std::uint32_t radix) {
  Hasher plan;
  plan.text(schedule.algorithm).value(schedule.chunks_per_block).value(radix).value(r.op.commutative).value(r.element_size());
  plan.value(r.numerics.accumulation);
  if (r.collective != Collective::all_to_all)
    for (const auto counts : {r.input_blocks.counts, r.output_blocks.counts})
      for (const auto c : counts) plan.value(c);
  const std::size_t element = r.element_size() == size_of(r.type) ? 0 : r.element_size();
  Signature signature = signature_of(r);
  if (r.collective != Collective::send_recv) signature.plan = static_cast<std::uint32_t>(plan.result());
  signature.element_bytes = static_cast<std::uint8_t>(std::min<std::size_t>(element, UINT8_MAX));
  return signature;
}

ChunkMap chunk_map_for(const Request& r, const Schedule& s) {
  Blocks output = r.output_blocks;
  if (r.collective == Collective::send_recv) output.uniform = r.receive_count;
  return {s.collective, s.rank, s.ranks, s.chunks_per_block, r.input_blocks, output, r.element_size(), s.scratch};
}

}  // namespace

std::byte* Scratch::grow(std::uint64_t bytes) {
  constexpr std::uint64_t kAlign = 4096;
  const std::uint64_t rounded = (bytes + kAlign - 1) / kAlign * kAlign;
  memory_.reset();
  size_ = 0;
  memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlign, rounded)));
  if (memory_) size_ = rounded;
  return memory_.get();
}

Runner::Runner(std::unique_ptr<Job> job, const Options& options)
    : job_(std::move(job)),
      options_(options),
      memory_limit_(static_cast<std::uint64_t>(job_->config().integer(Var::memory_limit))),
      cache_share_(job_->cache_share()),
      streams_(*job_),
      watch_(*job_->session().overlay),
      policy_(job_->wait_policy()) {
  options_.part_of = nullptr;
  policy_.while_waiting = options_.while_waiting;
  if (options_.call_timeout_s > 0) {
    policy_.timeout = from_seconds(options_.call_timeout_s);
    policy_.timeout_from = {};
  }
  if (job_->uses("shm")) adoption_ = Adoption(job_->config(), job_->machine());
}

Result<std::unique_ptr<Runner>> Runner::make(std::unique_ptr<Job> job, const Options& options) {
  const Config& config = job->config();
  auto overrides = AlgorithmOverrides::parse(config.text(Var::algorithm), job->machine().algorithms);
  if (!overrides) return overrides.because(config.source(Var::algorithm));
  auto filter = AlgorithmFilter::parse(config.text(Var::algorithm_filter), job->machine().algorithms);
  if (!filter) return filter.because(config.source(Var::algorithm_filter));
  const Contract contract = contract_of(config);
  std::unique_ptr<Runner> runner(new Runner(std::move(job), options));
  runner->contract_ = contract;
  runner->overrides_ = std::move(*overrides);
  return runner;
}

Runner::~Runner() { streams_.close(); }

Status Runner::alive() {
  if (!over_.load(std::memory_order_acquire)) [[likely]]
    return {};
  if (auto s = failure(); !s) return s.because("this communicator has failed before");
  if (auto s = job_->session().overlay->poll_failures(); !s) return fail(std::move(s.error()));
  return {};
}

Status Runner::failure() const {
  const std::lock_guard lock(failure_mutex_);
  return failure_ ? Status(failure_->clone()) : Status{};
}

void Runner::abort(const std::string& reason) {
  job_->session().overlay->abort({Code::aborted, fmt::format("aborted by rank {}: {}", job_->rank(), reason), job_->rank()});
  over_.store(true, std::memory_order_release);
}

Error Runner::fail(Error error) {
  error = report(std::move(error));
  streams_.close();
  return error;
}

Error Runner::report(Error error) {
  error = find_cause(*job_->session().overlay, std::move(error));
  const std::lock_guard lock(failure_mutex_);
  if (failure_) return failure_->clone();
  log(LogLevel::info, error.to_string());
  failure_ = error.clone();
  over_.store(true, std::memory_order_release);
  return error;
}

SelectRequest Runner::question(const Request& r) const {
  std::uint64_t elements = r.count;
  if (!r.equal_blocks()) elements = agreed_count(r) / static_cast<std::uint64_t>(machine().ranks);
  constexpr std::string_view kByCall = "the call";
  const Config& config = job_->config();
  const bool by_call = !r.algorithm.empty() || !r.algorithm_filter.empty();  // it decides alone (Options says more)
  return {.collective = r.collective,
          .root = r.root,
          .block_bytes = elements * r.element_size(),
          .commutative = r.op.commutative,
          .equal_blocks = r.equal_blocks(),
          .element_bytes = static_cast<std::uint32_t>(std::min<std::size_t>(r.element_size(), UINT32_MAX)),
          .numerics = r.numerics,
          .forced = by_call ? r.algorithm : overrides_.forced(r.collective),
          .forced_by = by_call ? kByCall : config.source(Var::algorithm),
          .filter = by_call ? r.algorithm_filter : config.text(Var::algorithm_filter),
          .filtered_by = by_call ? kByCall : config.source(Var::algorithm_filter)};
}

// Where every run must choose alike, what this one has measured counts only among ways that give the same bits.
template <class Select>
auto Runner::choose_by(const Select& select, SelectRequest& asked) const {
  if (asked.numerics.order != OrderClass::same_layout) return select(machine());
  auto settled = select(job_->settled());
  if (!settled) return settled;
  const Candidate& winner = first_of(*settled);
  const Numerics same_bits = placement_free(asked.numerics);
  if (!keeps(same_bits, *winner.algorithm, shape_on(machine(), asked.root), winner.chunking)) return settled;
  asked.numerics = same_bits;
  return select(machine());
}

Result<Candidate> Runner::choose(const Request& r) {
  SelectRequest asked = question(r);
  const bool by_call = !r.algorithm.empty() || !r.algorithm_filter.empty();
  const auto by_price = [&](const JobMachine& machine) -> Result<Candidate> {
    if (!by_call) return (&machine == &job_->settled() ? settled_choices_ : choices_).choose(asked, machine);
    auto selection = select(asked, machine);
    if (!selection) return std::move(selection.error());
    return std::move(selection->candidates.front());
  };
  return choose_by(by_price, asked);
}

Result<Runner::Explained> Runner::explain(const Request& r) const {
  SelectRequest asked = question(r);
  const JobMachine* taken_for = nullptr;
  const auto by_price = [&](const JobMachine& machine) {
    taken_for = &machine;
    return select(asked, machine);
  };
  auto selection = choose_by(by_price, asked);
  if (!selection) return std::move(selection.error());
  return Explained{std::move(*selection), asked, taken_for};
}

Schedule Runner::schedule_for(const Request& r, const Candidate& winner) const {
  const Shape shape = shape_on(machine(), r.root, r.in_place);
  // Pieces of a message must not split an element.
  const bool arrivals = !winner.published && Consumer::kGrain % r.element_size() == 0;
  return fuse(winner.algorithm->build(job_->rank(), shape, winner.chunking), {.arrivals = arrivals});
}

Result<CachedPlan*> Runner::make_plan(const Call& call, const Request& r) {
  PlanOptions options{.cache_bytes = cache_share_};
  std::uint32_t radix = 0;
  auto schedule = [&]() -> Result<Schedule> {
    if (r.collective == Collective::send_recv) return send_recv_schedule(job_->rank(), job_->size(), r.destination, r.source);
    auto winner = choose(r);
    if (!winner) return std::move(winner.error());
    options.meets_at_once = winner->algorithm->meets_at_once;
    options.publishes = winner->published;
    options.accumulation = r.numerics.accumulation;
    radix = winner->chunking.radix;
    return schedule_for(r, *winner);
  }();
  if (!schedule) return std::move(schedule.error());
  auto plan = lower(*schedule, chunk_map_for(r, *schedule), signature_of(r, *schedule, radix), r.type, r.op, streams_, options);
  if (!plan) return std::move(plan.error());
  auto cached = std::make_shared<CachedPlan>(call, r);
  cached->algorithm = schedule->algorithm;
  cached->plan = std::move(*plan);
  cached->scratch_bytes = cached->plan.scratch_needed();
  cached->largest_message = cached->plan.largest_message();
  if (auto s = make_room(*cached); !s) return std::move(s.error());
  if (cached->scratch_bytes > 0 && scratch_.reserve(cached->scratch_bytes) == nullptr)
    return Error(Code::resource, fmt::format("rank {}: no memory for {} bytes of scratch", job_->rank(), cached->scratch_bytes));
  CachedPlan* made = plans_.insert(std::move(cached));
  plan_bytes_ = plans_.memory_bytes();
  transport_bytes_ = streams_.memory_bytes();
  last_plan_ = nullptr;  // its memory may have been used again
  return made;
}

// Old plans give way before a call is refused.
Status Runner::make_room(const CachedPlan& plan) {
  if (memory_limit_ == 0) return {};
  MemoryUse use;
  do {
    use = {.scratch_bytes = std::max(scratch_.size(), plan.scratch_bytes),
           .transport_bytes = streams_.memory_bytes(),
           .plan_bytes = plans_.memory_bytes() + plan.memory_bytes()};
    if (use.total() <= memory_limit_) return {};
  } while (plans_.drop_oldest());
  return Error(
      Code::resource,
      fmt::format("rank {} would hold {} bytes (scratch {}, connections {}, plans {}) with this call; TUTTI_MEMORY_LIMIT allows "
                  "{}: raise it or send less at once",
                  job_->rank(), use.total(), use.scratch_bytes, use.transport_bytes, use.plan_bytes, memory_limit_));
}

// Scratch memory that is there once a plan has been made stays there, though it may move.
CallBuffers Runner::buffers_for(const CachedPlan& plan, const Call& call) noexcept {
  return {static_cast<const std::byte*>(call.input), static_cast<std::byte*>(call.output), scratch_.reserve(plan.scratch_bytes),
          call.op.scalar, call.op.scalar_at};
}

Result<CachedPlan*> Runner::plan_for(const Call& call) {
  if (CachedPlan* known = plans_.find(call)) return known;
  auto request = check_call(call, job_->rank(), job_->size(), contract_);
  if (!request) return std::move(request.error());
  auto made = make_plan(call, *request);
  // What is wrong with the call itself is wrong on all ranks alike; anything else has happened here only, so the others must
  // know.
  if (!made && made.error().code() != Code::invalid_argument) return fail(std::move(made.error()));
  return made;
}

Result<Runner::Prepared> Runner::prepare(const Call& call) {
  if (auto s = alive(); !s) return std::move(s.error());
  auto plan = plan_for(call);
  if (!plan) return std::move(plan.error());
  return Prepared{(*plan)->shared_from_this(), buffers_for(**plan, call), adoption_.hold(call, **plan)};
}

Status Runner::run(const Call& call) {
  if (auto s = alive(); !s) return s;
  if (job_->size() == 1) {
    auto request = check_call(call, 0, 1, contract_);
    if (!request) return std::move(request.error());
    if (!call.algorithm.empty() || !call.algorithm_filter.empty())
      if (auto exists = choose(*request); !exists) return std::move(exists.error());
    run_alone(*request);
    return {};
  }
  auto plan = plan_for(call);
  if (!plan) return std::move(plan.error());
  Execution& execution = *(*plan)->execution;
  const Adoption::Hold hold = adoption_.hold(call, **plan);
  const std::uint32_t sequence = call.collective == Collective::send_recv ? 0 : next_sequence();
  Status s = execution.start(buffers_for(**plan, call), sequence, policy_.first_looks((*plan)->plan.exchanges.from_one));
  if (s && !execution.done()) s = wait_for(execution, call);
  if (!s) return fail(s.because(fmt::format("{} on rank {}", execution.signature().to_string(), job_->rank())));
  if (last_plan_ != *plan) {
    last_plan_ = *plan;
    transport_bytes_ = streams_.memory_bytes();
    const std::lock_guard lock(name_mutex_);
    last_algorithm_ = last_plan_->algorithm;
  }
  return {};
}

Status Runner::wait_for(Execution& execution, const Call& call) {
  if (!call.background && call.timeout_s == 0) [[likely]]
    return drive(execution, policy_, watch_);
  WaitPolicy policy = policy_;
  if (call.background) {
    policy.oversubscribed = true;
    policy.spin = std::min<Duration>(policy.spin, kBackgroundSpin);
  }
  if (call.timeout_s > 0) {
    policy.timeout = from_seconds(call.timeout_s);
    policy.timeout_from = {};
  }
  return drive(execution, policy, watch_);
}

std::string Runner::last_algorithm() const {
  if (job_->size() == 1) return "copy";
  const std::lock_guard lock(name_mutex_);
  return last_algorithm_;
}

MemoryUse Runner::memory() const {
  return {.scratch_bytes = scratch_.size(), .transport_bytes = transport_bytes_, .plan_bytes = plan_bytes_};
}

}  // namespace tutti
