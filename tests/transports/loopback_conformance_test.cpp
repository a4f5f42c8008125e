#include "tests/transports/conformance/conformance.h"
#include "transports/loopback/loopback.h"

namespace tutti::conformance {

TransportFactory loopback(std::string name, const LoopbackFaults& faults) {
  return {.name = std::move(name),
          .make = [faults](const TransportOptions& options) { return make_loopback(options, faults); },
          .threads = true,
          .processes = false};
}

INSTANTIATE_TEST_SUITE_P(loopback, TransportConformance, testing::ValuesIn(cases(loopback("loopback", {}))), case_name);
// Faults must not change what arrives.
INSTANTIATE_TEST_SUITE_P(delayed, TransportConformance, testing::ValuesIn(cases(loopback("delayed", {.delay_polls = 3}))),
                         case_name);
INSTANTIATE_TEST_SUITE_P(in_pieces, TransportConformance,
                         testing::ValuesIn(cases(loopback("in_pieces", {.piece_bytes = 64000, .capacity_bytes = 5000}))),
                         case_name);
INSTANTIATE_TEST_SUITE_P(rendezvous, TransportConformance, testing::ValuesIn(cases(loopback("rendezvous", {.rendezvous = true}))),
                         case_name);

}  // namespace tutti::conformance
