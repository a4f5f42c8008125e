// UCX over whatever UCX_TLS names: ctest runs this with several. The ranks find each other over TCP on IPv4 loopback.
#include <fmt/format.h>

#include "tests/transports/conformance/conformance.h"
#include "tests/transports/conformance/dial.h"
#include "transports/ucx/ucx_transport.h"

namespace tutti::conformance {
namespace {

TransportFactory over_ucx() {
  return {.name = "ucx",
          .make = [](TransportOptions options) -> std::unique_ptr<Transport> {
            options.interface = "127.0.0.1";
            return make_ucx(options);
          },
          .dial = dial_tcp};
}

// Skips all tests, loudly, where there is no UCX.
class NeedsUcx : public testing::Environment {
 public:
  void SetUp() override {
    if (const auto& library = tutti::ucx::library(); !library) {
      fmt::print("SKIPPED: {}\n", library.error().to_string());
      GTEST_SKIP();
    }
  }
};
[[maybe_unused]] const testing::Environment* const kNeedsUcx = testing::AddGlobalTestEnvironment(new NeedsUcx);

INSTANTIATE_TEST_SUITE_P(Ucx, TransportConformance, testing::ValuesIn(cases(over_ucx())), case_name);

}  // namespace
}  // namespace tutti::conformance
