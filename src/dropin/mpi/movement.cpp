// Collectives that move data. All of it moves as bytes: ranks may have different types of one signature.
#include <array>

#include "mpi/sides.h"

namespace tutti::mpi {
namespace {

[[nodiscard]] bool is_rank(const Attached& a, int root) { return root >= 0 && root < a.size; }
[[nodiscard]] std::size_t own(const Attached& a) { return static_cast<std::size_t>(a.rank); }

// This rank's part of a side that holds `count` elements for each rank.
Block own_part(const Attached& a, const Block& one) {
  Block part = one;
  part.offset = a.rank * one.count * one.layout.extent;
  return part;
}
Block for_all(const Attached& a, Block one) {
  one.count *= a.size;
  return one;
}

struct Sides {
  const void* in = nullptr;
  std::span<const Block> in_blocks = {};
  void* out = nullptr;
  std::span<const Block> out_blocks = {};
  bool in_counted = false, out_counted = false;  // one block per rank, of different sizes
  bool keep_output = false;                      // it is where it belongs already
};

// `call` is not copied: a copy of what has just been written in pieces waits for them all.
int move(Attached& a, Call&& call, const Sides& s) {
  Wire in, out;
  if (!s.in_blocks.empty())
    if (const int code = wire_input(a, s.in, s.in_blocks, s.in_counted, in); code != kSuccess) return code;
  if (!s.out_blocks.empty())
    if (const int code = wire_output(a, s.out, s.out_blocks, s.out_counted, false, out); code != kSuccess) return code;
  call.input = in.data;
  call.output = out.data;
  if (s.in_counted) call.input_counts = a.input_counts, call.input_displacements = a.input_displacements;
  if (s.out_counted) call.output_counts = a.output_counts, call.output_displacements = a.output_displacements;
  a.bytes = std::max(in.span, out.span);
  if (a.checked && !s.keep_output) {
    const std::vector<Block> blocks(s.out_blocks.begin(), s.out_blocks.end());
    a.check.begin(a, s.out, blocks, blocks);
  }
  int code = run(a, call, in.span);
  // Blocks of the output that overlap are refused by tutti, but MPI libraries take them, and the other ranks are in the call.
  if (code == kForward && s.out_counted && !out.staged) {
    if (code = wire_output(a, s.out, s.out_blocks, true, true, out); code != kSuccess) return code;
    call.output = out.data;
    call.output_displacements = a.output_displacements;
    code = run(a, call, in.span);
  }
  if (code != kSuccess) return code;
  return s.keep_output ? kSuccess : deliver(a, out, s.out, s.out_blocks);
}

std::uint64_t bytes_of(const Block& block) { return static_cast<std::uint64_t>(block.bytes()); }

// Messages between the root and the others, whose sizes each pair of ranks knows alone.
class Messages {
 public:
  explicit Messages(Attached& a) : a_(a) {}
  int send(const std::byte* data, Count bytes, int to) {
    return add(
        {.collective = Collective::send_recv, .input = data, .count = static_cast<std::uint64_t>(bytes), .destination = to});
  }
  int receive(std::byte* data, Count bytes, int from) {
    return add({.collective = Collective::send_recv,
                .output = data,
                .source = from,
                .receive_count = static_cast<std::uint64_t>(bytes)});
  }
  int run() {
    auto status = group_.run();
    return status ? kSuccess : fail(a_, status.error());
  }

 private:
  int add(const Call& call) {
    if (call.count + call.receive_count == 0) return kSuccess;
    auto status = group_.add(*a_.communicator, call);
    if (status) return kSuccess;
    return status.error().code() == Code::invalid_argument ? kForward : fail(a_, status.error());
  }
  Attached& a_;
  Group group_;
};

// Where block r of a wire lies.
std::byte* part_of(const Wire& wire, std::span<const Block> blocks, const void* buffer, std::size_t r) {
  if (!wire.staged) return static_cast<std::byte*>(const_cast<void*>(buffer)) + blocks[r].offset;
  std::byte* at = wire.data;
  for (std::size_t i = 0; i < r; ++i) at += blocks[i].bytes();
  return at;
}

}  // namespace

int barrier(Attached& a) {
  a.bytes = 0;
  Call call;
  return run(a, call, 0);
}

int bcast(Attached& a, void* buffer, Count count, Handle type, int root) {
  if (!is_rank(a, root) || is_in_place(buffer)) return kForward;
  Block block;
  if (const int code = make_block(a, count, type, 0, block); code != kSuccess) return code;
  Call call{.collective = Collective::broadcast, .count = bytes_of(block), .root = root};
  if (a.rank != root) return move(a, std::move(call), {.out = buffer, .out_blocks = {&block, 1}});
  Wire wire;
  if (const int code = wire_input(a, buffer, {&block, 1}, false, wire); code != kSuccess) return code;
  call.input = call.output = wire.data;
  a.bytes = block.bytes();
  return run(a, call, wire.span);
}

int gather(Attached& a, const void* in, Count in_count, Handle in_type, void* out, Count out_count, Handle out_type, int root) {
  if (!is_rank(a, root)) return kForward;
  Block from, one, all;
  const bool at_root = a.rank == root;
  if (is_in_place(in) && !at_root) return kForward;
  if (at_root) {
    if (is_in_place(out)) return kForward;
    if (const int code = make_block(a, out_count, out_type, 0, one); code != kSuccess) return code;
    all = for_all(a, one);
  }
  Sides sides{.in = in, .in_blocks = {&from, 1}, .out = out, .out_blocks = {&all, at_root ? 1U : 0U}};
  if (is_in_place(in)) {
    from = own_part(a, one);
    sides.in = out;
  } else if (const int code = make_block(a, in_count, in_type, 0, from); code != kSuccess) {
    return code;
  }
  if (at_root && from.bytes() != one.bytes()) return sizes_differ(a, from.bytes(), one.bytes());
  return move(a, {.collective = Collective::gather, .count = bytes_of(at_root ? one : from), .root = root}, sides);
}

int scatter(Attached& a, const void* in, Count in_count, Handle in_type, void* out, Count out_count, Handle out_type, int root) {
  if (!is_rank(a, root)) return kForward;
  Block to, one, all;
  const bool at_root = a.rank == root;
  if (is_in_place(out) && !at_root) return kForward;
  if (at_root) {
    if (is_in_place(in)) return kForward;
    if (const int code = make_block(a, in_count, in_type, 0, one); code != kSuccess) return code;
    all = for_all(a, one);
  }
  Sides sides{.in = in, .in_blocks = {&all, at_root ? 1U : 0U}, .out = out, .out_blocks = {&to, 1}};
  if (is_in_place(out)) {
    to = own_part(a, one);
    sides.out = const_cast<void*>(in);
    sides.keep_output = true;
  } else if (const int code = make_block(a, out_count, out_type, 0, to); code != kSuccess) {
    return code;
  }
  if (at_root && to.bytes() != one.bytes()) return sizes_differ(a, one.bytes(), to.bytes());
  return move(a, {.collective = Collective::scatter, .count = bytes_of(at_root ? one : to), .root = root}, sides);
}

int gatherv(Attached& a, const void* in, Count in_count, Handle in_type, void* out, Numbers counts, Numbers displacements,
            Handle out_type, int root) {
  if (!is_rank(a, root)) return kForward;
  const bool at_root = a.rank == root;
  if ((is_in_place(in) && !at_root) || (at_root && is_in_place(out))) return kForward;
  Block from;
  if (!is_in_place(in))
    if (const int code = make_block(a, in_count, in_type, 0, from); code != kSuccess) return code;
  Messages messages(a);
  Wire wire;
  if (!at_root) {
    if (const int code = wire_input(a, in, {&from, 1}, false, wire); code != kSuccess) return code;
    a.bytes = from.bytes();
    if (const int code = messages.send(wire.data, from.bytes(), root); code != kSuccess) return code;
    return messages.run();
  }
  auto& blocks = a.output_blocks;
  if (const int code = make_blocks(a, counts, displacements, out_type, blocks); code != kSuccess) return code;
  if (a.checked) a.check.begin(a, out, blocks, blocks);
  if (!is_in_place(in))
    if (const int code = copy_block(a, in, from, out, blocks[own(a)]); code != kSuccess) return code;
  blocks[own(a)].count = 0;
  if (const int code = wire_output(a, out, blocks, false, false, wire); code != kSuccess) return code;
  a.bytes = wire.span;
  for (int r = 0; r < a.size; ++r) {
    const auto i = static_cast<std::size_t>(r);
    if (const int code = messages.receive(part_of(wire, blocks, out, i), blocks[i].bytes(), r); code != kSuccess) return code;
  }
  if (const int code = messages.run(); code != kSuccess) return code;
  return deliver(a, wire, out, blocks);
}

int scatterv(Attached& a, const void* in, Numbers counts, Numbers displacements, Handle in_type, void* out, Count out_count,
             Handle out_type, int root) {
  if (!is_rank(a, root)) return kForward;
  const bool at_root = a.rank == root;
  if ((is_in_place(out) && !at_root) || (at_root && is_in_place(in))) return kForward;
  Block to;
  if (!is_in_place(out)) {
    if (const int code = make_block(a, out_count, out_type, 0, to); code != kSuccess) return code;
    if (a.checked) a.check.begin(a, out, {to}, {to});
  }
  Messages messages(a);
  Wire wire;
  if (!at_root) {
    if (const int code = wire_output(a, out, {&to, 1}, false, false, wire); code != kSuccess) return code;
    a.bytes = to.bytes();
    if (const int code = messages.receive(wire.data, to.bytes(), root); code != kSuccess) return code;
    if (const int code = messages.run(); code != kSuccess) return code;
    return deliver(a, wire, out, {&to, 1});
  }
  auto& blocks = a.input_blocks;
  if (const int code = make_blocks(a, counts, displacements, in_type, blocks); code != kSuccess) return code;
  if (!is_in_place(out))
    if (const int code = copy_block(a, in, blocks[own(a)], out, to); code != kSuccess) return code;
  blocks[own(a)].count = 0;
  if (const int code = wire_input(a, in, blocks, false, wire); code != kSuccess) return code;
  a.bytes = wire.span;
  for (int r = 0; r < a.size; ++r) {
    const auto i = static_cast<std::size_t>(r);
    if (const int code = messages.send(part_of(wire, blocks, in, i), blocks[i].bytes(), r); code != kSuccess) return code;
  }
  return messages.run();
}

int allgather(Attached& a, const void* in, Count in_count, Handle in_type, void* out, Count out_count, Handle out_type) {
  if (is_in_place(out)) return kForward;
  Block from, one;
  if (const int code = make_block(a, out_count, out_type, 0, one); code != kSuccess) return code;
  const Block all = for_all(a, one);
  Sides sides{.in = in, .in_blocks = {&from, 1}, .out = out, .out_blocks = {&all, 1}};
  if (is_in_place(in)) {
    from = own_part(a, one);
    sides.in = out;
  } else if (const int code = make_block(a, in_count, in_type, 0, from); code != kSuccess) {
    return code;
  }
  if (from.bytes() != one.bytes()) return sizes_differ(a, from.bytes(), one.bytes());
  return move(a, {.collective = Collective::all_gather, .count = bytes_of(one)}, sides);
}

int allgatherv(Attached& a, const void* in, Count in_count, Handle in_type, void* out, Numbers counts, Numbers displacements,
               Handle out_type) {
  if (is_in_place(out)) return kForward;
  auto& blocks = a.output_blocks;
  if (const int code = make_blocks(a, counts, displacements, out_type, blocks); code != kSuccess) return code;
  Block from = blocks[own(a)];
  if (!is_in_place(in))
    if (const int code = make_block(a, in_count, in_type, 0, from); code != kSuccess) return code;
  if (from.bytes() != blocks[own(a)].bytes()) return sizes_differ(a, from.bytes(), blocks[own(a)].bytes());
  const Sides sides{
      .in = is_in_place(in) ? out : in, .in_blocks = {&from, 1}, .out = out, .out_blocks = blocks, .out_counted = true};
  return move(a, {.collective = Collective::all_gather, .count = bytes_of(from)}, sides);
}

int alltoall(Attached& a, const void* in, Count in_count, Handle in_type, void* out, Count out_count, Handle out_type) {
  if (is_in_place(out)) return kForward;
  Block from, to;
  if (const int code = make_block(a, out_count, out_type, 0, to); code != kSuccess) return code;
  const auto count = bytes_of(to);
  to = for_all(a, to);
  if (is_in_place(in)) {
    from = to;
    in = out;
  } else {
    if (const int code = make_block(a, in_count, in_type, 0, from); code != kSuccess) return code;
    from = for_all(a, from);
  }
  if (from.bytes() != to.bytes()) return sizes_differ(a, from.bytes() / a.size, to.bytes() / a.size);
  return move(a, {.collective = Collective::all_to_all, .count = count},
              {.in = in, .in_blocks = {&from, 1}, .out = out, .out_blocks = {&to, 1}});
}

namespace {

template <class Types>
int alltoall_blocks(Attached& a, const void* in, Numbers in_counts, Numbers in_displacements, Types in_types, void* out,
                    Numbers out_counts, Numbers out_displacements, Types out_types) {
  if (is_in_place(out)) return kForward;
  if (const int code = make_blocks(a, out_counts, out_displacements, out_types, a.output_blocks); code != kSuccess) return code;
  if (is_in_place(in)) {
    a.input_blocks = a.output_blocks;
    in = out;
  } else if (const int code = make_blocks(a, in_counts, in_displacements, in_types, a.input_blocks); code != kSuccess) {
    return code;
  }
  return move(a, {.collective = Collective::all_to_all},
              {.in = in,
               .in_blocks = a.input_blocks,
               .out = out,
               .out_blocks = a.output_blocks,
               .in_counted = true,
               .out_counted = true});
}

}  // namespace

int alltoallv(Attached& a, const void* in, Numbers in_counts, Numbers in_displacements, Handle in_type, void* out,
              Numbers out_counts, Numbers out_displacements, Handle out_type) {
  return alltoall_blocks(a, in, in_counts, in_displacements, in_type, out, out_counts, out_displacements, out_type);
}

int alltoallw(Attached& a, const void* in, Numbers in_counts, Numbers in_displacements, const void* in_types, void* out,
              Numbers out_counts, Numbers out_displacements, const void* out_types) {
  return alltoall_blocks(a, in, in_counts, in_displacements, in_types, out, out_counts, out_displacements, out_types);
}

}  // namespace tutti::mpi
