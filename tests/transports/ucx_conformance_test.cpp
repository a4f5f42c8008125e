// UCX over whatever UCX_TLS names: ctest runs this with several. The ranks find each other over TCP on IPv4 loopback.
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/transports/conformance/conformance.h"
#include "transports/tcp/wire.h"
#include "transports/ucx/ucx_transport.h"

namespace tutti::conformance {
namespace {

// A stranger's socket.
int dial(ConstBytes address) {
  auto remote = decode_tcp_address(address);
  if (!remote) return -1;
  const int fd = socket(remote->address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, remote->address.get(), remote->address.size()) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

TransportFactory over_ucx() {
  return {.name = "ucx",
          .make = [](TransportOptions options) -> std::unique_ptr<Transport> {
            options.interface = "127.0.0.1";
            return make_ucx(options);
          },
          .dial = dial};
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
