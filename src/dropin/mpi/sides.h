// The two sides of a call: blocks of the program's types, and the bytes that tutti moves.
#pragma once

#include <span>

#include "mpi/attached.h"
#include "mpi/calls.h"

namespace tutti::mpi {

[[nodiscard]] inline bool is_in_place(const void* buffer) { return buffer == abi().in_place; }

// `count` elements; kForward for what MPI refuses.
int make_block(const Attached& a, Count count, Handle type, Aint offset, Block& block);
// One block for every rank, as counts and displacements (in elements of the type) say.
int make_blocks(const Attached& a, Numbers counts, Numbers displacements, Handle type, std::vector<Block>& blocks);
// The same with a type for each rank, and displacements in bytes.
int make_blocks(const Attached& a, Numbers counts, Numbers displacements, const void* types, std::vector<Block>& blocks);

// A side in tutti's terms: bytes of the blocks one after the other, or at displacements.
struct Wire {
  std::byte* data = nullptr;
  bool staged = false;  // packed, in memory of our own
  Count span = 0;       // from the first byte to the end of the last
};
// Pack where they must, or are told to. `counted`: the call needs counts and displacements, which are then filled in, in bytes.
int wire_input(Attached& a, const void* buffer, std::span<const Block> blocks, bool counted, Wire& wire);
int wire_output(Attached& a, const void* buffer, std::span<const Block> blocks, bool counted, bool staged, Wire& wire);
// Brings a staged output to where it belongs.
int deliver(Attached& a, const Wire& wire, void* buffer, std::span<const Block> blocks);

// What a block holds goes to another one of equal signature on this rank.
int copy_block(Attached& a, const void* from, const Block& in, void* to, const Block& out);

// Runs a call that has been brought into tutti's terms; `span` is that of its input.
int run(Attached& a, Call& call, Count span);
// Tells the user and MPI's error handler.
int fail(Attached& a, const Error& error);
int out_of_memory(Attached& a, Count bytes);
// What a rank sends to itself is not what it receives from itself.
int sizes_differ(Attached& a, Count sent, Count received);

}  // namespace tutti::mpi
