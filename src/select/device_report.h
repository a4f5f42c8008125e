// Why devices would do a call one way rather than another, for people and programs.
#pragma once

#include <optional>

#include "select/devices.h"

namespace tutti {

inline constexpr std::string_view kOnePassName = "one_pass";  // where algorithms have theirs

// One way to do a call on devices.
struct DeviceWay {
  std::optional<KernelProtocol> protocol = {};  // none: operations of streams
  bool one_pass = false;                        // which do the call for all ranks at once, by no algorithm
  unsigned channels = 1;
  Candidate candidate = {};
  double turns = 1;          // pieces, one after the other, each with its latency
  double us = 0;             // predicted, with the launch
  std::string refused = {};  // empty: may be used

  [[nodiscard]] std::string_view algorithm() const { return one_pass ? kOnePassName : candidate.algorithm->name; }
};

struct ExplainedWay {
  DeviceWay way;
  JobMachine machine = {};   // that it was priced on
  Selection selection = {};  // of algorithms there; no candidates where the way is refused
};

// Refers to what it explains.
struct DeviceExplanation {
  SelectRequest request;
  Rank ranks = 1;
  const DeviceLayout* layout = nullptr;  // nullptr: nobody knows the devices
  std::vector<ExplainedWay> ways;        // those that may be used first, cheapest first
  std::string left_to_host = {};         // why the host does it; empty: devices do
  [[nodiscard]] const ExplainedWay* chosen() const {
    return !left_to_host.empty() || ways.empty() || !ways.front().way.refused.empty() ? nullptr : &ways.front();
  }
};

[[nodiscard]] std::string render(const DeviceExplanation& explanation);
[[nodiscard]] std::string to_json(const DeviceExplanation& explanation);

}  // namespace tutti
