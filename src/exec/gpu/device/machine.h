// What device code asks of a machine. There are two: CudaMachine (cuda_machine.h) and, for tests, HostMachine (host_machine.h).
//
// A Machine has these functions, all of them constexpr in name, so that nvcc takes the code that calls them for a GPU's:
//   half_to_float, float_to_half        f16, rounded to nearest even
//   load, store                         a Word at an address that is a multiple of 16
//   load_acquire, store_release         a 64-bit number that another GPU's, or the host's, threads see
//   load_flag, store_flag               a 32-bit number that streams write and wait for
//   load_pair, store_pair               two 64-bit numbers, each of them whole, in no order
//   load_line, store_line               a thread's word of a line (interpret.h, ll128)
// and an object of it is a block, seen from within:
//   each_thread(f), one(f), barrier()   see interpret.h
//   block, blocks, shared               which block of how many, and its shared memory
//   stop, stop_line                     between two looks at what a thread waits for: whether to give up; for all threads of a
//   line alike
#pragma once

#include <cstddef>
#include <cstdint>

namespace tutti::device {

// Which of the threads at work this is.
struct Threads {
  std::uint64_t index, count;
};

// What one load or store moves where alignment allows.
struct alignas(16) Word {
  std::uint32_t part[4];
};

struct Pair {
  std::uint64_t first, second;
};

}  // namespace tutti::device
