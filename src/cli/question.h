// Which algorithm would serve a call on a machine: what `explain` and `schedule` ask the selector.
#pragma once

#include <string>

#include "select/select.h"

namespace CLI {
class App;
}

namespace tutti {

// As on the command line.
struct Question {
  std::string collective, bytes = "1M", topology, algorithm;
  Rank ranks = 0, root = 0;
  bool ordered = false, uneven = false;
};

// The positional COLLECTIVE and the options, but for --bytes, whose meaning differs. `question` must outlive the parsing.
void add_question(CLI::App& command, Question& question);

struct Answer {
  SelectRequest request;  // refers to the question
  JobMachine machine;
  Selection selection;
};
// Leaves where the question makes no sense.
[[nodiscard]] Answer ask(const Question& question);

// What the question is about; leaves where it makes no sense.
[[nodiscard]] Collective collective_of(const Question& question);
[[nodiscard]] std::uint64_t bytes_of(const Question& question);  // a barrier has none

}  // namespace tutti
