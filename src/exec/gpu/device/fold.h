// The one loop over memory of all reductions on a device.
#pragma once

#include <bit>
#include <cstring>

#include "device/arguments.h"
#include "device/arithmetic.h"

namespace tutti::device {

// Which of the threads at work this is.
struct Threads {
  std::uint64_t index, count;
};

// What one load or store moves where alignment allows.
struct alignas(16) Word {
  std::uint32_t part[4];
};

template <class Element>
struct alignas(16) Pack {
  Element of[sizeof(Word) / sizeof(Element)];
};

constexpr std::uint32_t alignment_of(const std::byte* address) {
  return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(address) % sizeof(Word));
}

// Inputs and output of a fold, by elements and, where all addresses have one alignment, by words between head and tail.
template <class Lanes>
struct Operands {
  using Element = typename Lanes::Element;
  using Value = typename Lanes::Value;
  static constexpr std::uint32_t kPerWord = sizeof(Word) / sizeof(Element);

  const std::byte* const* inputs;
  std::uint32_t count;
  std::byte* out;
  bool aligned = true;  // to elements
  std::uint64_t head = 0, words = 0;

  constexpr Operands(const std::byte* const* in, std::uint32_t n, std::byte* to, std::uint64_t elements)
      : inputs(in), count(n), out(to) {
    const std::uint32_t offset = alignment_of(out);
    bool alike = true;
    aligned = offset % sizeof(Element) == 0;
    for (std::uint32_t s = 0; s < count; ++s) {
      alike = alike && alignment_of(inputs[s]) == offset;
      aligned = aligned && alignment_of(inputs[s]) % sizeof(Element) == 0;
    }
    if (!alike || !aligned) return;
    const std::uint64_t first = (sizeof(Word) - offset) % sizeof(Word) / sizeof(Element);
    if (first > elements) return;
    head = first;
    words = (elements - head) / kPerWord;
  }

  [[nodiscard]] constexpr Element element(std::uint32_t s, std::uint64_t at) const {
    const std::byte* from = inputs[s] + at * sizeof(Element);
    if (aligned) return *reinterpret_cast<const Element*>(from);
    Element element;
    std::memcpy(&element, from, sizeof(Element));
    return element;
  }
  constexpr void put(std::uint64_t at, Element element) const {
    std::byte* to = out + at * sizeof(Element);
    if (aligned)
      *reinterpret_cast<Element*>(to) = element;
    else
      std::memcpy(to, &element, sizeof(Element));
  }
  [[nodiscard]] constexpr std::uint64_t offset_of(std::uint64_t word) const {
    return head * sizeof(Element) + word * sizeof(Word);
  }
};

// Calls with_operator(visit) for every element, where visit(operator) combines: small code for what is rarely much.
template <class Lanes, class WithOperator>
constexpr void fold_elements(const Operands<Lanes>& operands, std::uint64_t count, Threads threads,
                             WithOperator&& with_operator) {
  const std::uint64_t in_words = operands.words * Operands<Lanes>::kPerWord;
  for (std::uint64_t i = threads.index; i < count - in_words; i += threads.count) {
    const std::uint64_t at = i < operands.head ? i : i + in_words;
    auto acc = Lanes::load(operands.element(0, at));
    with_operator([&](auto op) { acc = op.enter(acc); });
    for (std::uint32_t s = 1; s < operands.count; ++s) {
      const auto next = Lanes::load(operands.element(s, at));
      with_operator([&](auto op) { acc = op.combine(acc, op.enter(next)); });
    }
    with_operator([&](auto op) { acc = op.leave(acc); });
    operands.put(at, Lanes::store(acc));
  }
}

// kUnroll words at a time, so that as many loads are under way.
template <class Machine, class Lanes, class Op>
constexpr void fold_words(const Operands<Lanes>& operands, Op op, Threads threads) {
  using Element = typename Lanes::Element;
  constexpr std::uint32_t kPerWord = Operands<Lanes>::kPerWord;
  constexpr std::uint32_t kUnroll = sizeof(Element) >= 4 ? 4 : sizeof(Element);
  for (std::uint64_t first = threads.index; first < operands.words; first += kUnroll * threads.count) {
    typename Lanes::Value acc[kUnroll][kPerWord] = {};
    Word loaded[kUnroll] = {};
    for (std::uint32_t s = 0; s < operands.count; ++s) {
      for (std::uint32_t u = 0; u < kUnroll; ++u) {
        const std::uint64_t word = first + u * threads.count;
        if (word < operands.words) loaded[u] = Machine::load(operands.inputs[s] + operands.offset_of(word));
      }
      for (std::uint32_t u = 0; u < kUnroll; ++u) {
        const auto pack = std::bit_cast<Pack<Element>>(loaded[u]);
        for (std::uint32_t k = 0; k < kPerWord; ++k) {
          const auto value = op.enter(Lanes::load(pack.of[k]));
          acc[u][k] = s == 0 ? value : op.combine(acc[u][k], value);
        }
      }
    }
    for (std::uint32_t u = 0; u < kUnroll; ++u) {
      Pack<Element> pack = {};
      for (std::uint32_t k = 0; k < kPerWord; ++k) pack.of[k] = Lanes::store(op.leave(acc[u][k]));
      const std::uint64_t word = first + u * threads.count;
      if (word < operands.words) Machine::store(operands.out + operands.offset_of(word), std::bit_cast<Word>(pack));
    }
  }
}

template <class Machine, class Lanes, class WithOperator>
constexpr void fold(const Operands<Lanes>& operands, std::uint64_t count, Threads threads, WithOperator&& with_operator) {
  if (operands.words > 0) with_operator([&](auto op) { fold_words<Machine>(operands, op, threads); });
  fold_elements(operands, count, threads, with_operator);
}

// ---- the kernels

template <class Machine>
constexpr void fold(const FoldArguments& a, Threads threads) {
  const Operation operation = operation_of(a.kind, a.average_over);
  const Route defined = route(operation, a.type);
  if (defined.operation == Operation::none) return;
  const Route way = a.operands == 1 && operation != Operation::mean ? copying(a.type) : defined;
  visit_lanes<Machine>(way.lanes, [&]<class Lanes>(Lanes) {
    const std::uint64_t count = a.count * way.lanes_per_element;
    fold<Machine>(Operands<Lanes>(a.inputs, a.operands, a.out, count), count, threads,
                  [&](auto visit) { visit_operator<Lanes>(way.operation, a.average_over, visit); });
  });
}

template <class Machine>
constexpr void prepare(const PrepareArguments& a, Threads threads) {
  const Route way = route(Operation::sum, a.type);
  visit_real<Machine>(way.lanes, [&]<class Lanes>(Lanes) {
    using Value = typename Lanes::Value;
    if constexpr (!std::is_signed_v<Value> || std::is_floating_point_v<Value>) {
      const std::uint64_t count = a.count * way.lanes_per_element;
      Scale<Value> op{{}, factor_of<Value>(a.factor)};
      if (a.scalar != nullptr) op.factor = Lanes::load(Operands<Lanes>(&a.scalar, 1, a.out, 0).element(0, 0));
      fold<Machine>(Operands<Lanes>(&a.in, 1, a.out, count), count, threads, [&](auto visit) { visit(op); });
    }
  });
}

template <class Machine>
constexpr void finish(const FinishArguments& a, Threads threads) {
  const Route way = route(Operation::mean, a.type);
  const std::byte* in = a.data;
  visit_real<Machine>(way.lanes, [&]<class Lanes>(Lanes) {
    const std::uint64_t count = a.count * way.lanes_per_element;
    fold<Machine>(Operands<Lanes>(&in, 1, a.data, count), count, threads, [&](auto visit) { visit(Mean{{}, a.ranks}); });
  });
}

}  // namespace tutti::device
