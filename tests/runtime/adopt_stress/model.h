// What all ranks' buffers hold, as every rank works it out for itself.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tutti/communicator.h"

namespace tutti::stress {

// The ranks of the job that form communicators together, by their places there. Every rank is in one of them.
using Groups = std::vector<std::vector<Rank>>;

// Of a buffer, in words.
struct Part {
  std::size_t buffer = 0, first = 0, count = 0;
};
inline bool overlap(const Part& a, const Part& b) {
  return a.buffer == b.buffer && a.first < b.first + b.count && b.first < a.first + a.count;
}

// A call on a communicator of `size` ranks, or of less.
struct Plan {
  Collective collective = Collective::all_reduce;
  std::size_t communicator = 0;
  std::size_t count = 0;  // words, as Call has it
  std::size_t root = 0;   // modulo the ranks there are
  bool in_place = false;
  Part input, output;  // all that the call may touch; the same where it is in place
  std::string algorithm;

  [[nodiscard]] std::string to_string() const;
};

// As many blocks of Plan::count as there are ranks, or one.
bool input_is_of_all(Collective collective);
bool output_is_of_all(Collective collective);

struct Slot {
  std::size_t size = 0;  // words; 0: there is no such buffer
  std::uint64_t made = 0;
  std::vector<std::vector<std::uint32_t>> of_rank;
};

// How a call finds its data on the rank with this place: where the input begins, and the output, in words of their buffers.
struct Places {
  std::size_t input = 0, output = 0;
};
Places places(const Plan& plan, std::size_t place);

// Does the call to the model, on the communicator of these ranks.
void apply(const Plan& plan, const std::vector<Rank>& ranks, std::vector<Slot>& slots);

}  // namespace tutti::stress
