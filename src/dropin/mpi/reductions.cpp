// Collectives that reduce. A predefined operator on a type that tutti has is tutti's own; everything else (pairs, long double,
// derived types, the program's operators) travels packed and is combined by MPI_Reduce_local.
#include <climits>

#include "mpi/sides.h"

namespace tutti::mpi {
namespace {

constexpr std::size_t kCombinedAtOnce = 1 << 18;  // bytes, where elements have to be unpacked first

// inout = in op inout, of packed elements.
void combine(const void* in, void* inout, std::size_t count, DataType /*type*/, void* context) noexcept {
  auto& c = *static_cast<Combiner*>(context);
  const auto size = static_cast<std::size_t>(c.layout.size);
  const auto* from = static_cast<const std::byte*>(in);
  auto* to = static_cast<std::byte*>(inout);
  if (c.layout.dense) {
    for (std::size_t done = 0; done < count; done += INT_MAX)
      pmpi::reduce_local(from + done * size, to + done * size, static_cast<int>(std::min<std::size_t>(count - done, INT_MAX)),
                         c.type, c.op);
    return;
  }
  const auto extent = static_cast<std::size_t>(std::max<Aint>(1, std::abs(c.layout.extent)));
  const std::size_t at_once = std::clamp<std::size_t>(kCombinedAtOnce / extent, 1, INT_MAX);
  for (std::size_t done = 0; done < count; done += at_once) {
    const auto n = static_cast<Count>(std::min(at_once, count - done));
    const Aint low = c.layout.low(n), high = c.layout.high(n);
    c.in.resize(static_cast<std::size_t>(high - low));
    c.inout.resize(c.in.size());
    std::byte *a = c.in.data() - low, *b = c.inout.data() - low;
    unpack(from + done * size, a, n, c.type, c.layout, c.comm);
    unpack(to + done * size, b, n, c.type, c.layout, c.comm);
    pmpi::reduce_local(a, b, static_cast<int>(n), c.type, c.op);
    pack(b, n, c.type, c.layout, to + done * size, c.comm);
  }
}

// The operator in tutti's terms. All ranks call with equal types and operators, so that giving a call back is no local matter.
int translate(Attached& a, Handle op, const Block& block, Call& call) {
  op = abi().cut(op);
  if (op == abi().op_null || block.layout.size == 0) return kForward;
  const OpRow* known = find_op(op);
  const TypeRow* type = block.layout.row;
  if (known != nullptr && (type == nullptr || !defined(*known, *type))) return kForward;
  if (known != nullptr && known->native && type->native) {
    call.type = *type->native;
    call.op.kind = *known->native;
    return kSuccess;
  }
  int commutative = 1;
  if (known == nullptr)
    if (const int code = pmpi::op_commutative(op, &commutative); code != kSuccess) return code;
  a.combiner.type = block.type;
  a.combiner.op = op;
  a.combiner.comm = a.handle;
  a.combiner.layout = block.layout;
  call.op = {.kind = ReduceKind::user,
             .commutative = commutative != 0,
             .user = {.apply = combine, .context = &a.combiner, .element_bytes = static_cast<std::size_t>(block.layout.size)}};
  return kSuccess;
}

struct Reduction {
  Count in_count = 0, out_count = 0;
  bool has_output = true;
  bool staged_output = false;
  Count first = 0;  // element of the input that the output begins with
};

void remember(Attached& a, const void* in, void* out, const Block& from, const Block& to, Handle op, const Reduction& r) {
  if (r.has_output) a.check.begin(a, out, {to}, {in == out ? from : to});
  const OpRow* known = find_op(abi().cut(op));
  const TypeRow* type = from.layout.row;
  if (known == nullptr || !known->native || (type->type_class != TypeClass::floating && type->type_class != TypeClass::complex))
    return;
  if (*known->native == ReduceKind::sum || *known->native == ReduceKind::prod)
    a.check.allow_rounding(a, *known->native == ReduceKind::prod, in, from, r.first);
}

// The common case, which needs no layouts: an operator and a type that tutti has. False for every other.
bool is_native(Attached& a, Handle type, Handle op, const Reduction& r, Call& call) {
  if (a.checked || r.staged_output || r.in_count < 0) return false;
  const TypeRow* known_type = find_type(abi().cut(type));
  const OpRow* known_op = find_op(abi().cut(op));
  if (known_type == nullptr || known_op == nullptr || !known_type->native || !known_op->native) return false;
  if (!defined(*known_op, *known_type)) return false;
  call.type = *known_type->native;
  call.op.kind = *known_op->native;
  a.bytes = r.in_count * static_cast<Count>(size_of(call.type));
  return true;
}

// `call` lacks type, operator and buffers. It is not copied: a copy of what has just been written in pieces waits for them all.
int reduce_by(Attached& a, Call&& call, const void* in, void* out, Handle type, Handle op, const Reduction& r) {
  if (r.has_output && is_in_place(out)) return kForward;
  if (is_native(a, type, op, r, call)) {
    call.input = is_in_place(in) ? out : in;
    call.output = r.has_output ? out : nullptr;
    return run(a, call, a.bytes);
  }
  Block from, to;
  if (const int code = make_block(a, r.in_count, type, 0, from); code != kSuccess) return code;
  if (const int code = translate(a, op, from, call); code != kSuccess) return code;
  Wire input, output;
  if (const int code = wire_input(a, is_in_place(in) ? out : in, {&from, 1}, false, input); code != kSuccess) return code;
  if (r.has_output) {
    to = from;
    to.count = r.out_count;
    if (const int code = wire_output(a, out, {&to, 1}, false, r.staged_output, output); code != kSuccess) return code;
  }
  call.input = input.data;
  call.output = output.data;
  a.bytes = from.bytes();
  if (a.checked) remember(a, is_in_place(in) ? out : in, out, from, to, op, r);
  if (const int code = run(a, call, input.span); code != kSuccess) return code;
  return r.has_output ? deliver(a, output, out, {&to, 1}) : kSuccess;
}

}  // namespace

int allreduce(Attached& a, const void* in, void* out, Count count, Handle type, Handle op) {
  return reduce_by(a, {.collective = Collective::all_reduce, .count = static_cast<std::uint64_t>(count)}, in, out, type, op,
                   {.in_count = count, .out_count = count});
}

int reduce(Attached& a, const void* in, void* out, Count count, Handle type, Handle op, int root) {
  if (root < 0 || root >= a.size || (is_in_place(in) && a.rank != root)) return kForward;
  return reduce_by(a, {.collective = Collective::reduce, .count = static_cast<std::uint64_t>(count), .root = root}, in, out, type,
                   op, {.in_count = count, .out_count = count, .has_output = a.rank == root});
}

// In place, MPI wants the result at the start of the buffer, tutti at its own block: it goes by way of memory of our own.
int reduce_scatter_block(Attached& a, const void* in, void* out, Count count, Handle type, Handle op) {
  return reduce_by(a, {.collective = Collective::reduce_scatter, .count = static_cast<std::uint64_t>(count)}, in, out, type, op,
                   {.in_count = count * a.size, .out_count = count, .staged_output = is_in_place(in), .first = count * a.rank});
}

int reduce_scatter(Attached& a, const void* in, void* out, Numbers counts, Handle type, Handle op) {
  Count sum = 0, first = 0;
  a.input_counts.clear();
  for (std::size_t r = 0; r < static_cast<std::size_t>(a.size); ++r) {
    if (counts[r] < 0) return kForward;
    a.input_counts.push_back(static_cast<std::uint64_t>(counts[r]));
    if (r < static_cast<std::size_t>(a.rank)) first += counts[r];
    sum += counts[r];
  }
  const Count mine = counts[static_cast<std::size_t>(a.rank)];
  return reduce_by(
      a, {.collective = Collective::reduce_scatter, .count = static_cast<std::uint64_t>(mine), .input_counts = a.input_counts},
      in, out, type, op, {.in_count = sum, .out_count = mine, .staged_output = is_in_place(in), .first = first});
}

int scan(Attached& a, const void* in, void* out, Count count, Handle type, Handle op) {
  return reduce_by(a, {.collective = Collective::scan, .count = static_cast<std::uint64_t>(count)}, in, out, type, op,
                   {.in_count = count, .out_count = count});
}

// Rank 0 receives nothing; in place, its buffer stays as it is.
int exscan(Attached& a, const void* in, void* out, Count count, Handle type, Handle op) {
  if (is_in_place(out)) return kForward;
  return reduce_by(a, {.collective = Collective::exscan, .count = static_cast<std::uint64_t>(count)}, in, out, type, op,
                   {.in_count = count, .out_count = count, .has_output = a.rank != 0});
}

}  // namespace tutti::mpi
