// Which algorithm would serve a call on a machine: what `explain` and `schedule` ask the selector.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/contract.h"
#include "cli/own.h"
#include "cli/perf_device.h"
#include "runtime/device_ways.h"
#include "select/select.h"

namespace CLI {
class App;
}

namespace tutti {

inline constexpr Rank kMostRanks = 1 << 20;

// As on the command line.
struct Question {
  std::string collective, bytes = "1M", topology, algorithm, filter, on;
  std::string forced_by = "--algorithm", filtered_by = "--filter";
  OwnAlgorithms own;
  AskedContract contract;
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
// Leaves where the question makes no sense. Where it names no algorithms, the variables do.
[[nodiscard]] Answer ask(Question& question);

struct DeviceAnswer {
  std::unique_ptr<DeviceWays> ways;
  DeviceExplanation explanation;  // refers to them, and to the question
};
// The same of a call on the memory of GPUs, which the ranks take in turns, or all the one that is named.
[[nodiscard]] DeviceAnswer ask_of_devices(Question& question, const DeviceChoice& choice);

// The call that is asked about, without buffers. Refers to the question.
struct AskedCall {
  Call call;
  std::vector<std::uint64_t> counts;  // that the call refers to
};
[[nodiscard]] AskedCall call_of(const Question& question, Rank ranks);
// Of as many bytes, or a few more.
void in_f32(AskedCall& asked);

[[nodiscard]] Collective collective_of(std::string_view text);   // leaves where it has no algorithms
void check_root(Rank root, Rank ranks);                          // leaves where it is none of them
[[nodiscard]] std::uint64_t bytes_of(const Question& question);  // a barrier has none

}  // namespace tutti
