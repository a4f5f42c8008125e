// What all tests of communicators run under: choices by estimates, so that they are the same each time; sockets of this machine
// only; and no wait that would outlast the test's own limit.
#include <gtest/gtest.h>

#include <cstdlib>

namespace {

class RuntimeEnvironment final : public testing::Environment {
 public:
  void SetUp() override {
    setenv("TUTTI_CALIBRATE", "0", 1);
    setenv("TUTTI_TUNING", "off", 1);
    setenv("TUTTI_INTERFACE", "127.0.0.1", 1);
    setenv("TUTTI_TIMEOUT", "60", 1);
    setenv("TUTTI_LOG", "error", 1);
  }
};

const auto* const kEnvironment = testing::AddGlobalTestEnvironment(new RuntimeEnvironment);

}  // namespace
