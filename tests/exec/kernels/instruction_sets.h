// Runs a test once on every instruction set the library has kernels for and this machine can execute.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace tutti::test {

struct InstructionSet {
  std::int64_t mask;  // of targets that Highway may choose from
  std::string name;   // what it then chooses
};

inline void allow(std::int64_t mask) {
  hwy::SetSupportedTargetsForTest(mask);
  hwy::GetChosenTarget().DeInit();
}

// Forbids the best set, then the next one, until the portable fallback is left.
inline std::vector<InstructionSet> instruction_sets() {
  std::vector<InstructionSet> found;
  for (std::int64_t mask = hwy::SupportedTargets(); mask != 0; mask &= mask - 1) {
    allow(mask);
    const std::string name(kernels::instruction_set());
    if (found.empty() || found.back().name != name) found.push_back({mask, name});
  }
  allow(0);
  return found;
}

class EveryInstructionSet : public testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override { allow(GetParam().mask); }
  void TearDown() override { allow(0); }
};

inline std::string instruction_set_name(const testing::TestParamInfo<InstructionSet>& info) { return info.param.name; }
inline void PrintTo(const InstructionSet& set, std::ostream* out) { *out << set.name; }

}  // namespace tutti::test
