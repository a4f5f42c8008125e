#include "mpi/sides.h"

#include <fmt/format.h>

#include "core/log.h"

namespace tutti::mpi {
namespace {

bool dense(std::span<const Block> blocks) {
  return std::ranges::all_of(blocks, [](const Block& b) { return b.layout.dense || b.bytes() == 0; });
}

void fill_counts(std::span<const Block> blocks, std::vector<std::uint64_t>& counts) {
  counts.clear();
  for (const Block& b : blocks) counts.push_back(static_cast<std::uint64_t>(b.bytes()));
}

// Tutti's displacements are not negative: they count from the first block in memory.
void wire_in_place(const void* buffer, std::span<const Block> blocks, std::vector<std::uint64_t>* displacements, Wire& wire) {
  Aint first = 0, end = 0;
  bool any = false;
  for (const Block& b : blocks) {
    if (b.bytes() == 0) continue;
    first = any ? std::min(first, b.offset) : b.offset;
    end = any ? std::max(end, b.offset + b.bytes()) : b.offset + b.bytes();
    any = true;
  }
  wire = {static_cast<std::byte*>(const_cast<void*>(buffer)) + first, false, end - first};
  if (displacements == nullptr) return;
  displacements->clear();
  for (const Block& b : blocks) displacements->push_back(b.bytes() == 0 ? 0 : static_cast<std::uint64_t>(b.offset - first));
}

int class_of(Code code) {
  switch (code) {
    case Code::mismatch:
      return abi().err_truncate;
    case Code::peer_lost:
      return abi().err_proc_failed;
    case Code::resource:
      return abi().err_no_mem;
    default:
      return abi().err_other;
  }
}

}  // namespace

int make_block(const Attached& a, Count count, Handle type, Aint offset, Block& block) {
  type = abi().cut(type);
  if (count == 0 && type == abi().type_null) {  // some libraries let ranks that have nothing say so
    block = {.layout = {.dense = true}};
    return kSuccess;
  }
  if (count < 0 || type == abi().type_null) return kForward;
  block.count = count;
  block.offset = offset;
  block.type = type;
  return layout_of(type, a.handle, block.layout);
}

int make_blocks(const Attached& a, Numbers counts, Numbers displacements, Handle type, std::vector<Block>& blocks) {
  Block block;
  if (const int code = make_block(a, 0, type, 0, block); code != kSuccess) return code;
  blocks.assign(static_cast<std::size_t>(a.size), block);
  for (std::size_t r = 0; r < blocks.size(); ++r) {
    blocks[r].count = counts[r];
    blocks[r].offset = counts[r] == 0 ? 0 : displacements[r] * block.layout.extent;
    if (counts[r] < 0) return kForward;
  }
  return kSuccess;
}

int make_blocks(const Attached& a, Numbers counts, Numbers displacements, const void* types, std::vector<Block>& blocks) {
  blocks.resize(static_cast<std::size_t>(a.size));
  for (std::size_t r = 0; r < blocks.size(); ++r)
    if (const int code = make_block(a, counts[r], abi().read(types, r), displacements[r], blocks[r]); code != kSuccess)
      return code;
  return kSuccess;
}

int wire_input(Attached& a, const void* buffer, std::span<const Block> blocks, bool counted, Wire& wire) {
  if (counted) fill_counts(blocks, a.input_counts);
  a.input_displacements.clear();
  if (dense(blocks)) {
    wire_in_place(buffer, blocks, counted ? &a.input_displacements : nullptr, wire);
    return kSuccess;
  }
  const Count bytes = total_bytes(blocks);
  wire = {a.input.reserve(static_cast<std::uint64_t>(bytes), first_byte(buffer, blocks)), true, bytes};
  if (wire.data == nullptr) return out_of_memory(a, bytes);
  return pack(buffer, blocks, wire.data, a.handle);
}

int wire_output(Attached& a, const void* buffer, std::span<const Block> blocks, bool counted, bool staged, Wire& wire) {
  if (counted) fill_counts(blocks, a.output_counts);
  a.output_displacements.clear();
  if (!staged && dense(blocks)) {
    wire_in_place(buffer, blocks, counted ? &a.output_displacements : nullptr, wire);
    return kSuccess;
  }
  const Count bytes = total_bytes(blocks);
  wire = {a.output.reserve(static_cast<std::uint64_t>(bytes), first_byte(buffer, blocks)), true, bytes};
  return wire.data == nullptr && bytes > 0 ? out_of_memory(a, bytes) : kSuccess;
}

int deliver(Attached& a, const Wire& wire, void* buffer, std::span<const Block> blocks) {
  return wire.staged ? unpack(wire.data, buffer, blocks, a.handle) : kSuccess;
}

int copy_block(Attached& a, const void* from, const Block& in, void* to, const Block& out) {
  if (in.bytes() != out.bytes()) return sizes_differ(a, in.bytes(), out.bytes());
  if (in.bytes() == 0) return kSuccess;
  std::byte* packed = a.aside.reserve(static_cast<std::uint64_t>(in.bytes()), nullptr);
  if (packed == nullptr) return out_of_memory(a, in.bytes());
  const auto* source = static_cast<const std::byte*>(from) + in.offset;
  if (const int code = pack(source, in.count, in.type, in.layout, packed, a.handle); code != kSuccess) return code;
  return unpack(packed, static_cast<std::byte*>(to) + out.offset, out.count, out.type, out.layout, a.handle);
}

int run(Attached& a, Call& call, Count span) {
  auto status = a.communicator->run(call);
  if (status) [[likely]]
    return kSuccess;
  if (status.error().code() != Code::invalid_argument) return fail(a, status.error());
  // MPI lets the input lie between the blocks of the output; tutti does not.
  if (call.input != nullptr && call.output != nullptr && call.input != call.output && span > 0) {
    std::byte* aside = a.aside.reserve(static_cast<std::uint64_t>(span), call.input);
    if (aside == nullptr) return out_of_memory(a, span);
    if (auto s = copy_bytes(aside, call.input, static_cast<std::size_t>(span)); !s) return fail(a, s.error());
    call.input = aside;
    status = a.communicator->run(call);
    if (status) return kSuccess;
    if (status.error().code() != Code::invalid_argument) return fail(a, status.error());
  }
  log(LogLevel::info, fmt::format("left to the MPI library: {}", status.error().to_string()));
  return kForward;
}

int fail(Attached& a, const Error& error) {
  if (!a.failed) log(LogLevel::error, fmt::format("rank {} of an MPI communicator of {}: {}", a.rank, a.size, error.to_string()));
  a.failed = true;
  const int code = class_of(error.code());
  pmpi::comm_call_errhandler(a.handle, code);
  return code;
}

namespace {

// The others may be in this call already.
int give_up(Attached& a, Code code, const std::string& why) {
  a.communicator->abort(why);
  return fail(a, {code, why, a.rank});
}

}  // namespace

int out_of_memory(Attached& a, Count bytes) {
  return give_up(a, Code::resource, fmt::format("rank {} has no memory for {} bytes", a.rank, bytes));
}

int sizes_differ(Attached& a, Count sent, Count received) {
  return give_up(a, Code::mismatch, fmt::format("rank {} sends {} bytes to itself where it receives {}", a.rank, sent, received));
}

}  // namespace tutti::mpi
