#include "transports/verbs/wire.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>

namespace tutti::verbs {
namespace {

struct AddressBlob {
  std::uint32_t magic = kMagic;
  std::uint32_t ports = 0;
  std::array<PortSummary, kMostRails> port;

  static constexpr std::uint32_t kMagic = 0x74764132;
};
static_assert(sizeof(AddressBlob) == 200);

Error corrupt(std::string_view what, Rank peer) {
  return {Code::protocol, fmt::format("rank {} has sent {}: its stream is corrupt", peer, what), peer};
}

}  // namespace

std::vector<std::byte> encode(const VerbsAddress& address) {
  AddressBlob blob;
  for (const PortSummary& port : std::span(address.ports).first(std::min(address.ports.size(), kMostRails)))
    blob.port[blob.ports++] = port;
  std::vector<std::byte> out(sizeof blob + address.tcp.size());
  std::memcpy(out.data(), &blob, sizeof blob);
  std::ranges::copy(address.tcp, out.begin() + sizeof blob);
  return out;
}

Result<VerbsAddress> decode_verbs_address(ConstBytes bytes) {
  AddressBlob blob;
  if (bytes.size() < sizeof blob)
    return Error(Code::protocol, fmt::format("an RDMA address of {} bytes, expected at least {}", bytes.size(), sizeof blob));
  std::memcpy(&blob, bytes.data(), sizeof blob);
  if (blob.magic != AddressBlob::kMagic)
    return Error(Code::protocol,
                 fmt::format("an RDMA address begins with {:#010x}, expected {:#010x} (another version, or a host "
                             "of the other byte order)",
                             blob.magic, AddressBlob::kMagic));
  if (blob.ports == 0 || blob.ports > kMostRails)
    return Error(Code::protocol, fmt::format("an RDMA address of {} ports", blob.ports));
  const ConstBytes tcp = bytes.subspan(sizeof blob);
  VerbsAddress address{.tcp = {tcp.begin(), tcp.end()}, .ports = {}};
  for (const PortSummary& port : std::span(blob.port).first(blob.ports)) address.ports.push_back(port);
  return address;
}

Status check(const Introduction& theirs, std::size_t rails, Rank peer) {
  if (theirs.magic != Introduction::kMagic)
    return Error(Code::protocol,
                 fmt::format("the introduction of rank {} begins with {:#010x}, expected {:#010x} (another version?)", peer,
                             theirs.magic, Introduction::kMagic),
                 peer);
  const bool sound_ring = theirs.ring_bytes >= kLeastRing && theirs.ring_bytes <= kMostRing && theirs.ring_bytes % kGranule == 0;
  const auto sound = [](const RailEnd& end) { return end.mtu >= IBV_MTU_256 && end.mtu <= IBV_MTU_4096; };
  if (!sound_ring || theirs.signals < 4 * kAnswers || theirs.rails != rails ||
      !std::all_of(theirs.rail.begin(), theirs.rail.begin() + static_cast<std::ptrdiff_t>(rails), sound))
    return Error(Code::protocol,
                 fmt::format("rank {} introduces itself with {} rails (expected {}), a ring of {} bytes and {} signals", peer,
                             theirs.rails, rails, theirs.ring_bytes, theirs.signals),
                 peer);
  return {};
}

Status check(const Ready& theirs, Rank peer) {
  if (theirs.magic != Ready::kMagic) return corrupt(fmt::format("{:#010x} instead of being ready", theirs.magic), peer);
  return {};
}

Status check(const Record& record, std::size_t room, Rank peer) {
  if (record.magic != Record::kMagic) return corrupt(fmt::format("a record that begins with {:#010x}", record.magic), peer);
  const auto kind = static_cast<std::uint32_t>(record.kind);
  if (kind < 1 || kind > 3) return corrupt(fmt::format("a record of kind {}", kind), peer);
  if (record.bytes > room || record.bytes > record.message_bytes)
    return corrupt(fmt::format("a record of {} bytes where {} fit, of a message of {}", record.bytes, room, record.message_bytes),
                   peer);
  return {};
}

Status check(const Answer& answer, Rank peer) {
  if (answer.into_memory > 1) return corrupt(fmt::format("an answer of kind {}", answer.into_memory), peer);
  return {};
}

}  // namespace tutti::verbs
