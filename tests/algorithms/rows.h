// The rows of the table as parameters of a test.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "algorithms/registry.h"

namespace tutti {

class Row : public testing::TestWithParam<const Algorithm*> {};

inline std::string row_name(const testing::TestParamInfo<const Algorithm*>& info) {
  return std::string(name(info.param->collective)) + "_" + std::string(info.param->name);
}

inline std::vector<const Algorithm*> rows() {
  std::vector<const Algorithm*> all;
  for (const Algorithm& a : algorithms()) all.push_back(&a);
  return all;
}

inline std::vector<std::uint32_t> all_radices() { return {std::begin(kRadices), std::end(kRadices)}; }
// 2 and another one, in turns: each comes with many numbers of ranks.
inline std::vector<std::uint32_t> some_radices(Rank ranks) {
  const auto all = all_radices();
  return {2, all[1 + static_cast<std::size_t>(ranks) % (all.size() - 1)]};
}

}  // namespace tutti
