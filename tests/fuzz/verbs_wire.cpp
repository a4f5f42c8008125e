// What peers say of themselves before RDMA, and what they write into this rank's memory.
#include <cstring>

#include "tests/fuzz/fuzz.h"
#include "transports/verbs/channel.h"

namespace tutti::fuzz {
namespace {

using namespace verbs;

constexpr Rank kPeer = 7;
constexpr std::size_t kRails = 2;

template <class T>
T read(ConstBytes input) {
  T value;
  std::memcpy(static_cast<void*>(&value), input.data(), std::min(sizeof value, input.size()));
  return value;
}

void try_address(ConstBytes input) {
  auto address = decode_verbs_address(input);
  if (!parsed(address)) return;
  promise(!address->ports.empty() && address->ports.size() <= kMostRails, "an address has a sound number of ports");
  auto again = decode_verbs_address(encode(*address));
  promise(static_cast<bool>(again) && again->tcp == address->tcp, "an address is read as it was written");
  const Pairing pairing = pair_ports(address->ports, address->ports);
  promise(pairing.mine.size() <= address->ports.size(), "no port is joined twice");
}

}  // namespace

void try_input(ConstBytes input) {
  try_address(input);
  const auto introduction = read<Introduction>(input);
  if (parsed(check(introduction, kRails, kPeer)))
    promise(introduction.ring_bytes % kGranule == 0 && introduction.ring_bytes >= kLeastRing, "a ring is sound");
  const auto record = read<Record>(input);
  if (parsed(check(record, 1000, kPeer)))
    promise(record.bytes <= 1000 && record.bytes <= record.message_bytes, "a record lies where there is room for it");
  (void)parsed(check(read<Answer>(input), kPeer));
  (void)parsed(check(read<Ready>(input), kPeer));
}

}  // namespace tutti::fuzz
