// The one loop over memory of all reductions on a device.
#pragma once

#include <bit>

#include "device/arguments.h"
#include "device/arithmetic.h"
#include "device/machine.h"

namespace tutti::device {

template <class Element>
struct alignas(16) Pack {
  Element of[sizeof(Word) / sizeof(Element)];
};

template <class Byte>
constexpr std::uint32_t alignment_of(const Byte* address) {
  return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(address) % sizeof(Word));
}

// Of a word at any address, the first bytes; the others are 0.
template <class Machine>
[[gnu::noinline]] constexpr Word load_part(const std::byte* from, std::uint64_t bytes) {
  if (bytes >= sizeof(Word) && alignment_of(from) == 0) return Machine::load(from);
  Word word = {};
  const bool numbers = alignment_of(from) % 4 == 0;
  for (std::uint32_t k = 0; k < 4; ++k) {
    if (numbers && 4 * k + 4 <= bytes) {
      word.part[k] = reinterpret_cast<const std::uint32_t*>(from)[k];
      continue;
    }
    for (std::uint32_t b = 0; b < 4; ++b)
      if (4 * k + b < bytes) word.part[k] |= static_cast<std::uint32_t>(from[4 * k + b]) << 8 * b;
  }
  return word;
}

template <class Machine>
[[gnu::noinline]] constexpr void store_part(std::byte* to, Word word, std::uint64_t bytes) {
  if (bytes >= sizeof(Word) && alignment_of(to) == 0) return Machine::store(to, word);
  const bool numbers = alignment_of(to) % 4 == 0;
  for (std::uint32_t k = 0; k < 4; ++k) {
    if (numbers && 4 * k + 4 <= bytes) {
      reinterpret_cast<std::uint32_t*>(to)[k] = word.part[k];
      continue;
    }
    for (std::uint32_t b = 0; b < 4; ++b)
      if (4 * k + b < bytes) to[4 * k + b] = static_cast<std::byte>(word.part[k] >> 8 * b);
  }
}

// A result goes to each of these.
struct Outputs {
  std::byte* const* at;
  std::uint32_t count;
};

// What is done to `bytes` bytes: in whole words at aligned addresses from `head` bytes on, if all addresses are aligned alike,
// and the rest, or all, in parts: words of which less may be there, at any address.
struct Layout {
  std::uint64_t bytes = 0, head = 0, words = 0;

  constexpr Layout(const std::byte* const* inputs, std::uint32_t count, Outputs outs, std::uint64_t all,
                   std::uint64_t element_bytes)
      : bytes(all) {
    const std::uint32_t offset = alignment_of(outs.at[0]);
    const std::uint32_t first = (sizeof(Word) - offset) % sizeof(Word);
    if (element_bytes == 0 || first % element_bytes != 0 || first + sizeof(Word) > bytes) return;
    for (std::uint32_t s = 0; s < count; ++s)
      if (alignment_of(inputs[s]) != offset) return;
    for (std::uint32_t o = 1; o < outs.count; ++o)
      if (alignment_of(outs.at[o]) != offset) return;
    head = first;
    words = (bytes - head) / sizeof(Word);
  }
  // visit(where, bytes)
  template <class Visit>
  constexpr void each_part(Threads threads, Visit&& visit) const {
    const std::uint64_t behind = head + words * sizeof(Word);
    const std::uint64_t parts = words > 0 ? 2 : (bytes + sizeof(Word) - 1) / sizeof(Word);
    for (std::uint64_t i = threads.index; i < parts; i += threads.count) {
      std::uint64_t at = i * sizeof(Word), end = at + sizeof(Word);
      if (words > 0) {
        at = i == 0 ? 0 : behind;
        end = i == 0 ? head : bytes;
      }
      if (end > bytes) end = bytes;
      if (at < end) visit(at, end - at);
    }
  }
};

inline constexpr std::uint64_t kWarp = 32;

template <class Lanes>
inline constexpr std::uint32_t kPerWord = sizeof(Word) / sizeof(typename Lanes::Element);

// The words of a layout, some at a time, so that as many loads are under way.
template <class Machine, class Lanes, class Op>
[[gnu::noinline]] constexpr void fold_words(const Layout& layout, const std::byte* const* inputs, std::uint32_t operands,
                                            Outputs outs, Op op, Threads threads) {
  using Element = typename Lanes::Element;
  constexpr std::uint32_t kUnroll = sizeof(Element) >= 4 ? 4 : sizeof(Element);
  // Those of a warp take their words from one place.
  const std::uint64_t group = threads.count % kWarp == 0 ? kWarp : 1;
  const std::uint64_t begin = threads.index / group * group * kUnroll + threads.index % group;
  for (std::uint64_t first = begin; first < layout.words; first += kUnroll * threads.count) {
    typename Lanes::Value acc[kUnroll][kPerWord<Lanes>] = {};
    Word loaded[kUnroll] = {};
    for (std::uint32_t s = 0; s < operands; ++s) {
      for (std::uint32_t u = 0; u < kUnroll; ++u) {
        const std::uint64_t word = first + u * group;
        if (word < layout.words) loaded[u] = Machine::load(inputs[s] + layout.head + word * sizeof(Word));
      }
      for (std::uint32_t u = 0; u < kUnroll; ++u) {
        const auto pack = std::bit_cast<Pack<Element>>(loaded[u]);
        for (std::uint32_t k = 0; k < kPerWord<Lanes>; ++k) {
          const auto value = op.enter(Lanes::load(pack.of[k]));
          acc[u][k] = s == 0 ? value : op.combine(acc[u][k], value);
        }
      }
    }
    for (std::uint32_t u = 0; u < kUnroll; ++u) {
      Pack<Element> pack = {};
      for (std::uint32_t k = 0; k < kPerWord<Lanes>; ++k) pack.of[k] = Lanes::store(op.leave(acc[u][k]));
      const std::uint64_t word = first + u * group;
      if (word < layout.words)
        for (std::uint32_t o = 0; o < outs.count; ++o)
          Machine::store(outs.at[o] + layout.head + word * sizeof(Word), std::bit_cast<Word>(pack));
    }
  }
}

// Each byte as it is.
template <class Machine>
[[gnu::noinline]] constexpr void copy(const std::byte* from, Outputs outs, std::uint64_t bytes, Threads threads) {
  const Layout layout(&from, 1, outs, bytes, 1);
  fold_words<Machine, Direct<std::uint32_t>>(layout, &from, 1, outs, BitwiseOf<Bitwise::disjunction>(), threads);
  layout.each_part(threads, [&](std::uint64_t at, std::uint64_t part) {
    const Word word = load_part<Machine>(from + at, part);
    for (std::uint32_t o = 0; o < outs.count; ++o) store_part<Machine>(outs.at[o] + at, word, part);
  });
}
template <class Machine>
constexpr void copy(const std::byte* from, std::byte* to, std::uint64_t bytes, Threads threads) {
  copy<Machine>(from, Outputs{&to, 1}, bytes, threads);
}

// out = op(in), elements of Lanes.
template <class Machine, class Lanes, class Op>
constexpr void map(const std::byte* in, std::byte* out, std::uint64_t count, Op op, Threads threads) {
  const Layout layout(&in, 1, {&out, 1}, count * sizeof(typename Lanes::Element), sizeof(typename Lanes::Element));
  fold_words<Machine, Lanes>(layout, &in, 1, {&out, 1}, op, threads);
  layout.each_part(threads, [&](std::uint64_t at, std::uint64_t part) {
    auto pack = std::bit_cast<Pack<typename Lanes::Element>>(load_part<Machine>(in + at, part));
    for (std::uint32_t k = 0; k < kPerWord<Lanes>; ++k) pack.of[k] = Lanes::store(op.leave(op.enter(Lanes::load(pack.of[k]))));
    store_part<Machine>(out + at, std::bit_cast<Word>(pack), part);
  });
}

// A reduction: the operator on the type, as of FoldArguments.
struct Reduction {
  DataType type;
  ReduceKind kind;
  std::int32_t average_over;
};

// A word of the result of a fold of `operands`, whose words fetch(k) brings in their order.
template <class Machine, class Fetch>
[[gnu::noinline]] constexpr Word fold_word(const Reduction& r, std::uint32_t operands, const Fetch& fetch) {
  const Route way = route(operation_of(r.kind, r.average_over), r.type);
  Word result = {};
  visit_lanes<Machine>(way.lanes, [&]<class Lanes>(Lanes) {
    using Value = typename Lanes::Value;
    using Packed = Pack<typename Lanes::Element>;
    Value acc[kPerWord<Lanes>] = {};
    for (std::uint32_t s = 0; s < operands; ++s) {
      const auto pack = std::bit_cast<Packed>(fetch(s));
      Value next[kPerWord<Lanes>] = {};
      for (std::uint32_t k = 0; k < kPerWord<Lanes>; ++k) next[k] = Lanes::load(pack.of[k]);
      visit_operator<Lanes>(way.operation, r.average_over, [&](auto op) {
        for (std::uint32_t k = 0; k < kPerWord<Lanes>; ++k) {
          const Value value = op.enter(next[k]);
          acc[k] = s == 0 ? value : op.combine(acc[k], value);
        }
      });
    }
    if (way.operation == Operation::mean)
      for (std::uint32_t k = 0; k < kPerWord<Lanes>; ++k)
        if constexpr (std::is_arithmetic_v<Value>) acc[k] = Mean{{}, r.average_over}.leave(acc[k]);
    Packed pack = {};
    for (std::uint32_t k = 0; k < kPerWord<Lanes>; ++k) pack.of[k] = Lanes::store(acc[k]);
    result = std::bit_cast<Word>(pack);
  });
  return result;
}

// Words of memory, as fold_word wants them.
template <class Machine>
struct FetchPart {
  const std::byte* const* inputs;
  std::uint64_t at, bytes;
  constexpr Word operator()(std::uint32_t k) const { return load_part<Machine>(inputs[k] + at, bytes); }
};

template <class Machine>
[[gnu::noinline]] constexpr void fold(const Reduction& r, const std::byte* const* inputs, std::uint32_t operands, Outputs outs,
                                      std::uint64_t count, Threads threads) {
  const Operation operation = operation_of(r.kind, r.average_over);
  const Route way = route(operation, r.type);
  const std::uint64_t bytes = count * size_of(r.type);
  if (way.operation == Operation::none) return;
  if (operands == 1 && operation != Operation::mean) return copy<Machine>(inputs[0], outs, bytes, threads);
  const Layout layout(inputs, operands, outs, bytes, size_of(way.lanes));
  if (layout.words > 0)
    visit_lanes<Machine>(way.lanes, [&]<class Lanes>(Lanes) {
      visit_operator<Lanes>(way.operation, r.average_over,
                            [&](auto op) { fold_words<Machine, Lanes>(layout, inputs, operands, outs, op, threads); });
    });
  layout.each_part(threads, [&](std::uint64_t at, std::uint64_t part) {
    const Word word = fold_word<Machine>(r, operands, FetchPart<Machine>{inputs, at, part});
    for (std::uint32_t o = 0; o < outs.count; ++o) store_part<Machine>(outs.at[o] + at, word, part);
  });
}
template <class Machine>
constexpr void fold(const Reduction& r, const std::byte* const* inputs, std::uint32_t operands, std::byte* out,
                    std::uint64_t count, Threads threads) {
  fold<Machine>(r, inputs, operands, Outputs{&out, 1}, count, threads);
}

// ---- the kernels

template <class Machine>
constexpr void fold(const FoldArguments& a, Threads threads) {
  fold<Machine>(Reduction{a.type, a.kind, a.average_over}, a.inputs, a.operands, a.out, a.count, threads);
}

// Whether all ranks are in the call.
template <class Machine>
constexpr bool all_are_there(const OnePassArguments& a) {
  for (const OtherRank& other : a.others)
    if (other.call != nullptr && Machine::load_flag(other.call) != a.call) return false;
  return true;
}
// Behind all that was written.
template <class Machine>
constexpr void tell_all(const OnePassArguments& a) {
  for (const OtherRank& other : a.others)
    if (other.call != nullptr) Machine::store_flag(other.call, 0);
  for (const OtherRank& other : a.others)
    if (other.done != nullptr) Machine::store_flag(other.done, 1);
}

// Each item as if it were alone: none reads what another one writes.
template <class Machine>
constexpr void one_pass(const OnePassArguments& a, Threads threads) {
  const std::byte* inputs[kMostOperands] = {};
  std::byte* outs[kMostOperands] = {};
  for (std::uint32_t i = 0; i < a.item_count; ++i) {
    const OnePassItem& item = a.items[i];
    const auto buffers = [&](std::uint32_t r) -> const RankBuffers& {
      return a.others[r].buffers != nullptr ? *a.others[r].buffers : a.own;
    };
    std::uint32_t operands = 0, results = 0;
    for (std::uint32_t r = 0; r < kMostOperands; ++r) {
      if ((item.inputs >> r & 1) != 0) inputs[operands++] = buffers(r).input + item.from;
      if ((item.outputs >> r & 1) != 0) outs[results++] = buffers(r).output + item.to;
    }
    const Reduction reduction{a.type, a.kind, a.average_over};
    if (item.from_step == 0) {
      fold<Machine>(reduction, inputs, operands, Outputs{outs, results}, a.count, threads);
      continue;
    }
    for (std::uint32_t o = 0; o < results; ++o) {
      fold<Machine>(reduction, inputs, operands, outs[o], a.count, threads);
      for (std::uint32_t k = 0; k < operands; ++k) inputs[k] += item.from_step;
    }
  }
}

template <class Machine>
[[gnu::noinline]] constexpr void prepare(const PrepareArguments& a, Threads threads) {
  const Route way = route(Operation::sum, a.type);
  visit_real<Machine>(way.lanes, [&]<class Lanes>(Lanes) {
    using Value = typename Lanes::Value;
    if constexpr (!std::is_signed_v<Value> || std::is_floating_point_v<Value>) {
      using Packed = Pack<typename Lanes::Element>;
      Scale<Value> op{{}, factor_of<Value>(a.factor)};
      if (a.scalar != nullptr)
        op.factor = Lanes::load(std::bit_cast<Packed>(load_part<Machine>(a.scalar, size_of(way.lanes))).of[0]);
      map<Machine, Lanes>(a.in, a.out, a.count * way.lanes_per_element, op, threads);
    }
  });
}

template <class Machine>
[[gnu::noinline]] constexpr void finish(const FinishArguments& a, Threads threads) {
  const Route way = route(Operation::mean, a.type);
  visit_real<Machine>(way.lanes, [&]<class Lanes>(Lanes) {
    map<Machine, Lanes>(a.data, a.data, a.count * way.lanes_per_element, Mean{{}, a.ranks}, threads);
  });
}

}  // namespace tutti::device
