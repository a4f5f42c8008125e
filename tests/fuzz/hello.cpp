// What a rank says about itself when it connects.
#include "bootstrap/member.h"
#include "tests/fuzz/fuzz.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  for (const Purpose purpose : {Purpose::registration, Purpose::rendezvous, Purpose::overlay}) {
    const auto hello = Hello::decode(input, purpose);
    if (!parsed(hello)) continue;
    promise(purpose == Purpose::rendezvous || (hello->rank >= 0 && hello->rank < hello->size), "a rank is one of the ranks");
    for (const char c : hello->member.host) promise(static_cast<unsigned char>(c) >= ' ', "its host can be printed");
    promise(parsed(Hello::decode(hello->encode(), purpose)), "a hello comes back");
  }
}

}  // namespace tutti::fuzz
