// RDMA over the devices of this machine, if it has any: one rail; all of them, with messages striped early; and queues and rings
// so small that waiting for room is the rule.
#include "tests/transports/conformance/conformance.h"
#include "transports/tcp/wire.h"
#include "transports/verbs/verbs_transport.h"

namespace tutti::conformance {
namespace {

// A stranger's socket.
int dial(ConstBytes address) {
  const auto verbs = verbs::decode_verbs_address(address);
  if (!verbs) return -1;
  const auto remote = decode_tcp_address(verbs->tcp);
  if (!remote) return -1;
  const int fd = socket(remote->address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, remote->address.get(), remote->address.size()) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

std::vector<Case> over(std::string name, const std::string& devices, const verbs::Tuning& tuning, bool mapped) {
  TransportFactory factory;
  factory.name = std::move(name);
  factory.make = [devices, tuning](TransportOptions options) -> std::unique_ptr<Transport> {
    options.interface = "127.0.0.1";
    options.ib.devices = devices;
    options.ib.timeout = 14;
    return std::make_unique<verbs::VerbsTransport>(options, tuning, verbs::library(), verbs::segment_lifetimes());
  };
  factory.dial = dial;
  factory.mapped = mapped;
  return cases(factory);
}

verbs::Tuning tiny() {
  verbs::Tuning tuning;
  tuning.ring_bytes = 4096;
  tuning.ask_from = 1000;
  tuning.place_from = 3000;
  tuning.write_bytes = 8192;
  tuning.writes = 3;
  tuning.stripe_from = 20000;
  tuning.queue = {.sends = 4, .receives = 32, .inline_bytes = 0};
  return tuning;
}

INSTANTIATE_TEST_SUITE_P(Verbs, TransportConformance, testing::ValuesIn(over("verbs", "rxe0,mlx", {}, false)), case_name);
INSTANTIATE_TEST_SUITE_P(VerbsRails, TransportConformance, testing::ValuesIn(over("verbs_rails", "", {}, true)), case_name);
INSTANTIATE_TEST_SUITE_P(VerbsTiny, TransportConformance, testing::ValuesIn(over("verbs_tiny", "", tiny(), false)), case_name);

}  // namespace
}  // namespace tutti::conformance

// Where there is no device, nothing is tested, and the last line says why.
int main(int count, char** arguments) {
  testing::InitGoogleTest(&count, arguments);
  const tutti::Status usable = tutti::make_verbs({})->probe();
  if (usable) return RUN_ALL_TESTS();
  std::printf("SKIPPED: %s\n", usable.error().to_string().c_str());
  return 77;
}
