#include <string>

#include "tests/transports/conformance/conformance.h"
#include "transports/shm/shm_transport.h"
#include "transports/shm/unix_socket.h"

namespace tutti::conformance {

int dial_shm(ConstBytes address) {
  const std::string text(reinterpret_cast<const char*>(address.data()), address.size());
  auto socket = shm::connect_to(text.substr(text.find(' ') + 1), kNoRank);
  return socket ? socket->release() : -1;
}

TransportFactory shm(std::string name, bool cma, std::size_t bytes, const LinkTuning& tuning = {}, bool mapped = false) {
  return {.name = std::move(name),
          .make =
              [=](TransportOptions options) {
                options.cma = cma;
                options.shm_bytes = bytes;
                return make_shm(options);
              },
          .dial = dial_shm,
          .mapped = mapped,
          .tuning = tuning};
}

constexpr LinkTuning kReadsLarge{.direct_from = std::size_t{128} << 10};
INSTANTIATE_TEST_SUITE_P(shm, TransportConformance, testing::ValuesIn(cases(shm("shm", true, std::size_t{8} << 20, kReadsLarge))),
                         case_name);
// Without CMA, and so little memory that cells are few and small: it holds the lanes and the least cells of three rounds of 40
// streams (a peer may be late to close those of the last round), not many more.
INSTANTIATE_TEST_SUITE_P(small, TransportConformance, testing::ValuesIn(cases(shm("small", false, std::size_t{3} << 18))),
                         case_name);
// All that the sender may choose.
constexpr LinkTuning kEverything{
    .past_caches_from = 500, .direct_from = 0, .mapped_from = 0, .handed_back_below = 100000, .oldest_first_from = 1000};
INSTANTIATE_TEST_SUITE_P(tuned, TransportConformance,
                         testing::ValuesIn(cases(shm("tuned", true, std::size_t{8} << 20, kEverything))), case_name);
INSTANTIATE_TEST_SUITE_P(plain, TransportConformance, testing::ValuesIn(cases(shm("plain", true, std::size_t{8} << 20))),
                         case_name);
// Memory that peers map.
INSTANTIATE_TEST_SUITE_P(mapped, TransportConformance,
                         testing::ValuesIn(cases(shm("mapped", false, std::size_t{8} << 20, {}, true))), case_name);
INSTANTIATE_TEST_SUITE_P(mapped_and_tuned, TransportConformance,
                         testing::ValuesIn(cases(shm("mapped_and_tuned", true, std::size_t{8} << 20, kEverything, true))),
                         case_name);

}  // namespace tutti::conformance
