#include "transports/ucx/wire.h"

#include <fmt/format.h>

namespace tutti::ucx {

Error corrupt(Rank peer, const std::string& what) {
  return {Code::protocol, fmt::format("rank {} sent {}: its stream is corrupt, or it is of another version", peer, what), peer};
}

Status check(const Greeting& greeting, Rank peer) {
  if (greeting.magic != Greeting::kMagic)
    return corrupt(peer, fmt::format("a greeting that begins with {:#010x}", greeting.magic));
  if (greeting.address_bytes == 0 || greeting.address_bytes > Greeting::kMostAddressBytes)
    return corrupt(peer, fmt::format("a worker's address of {} bytes", greeting.address_bytes));
  return {};
}

Status check(const Goodbye& goodbye, Rank peer) {
  if (goodbye.magic == Goodbye::kMagic) return {};
  return corrupt(peer, fmt::format("a goodbye that begins with {:#010x}", goodbye.magic));
}

}  // namespace tutti::ucx
