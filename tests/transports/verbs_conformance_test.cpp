// RDMA over the devices of this machine, if it has any: one rail; all of them, with messages striped early; and queues and rings
// so small that waiting for room is the rule.
#include <fmt/format.h>

#include <algorithm>

#include "tests/transports/conformance/dial.h"
#include "tests/transports/conformance/world.h"
#include "transports/verbs/verbs_transport.h"

namespace tutti::conformance {
namespace {

int dial(ConstBytes address) {
  const auto verbs = verbs::decode_verbs_address(address);
  return verbs ? dial_tcp(verbs->tcp) : -1;
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

// As in jobs of many ranks.
verbs::Tuning sharing_receives() {
  verbs::Tuning tuning;
  tuning.few_ranks = 0;
  return tuning;
}

INSTANTIATE_TEST_SUITE_P(Verbs, TransportConformance, testing::ValuesIn(over("verbs", "rxe0,mlx", {}, false)), case_name);
INSTANTIATE_TEST_SUITE_P(VerbsRails, TransportConformance, testing::ValuesIn(over("verbs_rails", "", sharing_receives(), true)),
                         case_name);
INSTANTIATE_TEST_SUITE_P(VerbsTiny, TransportConformance, testing::ValuesIn(over("verbs_tiny", "", tiny(), false)), case_name);

// Small messages ask for completions only now and then: a large one behind any number of them must not wait for one that nobody
// asked for.
TEST_P(TransportConformance, ALargeMessageBehindAnyNumberOfSmallOnes) {
  run(GetParam(), 2, [](Member& me) {
    Link link = me.connect(1 - me.rank());
    const Buffer sent = pattern(300 << 10, 7);  // enough to be written to where it goes
    Buffer received(sent.size());
    for (std::uint32_t small = 0; small <= 40; ++small) {
      for (const Rank sender : {0, 1}) {
        me.step(fmt::format("{} empty messages and a large one from rank {}", small, sender));
        const bool sends = me.rank() == sender;
        for (std::uint32_t k = 0; k < small; ++k) sends ? link.send(signature(k), {}) : link.recv(signature(k), Sink{});
        sends ? link.send(signature(small), sent) : link.recv(signature(small), received);
        me.until_idle({&link});
        me.check(sends || received == sent, "wrong bytes");
        std::ranges::fill(received, std::byte{0});
      }
    }
  });
}

// More than fits into the ring, from a rank that does not receive yet, to one that answers each message with one: these say that
// there is room again, and must be heard although nobody wants to receive them.
TEST_P(TransportConformance, WhoSendsBeforeItReceivesGetsRoom) {
  run(GetParam(), 2, [](Member& me) {
    constexpr std::uint32_t kMessages = 10;
    constexpr std::size_t kBytes = 30 << 10;
    const bool first = me.rank() == 0;
    Link link = me.connect(1 - me.rank());
    Link* const links[] = {&link};
    std::vector<Buffer> sent;
    for (std::uint32_t k = 0; k < kMessages; ++k) sent.push_back(pattern(kBytes, k));
    for (std::uint32_t round = 0; round < 5; ++round) {
      std::vector<Buffer> received(kMessages, Buffer(kBytes));
      me.step(fmt::format("connecting, or beginning round {}", round));
      link.send(signature(round), {});
      link.recv(signature(round), Sink{});
      me.until_idle({&link});
      me.step(fmt::format("sending, in round {}", round));
      for (std::uint32_t k = 0; first && k < kMessages; ++k) link.send(signature(k), sent[k]);
      me.barrier();
      if (!first) me.until(links, [polls = 0]() mutable { return ++polls > 1000; });  // what was sent has arrived, most likely
      for (std::uint32_t k = 0; !first && k < kMessages; ++k) {
        link.recv(signature(k), received[k]);
        link.send(signature(k), sent[k]);
      }
      if (first) me.until(links, [&] { return link.sends() == 0; });
      me.step(fmt::format("receiving, in round {}", round));
      for (std::uint32_t k = 0; first && k < kMessages; ++k) link.recv(signature(k), received[k]);
      me.until_idle({&link});
      me.check(received == sent, "wrong bytes");
    }
  });
}

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
