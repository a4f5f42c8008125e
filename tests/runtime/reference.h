// Calls with known answers: what every rank puts in, what each must get out, and memory around it that nobody may touch.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "algorithms/registry.h"
#include "tests/mixed_memory.h"
#include "tests/runtime/communicators.h"

namespace tutti {

// Memory with a margin on both sides.
template <class T>
class Guarded {
 public:
  explicit Guarded(std::size_t size) : memory_(size + 2 * kMargin, canary()) {}
  [[nodiscard]] static T canary() {
    T value;
    std::memset(&value, 0xA5, sizeof(T));
    return value;
  }
  [[nodiscard]] T* data() { return memory_.data() + kMargin; }
  [[nodiscard]] std::size_t size() const { return memory_.size() - 2 * kMargin; }
  [[nodiscard]] std::span<T> span() { return {data(), size()}; }
  [[nodiscard]] bool intact() const {
    const auto untouched = [](const T& v) { return v == canary(); };
    return std::all_of(memory_.begin(), memory_.begin() + kMargin, untouched) &&
           std::all_of(memory_.end() - kMargin, memory_.end(), untouched);
  }

 private:
  static constexpr std::ptrdiff_t kMargin = 37;  // odd: nothing is aligned by accident
  std::vector<T, MixedAllocator<T>> memory_;
};

// Sums of small integers.
struct Sum {
  using Value = std::int32_t;
  static constexpr DataType kType = DataType::i32;
  static ReduceOp op() { return {}; }
  static Value value(Rank rank, std::size_t i) {
    return static_cast<Value>((static_cast<std::size_t>(rank) * 31 + i * 7) % 101) - 50;
  }
  static Value combine(Value a, Value b) { return a + b; }
};

// Products of 2x2 matrices of 16-bit numbers, four of them in one u64: associative, but not commutative.
struct MatrixProduct {
  using Value = std::uint64_t;
  static constexpr DataType kType = DataType::u64;
  static ReduceOp op() { return {.kind = ReduceKind::user, .commutative = false, .user = {.apply = apply}}; }
  static Value value(Rank rank, std::size_t i) { return pack(static_cast<std::uint64_t>(rank) + 2, i % 13 + 1, i % 7 + 3, 1); }
  static Value combine(Value a, Value b) {
    const auto at = [](Value m, int k) { return m >> (16 * k) & 0xFFFF; };
    return pack(at(a, 0) * at(b, 0) + at(a, 1) * at(b, 2), at(a, 0) * at(b, 1) + at(a, 1) * at(b, 3),
                at(a, 2) * at(b, 0) + at(a, 3) * at(b, 2), at(a, 2) * at(b, 1) + at(a, 3) * at(b, 3));
  }

 private:
  static Value pack(Value a, Value b, Value c, Value d) {
    return (a & 0xFFFF) | (b & 0xFFFF) << 16 | (c & 0xFFFF) << 32 | (d & 0xFFFF) << 48;
  }
  static void apply(const void* in, void* inout, std::size_t count, DataType, void*) noexcept {
    const auto* left = static_cast<const Value*>(in);
    auto* right = static_cast<Value*>(inout);
    for (std::size_t i = 0; i < count; ++i) right[i] = combine(left[i], right[i]);
  }
};

// Stretches of a line, put end to end, as elements of twelve bytes that no message may cut: associative, but not commutative.
struct Stretches {
  struct Value {
    std::int32_t first, last, parts;
    friend bool operator==(const Value&, const Value&) = default;
    friend std::ostream& operator<<(std::ostream& out, const Value& v) {
      return out << v.first << " to " << v.last << " of " << v.parts;
    }
  };
  static constexpr DataType kType = DataType::u8;
  static ReduceOp op() {
    return {.kind = ReduceKind::user, .commutative = false, .user = {.apply = apply, .element_bytes = sizeof(Value)}};
  }
  static Value value(Rank rank, std::size_t i) { return {rank, rank + static_cast<std::int32_t>(i % 1000), 1}; }
  static Value combine(Value a, Value b) { return {a.first, b.last, a.parts + b.parts}; }

 private:
  static void apply(const void* in, void* inout, std::size_t count, DataType, void*) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
      Value left, right;
      std::memcpy(&left, static_cast<const std::byte*>(in) + i * sizeof left, sizeof left);
      std::memcpy(&right, static_cast<std::byte*>(inout) + i * sizeof right, sizeof right);
      right = combine(left, right);
      std::memcpy(static_cast<std::byte*>(inout) + i * sizeof right, &right, sizeof right);
    }
  }
};

struct Case {
  Collective collective;
  std::string_view algorithm = {};
  std::size_t count = 0;
  bool in_place = false;
  Rank root = 0;

  [[nodiscard]] std::string to_string() const {
    return fmt::format("{} by {}, count {}, root {}{}", name(collective), algorithm.empty() ? "choice" : algorithm, count, root,
                       in_place ? ", in place" : "");
  }
};

// One rank's part of a case.
template <class Problem>
class Trial {
 public:
  using Value = typename Problem::Value;

  Trial(const Case& c, Rank me, Rank ranks) : case_(c), me_(me), ranks_(ranks), input_(input_size()), output_(output_size()) {
    if (!has_input()) return;
    std::span<Value> in = input();
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = Problem::value(me_, i);
  }

  [[nodiscard]] Call call() {
    Call call{.collective = case_.collective,
              .input = has_input() ? input().data() : nullptr,
              .output = has_output() ? output().data() : nullptr,
              .count = case_.count,
              .type = Problem::kType,
              .op = Problem::op(),
              .root = case_.root,
              .algorithm = case_.algorithm};
    return call;
  }

  void check() {
    EXPECT_TRUE(input_.intact()) << "memory around the input was written";
    EXPECT_TRUE(output_.intact()) << "memory around the output was written";
    if (has_input() && !in_place()) check_input();
    if (!has_output()) return;
    const std::span<Value> out = output();
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < out.size(); ++i)
      if (const Value expected = answer(i); out[i] != expected && wrong++ == 0)
        ADD_FAILURE() << "output[" << i << "] is " << out[i] << ", should be " << expected;
    EXPECT_EQ(wrong, 0U) << "of " << out.size();
  }

 private:
  [[nodiscard]] bool root() const { return me_ == case_.root; }
  [[nodiscard]] std::size_t blocks() const { return static_cast<std::size_t>(ranks_); }
  [[nodiscard]] bool has_input() const {
    const auto c = case_.collective;
    return c != Collective::barrier && (root() || (c != Collective::broadcast && c != Collective::scatter));
  }
  [[nodiscard]] bool has_output() const {
    const auto c = case_.collective;
    return c != Collective::barrier && (root() || (c != Collective::reduce && c != Collective::gather));
  }
  [[nodiscard]] bool in_place() const { return case_.in_place && has_input() && has_output(); }
  [[nodiscard]] bool many_in() const {
    const auto c = case_.collective;
    return c == Collective::reduce_scatter || c == Collective::scatter || c == Collective::all_to_all;
  }
  [[nodiscard]] bool many_out() const {
    const auto c = case_.collective;
    return c == Collective::all_gather || c == Collective::gather || c == Collective::all_to_all;
  }
  [[nodiscard]] std::size_t input_size() const { return has_input() ? case_.count * (many_in() ? blocks() : 1) : 0; }
  [[nodiscard]] std::size_t output_size() const { return has_output() ? case_.count * (many_out() ? blocks() : 1) : 0; }
  [[nodiscard]] std::size_t own() const { return case_.count * static_cast<std::size_t>(me_); }

  // In place, the smaller buffer is this rank's block of the larger one.
  [[nodiscard]] std::span<Value> input() {
    if (!in_place() || many_in() || !many_out()) return input_.span();
    return output_.span().subspan(own(), case_.count);
  }
  [[nodiscard]] std::span<Value> output() {
    if (!in_place() || (many_out() && !many_in())) return output_.span();
    return many_in() && !many_out() ? input_.span().subspan(own(), case_.count) : input_.span();
  }

  void check_input() {
    const std::span<Value> in = input();
    for (std::size_t i = 0; i < in.size(); ++i)
      if (in[i] != Problem::value(me_, i)) {
        ADD_FAILURE() << "input[" << i << "] was changed to " << in[i];
        return;
      }
  }

  // Ranks [0, end) combined in ascending order.
  [[nodiscard]] static Value combined(Rank end, std::size_t i) {
    Value sum = Problem::value(0, i);
    for (Rank r = 1; r < end; ++r) sum = Problem::combine(sum, Problem::value(r, i));
    return sum;
  }

  [[nodiscard]] Value answer(std::size_t i) const {
    switch (case_.collective) {
      case Collective::all_reduce:
      case Collective::reduce:
        return combined(ranks_, i);
      case Collective::broadcast:
        return Problem::value(case_.root, i);
      case Collective::all_gather:
      case Collective::gather:
        return Problem::value(static_cast<Rank>(i / case_.count), i % case_.count);
      case Collective::reduce_scatter:
        return combined(ranks_, own() + i);
      case Collective::scatter:
        return Problem::value(case_.root, own() + i);
      case Collective::all_to_all:
        return Problem::value(static_cast<Rank>(i / case_.count), own() + i % case_.count);
      case Collective::scan:
        return combined(me_ + 1, i);
      case Collective::exscan:
        if (me_ > 0) return combined(me_, i);
        return in_place() ? Problem::value(me_, i) : Guarded<Value>::canary();
      case Collective::barrier:
      case Collective::send_recv:
        break;
    }
    return {};
  }

  Case case_;
  Rank me_, ranks_;
  Guarded<Value> input_, output_;
};

template <class Problem>
void run_case(Communicator& comm, const Case& c, Where where = Where::current()) {
  const testing::ScopedTrace trace(where.file_name(), static_cast<int>(where.line()), c.to_string());
  Trial<Problem> trial(c, comm.rank(), comm.size());
  auto s = comm.run(trial.call());
  ok(s, where);
  if (!s) return;
  trial.check();
  if (!c.algorithm.empty()) {
    EXPECT_EQ(comm.last_algorithm(), comm.size() == 1 ? "copy" : c.algorithm);
  }
}

}  // namespace tutti
