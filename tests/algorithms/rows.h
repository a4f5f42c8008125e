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

}  // namespace tutti
