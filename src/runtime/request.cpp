#include "runtime/request.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace tutti {
namespace {

// Which buffers a collective has on a rank, and whether they hold one block per rank.
struct Sides {
  bool has_input = true, has_output = true;
  bool many_in = false, many_out = false;
};

Sides sides_of(const Call& call, Rank me) {
  const bool root = me == call.root;
  switch (call.collective) {
    case Collective::all_reduce:
    case Collective::scan:
      return {};
    case Collective::exscan:
      return {.has_output = me != 0};
    case Collective::reduce:
      return {.has_output = root};
    case Collective::broadcast:
      return {.has_input = root};
    case Collective::all_gather:
      return {.many_out = true};
    case Collective::reduce_scatter:
      return {.many_in = true};
    case Collective::gather:
      return {.has_output = root, .many_out = true};
    case Collective::scatter:
      return {.has_input = root, .many_in = true};
    case Collective::all_to_all:
      return {.many_in = true, .many_out = true};
    case Collective::barrier:
      return {.has_input = false, .has_output = false};
    case Collective::send_recv:
      return {.has_input = call.destination != kNoRank, .has_output = call.source != kNoRank};
  }
  return {};
}

class Checker {
 public:
  Checker(const Call& call, Rank me, Rank ranks, const Contract& contract)
      : call_(call), me_(me), ranks_(ranks), contract_(contract), sides_(sides_of(call, me)) {
    if (call.order) contract_.order = *call.order;
    if (call.accumulate) contract_.accumulate = call.accumulate;
    asks_itself_ = call.order || call.accumulate;
  }

  Result<Request> shape() const {
    if (auto s = check_enums(); !s) return std::move(s.error());
    if (auto s = check_ranks(); !s) return std::move(s.error());
    if (auto s = check_counts(); !s) return std::move(s.error());
    Request r;
    r.collective = call_.collective;
    r.type = call_.type;
    r.many_in = sides_.many_in;
    r.many_out = sides_.many_out;
    r.root = has_root(call_.collective) ? call_.root : 0;
    r.count = call_.collective == Collective::barrier ? 0 : call_.count;
    r.op = call_.op;
    r.input = static_cast<const std::byte*>(call_.input);
    r.output = static_cast<std::byte*>(call_.output);
    r.input_blocks = {r.count, call_.input_counts, call_.input_displacements};
    r.output_blocks = {r.count, call_.output_counts, call_.output_displacements};
    r.destination = call_.destination;
    r.source = call_.source;
    r.receive_count = call_.receive_count;
    r.algorithm = call_.algorithm;
    r.algorithm_filter = call_.algorithm_filter;
    r.footprint = footprint(r);
    if (!asks_itself_) {
      r.numerics = numerics_within(r.collective, r.type, r.op, ranks_, contract_);
      return r;
    }
    auto numerics = numerics_of(r.collective, r.type, r.op, ranks_, contract_);
    if (!numerics) return bad("{}", numerics.error().message());
    r.numerics = *numerics;
    return r;
  }

  Status check_buffers(Request& r) const {
    const Footprint& f = r.footprint;
    if (f.input_bytes > 0 && r.input == nullptr) return bad("input is null, but {} bytes are to be read", f.input_bytes);
    if (f.output_bytes > 0 && r.output == nullptr) return bad("output is null, but {} bytes are to be written", f.output_bytes);
    if (!f.overlaps(r.input, r.output)) return {};
    if (!f.in_place(r.input, r.output) || call_.collective == Collective::send_recv)
      return bad("input and output overlap in a way that is not \"in place\": the smaller one must be {}",
                 sides_.many_in == sides_.many_out ? "the larger one" : "this rank's own block of the larger one");
    if (call_.collective == Collective::all_to_all && !std::ranges::equal(call_.input_counts, call_.output_counts))
      return bad("in place needs equal input and output counts");
    r.in_place = true;
    return {};
  }

 private:
  [[nodiscard]] std::uint64_t element_size() const {
    return reduces(call_.collective) ? element_bytes(call_.type, call_.op) : size_of(call_.type);
  }

  template <class... Args>
  [[nodiscard]] Error bad(fmt::format_string<Args...> format, Args&&... args) const {
    return {Code::invalid_argument,
            fmt::format("{} on rank {}: {}", name(call_.collective), me_, fmt::format(format, std::forward<Args>(args)...))};
  }

  Status check_enums() const {
    if (static_cast<unsigned>(call_.collective) >= kCollectives)
      return Error(Code::invalid_argument,
                   fmt::format("rank {}: collective {} does not exist", me_, static_cast<unsigned>(call_.collective)));
    if (static_cast<unsigned>(call_.type) >= kDataTypes)
      return bad("data type {} does not exist", static_cast<unsigned>(call_.type));
    if (call_.order && static_cast<unsigned>(*call_.order) >= kOrderClasses)
      return bad("order class {} does not exist", static_cast<unsigned>(*call_.order));
    if (call_.accumulate && static_cast<unsigned>(*call_.accumulate) >= kDataTypes)
      return bad("data type {}, to accumulate in, does not exist", static_cast<unsigned>(*call_.accumulate));
    if (!reduces(call_.collective)) return {};
    if (static_cast<unsigned>(call_.op.kind) >= kReduceKinds)
      return bad("operator {} does not exist", static_cast<unsigned>(call_.op.kind));
    if (!supports(call_.op.kind, call_.type)) return bad("{} is not defined for {}", name(call_.op.kind), name(call_.type));
    if (call_.op.kind == ReduceKind::user && call_.op.user.apply == nullptr) return bad("the user's operator has no function");
    if (call_.op.kind != ReduceKind::user && !call_.op.commutative) return bad("only a user's operator may be non-commutative");
    return {};
  }

  Status check_rank(std::string_view what, Rank r) const {
    if (r < 0 || r >= ranks_) return bad("{} {} is not a rank; there are ranks 0 to {}", what, r, ranks_ - 1);
    return {};
  }

  Status check_ranks() const {
    if (has_root(call_.collective)) return check_rank("root", call_.root);
    if (call_.collective != Collective::send_recv) return {};
    if (call_.destination != kNoRank)
      if (auto s = check_rank("destination", call_.destination); !s) return s;
    if (call_.source != kNoRank) return check_rank("source", call_.source);
    return {};
  }

  Status check_side(std::string_view side, bool many, std::span<const std::uint64_t> counts,
                    std::span<const std::uint64_t> displacements) const {
    if (counts.empty() && displacements.empty())
      return check_size(side, call_.count, many ? static_cast<std::uint64_t>(ranks_) : 1);
    const auto p = static_cast<std::size_t>(ranks_);
    if (!counts.empty() && !many) return bad("{} counts were given, but the {} has one block only", side, side);
    if (!counts.empty() && counts.size() != p) return bad("{} {} counts were given for {} ranks", counts.size(), side, p);
    if (!displacements.empty() && counts.empty()) return bad("{} displacements were given without counts", side);
    if (!displacements.empty() && displacements.size() != p)
      return bad("{} {} displacements were given for {} ranks", displacements.size(), side, p);
    std::uint64_t sum = 0;
    for (const auto c : counts)
      if (__builtin_add_overflow(sum, c, &sum)) return bad("the {} counts add up to more than 64 bits hold", side);
    for (std::size_t b = 0; b < displacements.size(); ++b) {
      std::uint64_t end = 0;
      if (__builtin_add_overflow(displacements[b], counts[b], &end))
        return bad("{} displacement {} of rank {} is more than memory can hold", side, displacements[b], b);
      if (auto s = check_size(side, end, 1); !s) return s;
    }
    return check_size(side, sum, 1);
  }

  // Blocks may be read twice, but not written twice.
  Status check_apart(std::span<const std::uint64_t> counts, std::span<const std::uint64_t> displacements) const {
    std::vector<std::size_t> order;
    for (std::size_t b = 0; b < displacements.size(); ++b)
      if (counts[b] > 0) order.push_back(b);
    std::ranges::sort(order, {}, [&](std::size_t b) { return displacements[b]; });
    for (std::size_t i = 1; i < order.size(); ++i) {
      const std::size_t a = order[i - 1], b = order[i];
      if (displacements[a] + counts[a] > displacements[b])
        return bad("the output blocks of ranks {} and {} overlap (displacement {} count {}, displacement {} count {})", a, b,
                   displacements[a], counts[a], displacements[b], counts[b]);
    }
    return {};
  }

  Status check_size(std::string_view side, std::uint64_t count, std::uint64_t blocks) const {
    std::uint64_t bytes = 0;
    if (__builtin_mul_overflow(blocks, element_size(), &bytes) || __builtin_mul_overflow(count, bytes, &bytes) ||
        bytes > std::numeric_limits<std::int64_t>::max())
      return bad("{} count {} of {} is more than memory can hold", side, count, name(call_.type));
    return {};
  }

  Status check_send_recv() const {
    if (auto s = check_size("receive", call_.receive_count, 1); !s) return s;
    if ((call_.destination == me_) != (call_.source == me_))
      return bad("a rank that sends to itself must receive from itself in the same call; destination is {}, source {}",
                 call_.destination, call_.source);
    if (call_.destination == me_ && call_.count != call_.receive_count)
      return bad("to itself a rank sends as much as it receives; count is {}, receive_count {}", call_.count,
                 call_.receive_count);
    return {};
  }

  Status check_counts() const {
    if (auto s = check_side("input", sides_.many_in, call_.input_counts, call_.input_displacements); !s) return s;
    if (auto s = check_side("output", sides_.many_out, call_.output_counts, call_.output_displacements); !s) return s;
    if (auto s = check_apart(call_.output_counts, call_.output_displacements); !s) return s;
    if (call_.collective == Collective::send_recv) return check_send_recv();
    if (call_.collective == Collective::all_to_all && call_.input_counts.empty() != call_.output_counts.empty())
      return bad("counts must be given for both sides or for none");
    return {};
  }

  [[nodiscard]] std::uint64_t bytes(bool many, const Blocks& own, const Blocks& other, std::uint64_t single) const {
    const std::uint64_t size = element_size();
    if (!many) return (other.counts.empty() ? single : other.counts[static_cast<std::size_t>(me_)]) * size;
    if (own.counts.empty()) return own.uniform * static_cast<std::uint64_t>(ranks_) * size;
    std::uint64_t end = 0, at = 0;
    for (std::size_t b = 0; b < own.counts.size(); ++b) {
      const std::uint64_t offset = own.displacements.empty() ? at : own.displacements[b];
      end = std::max(end, offset + own.counts[b]);
      at += own.counts[b];
    }
    return end * size;
  }

  [[nodiscard]] std::uint64_t own_offset(const Blocks& blocks) const {
    const auto me = static_cast<std::size_t>(me_);
    std::uint64_t at = 0;
    if (!blocks.displacements.empty())
      at = blocks.displacements[me];
    else if (blocks.counts.empty())
      at = blocks.uniform * me;
    else
      for (std::size_t b = 0; b < me; ++b) at += blocks.counts[b];
    return at * element_size();
  }

  [[nodiscard]] Footprint footprint(const Request& r) const {
    Footprint f;
    const bool p2p = call_.collective == Collective::send_recv;
    if (sides_.has_input) f.input_bytes = bytes(sides_.many_in, r.input_blocks, r.output_blocks, call_.count);
    if (sides_.has_output)
      f.output_bytes = bytes(sides_.many_out, r.output_blocks, r.input_blocks, p2p ? call_.receive_count : call_.count);
    if (sides_.many_out && !sides_.many_in) f.in_place_offset = static_cast<std::ptrdiff_t>(own_offset(r.output_blocks));
    if (sides_.many_in && !sides_.many_out) f.in_place_offset = -static_cast<std::ptrdiff_t>(own_offset(r.input_blocks));
    return f;
  }

  const Call& call_;
  Rank me_, ranks_;
  Contract contract_;
  bool asks_itself_ = false;
  Sides sides_;
};

}  // namespace

Result<Request> check_shape(const Call& call, Rank me, Rank ranks, const Contract& contract) {
  return Checker(call, me, ranks, contract).shape();
}

Result<Request> check_call(const Call& call, Rank me, Rank ranks, const Contract& contract) {
  const Checker checker(call, me, ranks, contract);
  auto request = checker.shape();
  if (!request) return request;
  if (auto s = checker.check_buffers(*request); !s) return std::move(s.error());
  return request;
}

std::uint64_t agreed_count(const Request& r) {
  if (r.collective == Collective::send_recv) return 0;
  if (r.equal_blocks()) return r.count;
  if (r.collective == Collective::all_to_all) return 0;
  const auto counts = r.input_blocks.counts.empty() ? r.output_blocks.counts : r.input_blocks.counts;
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

Signature signature_of(const Request& r) {
  return {.count = agreed_count(r),
          .root = static_cast<std::uint32_t>(r.root),
          .collective = static_cast<std::uint8_t>(r.collective),
          .type = static_cast<std::uint8_t>(r.type),
          .op = reduces(r.collective) ? static_cast<std::uint8_t>(r.op.kind) : std::uint8_t{0}};
}

OwnedCall::OwnedCall(const Call& call) : call_(call), algorithm_(call.algorithm), algorithm_filter_(call.algorithm_filter) {
  const std::array spans{&call_.input_counts, &call_.input_displacements, &call_.output_counts, &call_.output_displacements};
  for (std::size_t i = 0; i < spans.size(); ++i) {
    counts_[i].assign(spans[i]->begin(), spans[i]->end());
    *spans[i] = counts_[i];
  }
  call_.algorithm = algorithm_;
  call_.algorithm_filter = algorithm_filter_;
}

std::size_t OwnedCall::memory_bytes() const noexcept {
  std::size_t bytes = sizeof(*this);
  for (const auto& c : counts_) bytes += c.capacity() * sizeof(std::uint64_t);
  return bytes;
}

}  // namespace tutti
