#include "topology/cpus.h"

#include <gtest/gtest.h>

namespace tutti {
namespace {

TEST(Cpus, ListsGoThereAndBack) {
  for (const std::vector<int>& cpus : {std::vector<int>{}, {0}, {0, 1, 2, 3, 8}, {1, 3, 5}, {7, 8}, {0, 1048575}}) {
    const auto back = parse_cpus(format_cpus(cpus));
    ASSERT_TRUE(back.has_value()) << format_cpus(cpus);
    EXPECT_EQ(*back, cpus);
  }
  EXPECT_EQ(format_cpus(std::vector<int>{0, 1, 2, 3, 8}), "0-3,8");
}

TEST(Cpus, MalformedListsAreRefused) {
  for (const char* text : {"a", "1,", ",1", "3-1", "1,1", "2,1", "-1", "0-99999999999", "1048576", "1--2", "1 2", "0-3,2"}) {
    EXPECT_FALSE(parse_cpus(text).has_value()) << text;
  }
  EXPECT_TRUE(parse_cpus("0-3", 4).has_value());
  EXPECT_FALSE(parse_cpus("0-3", 3).has_value());
}

TEST(Cpus, Bitmaps) {
  const auto bitmap = CpuBitmap::parse("0x00000303,0x03030000,,0x00000001");
  ASSERT_TRUE(bitmap.has_value());
  EXPECT_TRUE(bitmap->contains(0));
  EXPECT_FALSE(bitmap->contains(1));
  EXPECT_FALSE(bitmap->contains(40));
  EXPECT_TRUE(bitmap->contains(64 + 16));
  EXPECT_TRUE(bitmap->contains(96 + 9));
  EXPECT_FALSE(bitmap->contains(100000));
  const auto infinite = CpuBitmap::parse("0xf...f,0x0000000e");
  ASSERT_TRUE(infinite.has_value());
  EXPECT_FALSE(infinite->contains(0));
  EXPECT_TRUE(infinite->contains(1));
  EXPECT_TRUE(infinite->contains(5000));
  EXPECT_FALSE(CpuBitmap::parse("0x0000000g").has_value());
  EXPECT_FALSE(CpuBitmap::parse("0x1ffffffff").has_value());
  EXPECT_FALSE(CpuBitmap::parse(std::string(100000, ',')).has_value());
}

}  // namespace
}  // namespace tutti
