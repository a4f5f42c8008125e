// What is done to words before people see them.
#include <gtest/gtest.h>

#include <array>

#include "core/printable.h"
#include "core/spelling.h"

namespace tutti {
namespace {

TEST(Printable, OnlyTextIsLeft) {
  EXPECT_EQ(printable("plain ~text"), "plain ~text");
  EXPECT_EQ(printable("\x1b[2J\n\t\x7f"), "?[2J???");
  EXPECT_EQ(printable("\xc2\x9b"), "??") << "a control character of eight bits";
  EXPECT_EQ(printable(std::string(1, '\0')), "?");
}

TEST(Spelling, TheNearestIsMeant) {
  constexpr std::array<std::string_view, 4> kKnown{"dgx-a100", "dgx-h100", "torus", "l3"};
  EXPECT_EQ(nearest("dgx-h10", kKnown), "dgx-h100");
  EXPECT_EQ(nearest("dgx-a10", kKnown), "dgx-a100");
  EXPECT_EQ(nearest("tours", kKnown), "") << "two letters of five are no misspelling";
  EXPECT_EQ(nearest("toru", kKnown), "torus");
  EXPECT_EQ(nearest("x4", kKnown), "");
  EXPECT_EQ(nearest("", kKnown), "");
}

}  // namespace
}  // namespace tutti
