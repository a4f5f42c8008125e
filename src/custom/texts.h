// Algorithms written down as schedules: the text form of all ranks, for the numbers of ranks and roots that a file has.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tutti/algorithm.h"
#include "tutti/result.h"

namespace tutti {

struct ScheduleText {
  std::string file;  // for errors
  std::string text;
};

// All ranks' schedules of one shape, proved.
struct TextShape {
  Rank ranks = 1, root = 0;
  std::size_t line = 0;  // where the first of them begins
  // By rank. In place is as it was given, or made of the other.
  std::vector<Schedule> out_of_place, in_place;
  bool commutative = false, equal_blocks = false;  // what it needs
};

struct TextAlgorithm {
  Collective collective = Collective::all_reduce;
  std::string name, file;
  std::vector<TextShape> shapes;
  std::uint64_t hash = 0;  // of all that matters
};

// Parses and proves. Errors name the file, the line where the schedule begins or the parser stopped, and the verifier's reason.
[[nodiscard]] Result<std::vector<TextAlgorithm>> prove_texts(std::span<const ScheduleText> texts);

// The algorithm as a row for so many ranks in these levels (null: flat), priced by what the verifier measures.
[[nodiscard]] Result<std::shared_ptr<const Algorithm>> text_row(std::shared_ptr<const TextAlgorithm> text, Rank ranks,
                                                                const std::vector<Grouping>* levels);

}  // namespace tutti
