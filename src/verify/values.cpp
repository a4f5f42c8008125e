#include "verify/values.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/numerics.h"
#include "schedule/text.h"

namespace tutti::verifier {

Values::Values(std::span<const Schedule> ranks, const std::vector<Layout>& layouts, const VerifyOptions& options)
    : ranks_(ranks),
      layouts_(layouts),
      ordered_(options.ordered),
      idempotent_(ranks.front().collective == Collective::barrier),
      contributions_(static_cast<Rank>(ranks.size())) {
  std::size_t cells = 0;
  for (const Layout& l : layouts) {
    first_.push_back(cells);
    cells += l.cells();
  }
  values_.resize(cells);
  for (Rank r = 0; r < static_cast<Rank>(ranks.size()); ++r) {
    const std::uint32_t inputs = layout(r).chunks(Buffer::input);
    if (inputs == 0) continue;
    Value* at = this->cells(r, {Buffer::input, 0, inputs});
    for (std::uint32_t c = 0; c < inputs; ++c) at[c] = initial(r, c);
  }
}

Values::Value Values::initial(Rank r, std::uint32_t chunk) const {
  return {layout(r).datum(Buffer::input, chunk), contributions_.single(r)};
}

std::string Values::datum_text(std::uint64_t datum) const {
  const Schedule& s = ranks_.front();
  const std::uint64_t block = datum / s.chunks_per_block, piece = datum % s.chunks_per_block;
  const auto ranks = static_cast<std::uint64_t>(s.ranks);
  if (s.collective == Collective::all_to_all)
    return fmt::format("chunk {} from rank {} to rank {}", piece, block / ranks, block % ranks);
  const bool blocks = input_chunks(s.collective, 2, 1) != output_chunks(s.collective, 2, 1);
  return blocks ? fmt::format("chunk {} of block {}", piece, block) : fmt::format("chunk {}", piece);
}

std::string Values::text(const Value& value) const {
  if (!value.defined()) return "nothing";
  if (!reduces(ranks_.front().collective)) return datum_text(value.datum);
  return fmt::format("{} of ranks {}", datum_text(value.datum), contributions_.text(value.set));
}

Status Values::read(At at, const Slice& slice, std::uint32_t i, Value& value) {
  value = cells(at.rank, slice)[i];
  if (value.defined()) return {};
  return Error(Code::invalid_argument,
               fmt::format("undefined read: {} reads {}, which nothing has written before", describe(schedule(at.rank), at.step),
                           slice_text({slice.buffer, slice.chunk + i, 1})),
               at.rank);
}

Status Values::combine(At at, const Value& left, const Value& right, const Slice& to, std::uint32_t i, Value& value) {
  const auto refused = [&](std::string_view why) {
    return Error(Code::invalid_argument,
                 fmt::format("{} combines {} with {} into {}: {}", describe(schedule(at.rank), at.step), text(left), text(right),
                             slice_text({to.buffer, to.chunk + i, 1}), why),
                 at.rank);
  };
  if (left.datum != right.datum) return refused("these are different data");
  const auto joined = contributions_.join(left.set, right.set);
  if (joined.overlap && !idempotent_) return refused("some rank would count twice");
  if (ordered_ && !idempotent_ && !contributions_.follows(left.set, right.set)) return refused("not in the order of ranks");
  const bool canonical = left.order.canonical && right.order.canonical && contributions_.halves(left.set, right.set);
  value = {left.datum, joined.set, {.canonical = canonical, .at_once = left.single && right.single}, false};
  return {};
}

// In the canonical tree, and rounded once.
Status Values::combine(At at, std::span<const Value> operands, const Slice& to, std::uint32_t i, Value& value) {
  if (operands.size() == 1) {
    value = operands.front();
    return {};
  }
  const auto split = canonical_split(operands.size());
  Value left, right;
  auto status = combine(at, operands.first(split), to, i, left);
  if (status) status = combine(at, operands.subspan(split), to, i, right);
  if (status) status = combine(at, left, right, to, i, value);
  value.order.at_once = std::ranges::all_of(operands, &Value::single);
  return status;
}

Status Values::fold(At at, const Step& step) {
  const Schedule& s = schedule(at.rank);
  std::vector<Value> operands(step.operand_end - step.operand_begin);
  Status status;
  for (std::uint32_t i = 0; i < step.to.count && status; ++i) {
    for (std::uint32_t o = 0; o < operands.size() && status; ++o)
      status = read(at, s.operands[step.operand_begin + o], i, operands[o]);
    if (status) status = combine(at, operands, step.to, i, cells(at.rank, step.to)[i]);
  }
  return status;
}

Status Values::local(Rank rank, std::uint32_t index) {
  const Step& step = schedule(rank).steps[index];
  const At at{rank, index};
  if (step.kind == StepKind::fold) return fold(at, step);
  Status status;
  for (std::uint32_t i = 0; i < step.to.count && status; ++i) {
    Value from, to;
    status = read(at, step.from, i, from);
    if (status && step.kind == StepKind::reduce) {
      status = read(at, step.to, i, to);
      if (status) status = step.from_is_left ? combine(at, from, to, step.to, i, from) : combine(at, to, from, step.to, i, from);
    }
    if (status) cells(rank, step.to)[i] = from;
  }
  return status;
}

Status Values::message(Rank sender, std::uint32_t send, Rank receiver, std::uint32_t recv) {
  const Slice& from = schedule(sender).steps[send].from;
  const Step& step = schedule(receiver).steps[recv];
  const At there{sender, send}, here{receiver, recv};
  Status status;
  for (std::uint32_t i = 0; i < from.count && status; ++i) {
    Value arrived, own;
    status = read(there, from, i, arrived);
    if (status && step.kind == StepKind::recv_reduce) {
      status = read(here, step.from, i, own);
      if (status)
        status = step.from_is_left ? combine(here, own, arrived, step.to, i, arrived)
                                   : combine(here, arrived, own, step.to, i, arrived);
    }
    if (status) cells(receiver, step.to)[i] = arrived;
  }
  return status;
}

Values::Value Values::required(Rank r, std::uint32_t chunk) {
  const Schedule& s = schedule(r);
  const std::uint64_t datum = layout(r).datum(Buffer::output, chunk);
  const auto block = static_cast<Rank>(chunk / s.chunks_per_block);
  switch (s.collective) {
    case Collective::all_reduce:
    case Collective::reduce:
    case Collective::reduce_scatter:
    case Collective::barrier:
      return {datum, contributions_.range(0, s.ranks - 1)};
    case Collective::scan:
      return {datum, contributions_.range(0, r)};
    case Collective::exscan:
      if (r > 0) return {datum, contributions_.range(0, r - 1)};
      return s.in_place ? initial(r, chunk) : Value{};
    case Collective::all_gather:
    case Collective::gather:
    case Collective::all_to_all:
      return {datum, contributions_.single(block)};
    case Collective::broadcast:
    case Collective::scatter:
      return {datum, contributions_.single(s.root)};
    case Collective::send_recv: {
      // Who talks to whom is the caller's affair; what arrives must be the same chunk of some rank's input.
      const Value& held = cells(r, {Buffer::output, chunk, 1})[0];
      return held.defined() ? Value{datum, held.set} : held;
    }
  }
  return {};
}

Status Values::check_result(Rank r, std::uint32_t chunk) {
  const Slice slice{Buffer::output, chunk, 1};
  const Value& held = cells(r, slice)[0];
  const Value wanted = required(r, chunk);
  if (held.same(wanted)) {
    order_.canonical &= held.order.canonical;
    order_.at_once &= held.order.at_once;
    return {};
  }
  const Schedule& s = schedule(r);
  const Range cell = layout(r).cells(slice);
  std::string writer = "no step writes it";
  for (std::size_t i = 0; i < s.steps.size(); ++i)
    for_each_touch(s, s.steps[i], [&](const Slice& touched, bool, bool writes) {
      if (writes && layout(r).cells(touched).overlaps(cell)) writer = fmt::format("last written by {}", describe(s, i));
    });
  return Error(Code::invalid_argument,
               fmt::format("wrong result: {} of rank {} ends with {}; it must hold {} ({})", slice_text(slice), r, text(held),
                           text(wanted), writer),
               r);
}

Status Values::check_results() {
  for (Rank r = 0; r < static_cast<Rank>(ranks_.size()); ++r)
    for (std::uint32_t c = 0; c < layout(r).chunks(Buffer::output); ++c)
      if (auto status = check_result(r, c); !status) return status;
  return {};
}

}  // namespace tutti::verifier
