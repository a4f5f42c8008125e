#include <fmt/format.h>

#include "tutti/transport.h"

namespace tutti {
namespace {

std::string element(const Signature& s) {
  if (s.element_bytes == 0) return std::string(name(static_cast<DataType>(s.type)));
  return fmt::format("elements of {} bytes{}", s.element_bytes, s.element_bytes == UINT8_MAX ? " or more" : "");
}

// What two signatures that read alike differ in.
std::string_view hidden_difference(const Signature& mine, const Signature& theirs) {
  return mine.to_string() == theirs.to_string() && mine.plan != theirs.plan
             ? " with another algorithm, v-counts, operator or accumulation"
             : "";
}

// Small messages leave before anybody expects them, so calls that differ may both succeed: the next ones meet what is left over.
std::string left_over(const Signature& mine, const Signature& theirs, Rank peer) {
  constexpr auto kPointToPoint = static_cast<std::uint8_t>(Collective::send_recv);
  if (mine.collective == kPointToPoint || theirs.collective == kPointToPoint || mine.sequence == theirs.sequence) return "";
  constexpr std::string_view kWhy = "the two differed in their root or counts, or were other calls";
  if (theirs.sequence < mine.sequence)
    return fmt::format("; rank {}'s call #{} has sent something that this rank's call #{} did not take: {}", peer,
                       theirs.sequence, theirs.sequence, kWhy);
  return fmt::format("; this rank's call #{} waits for something that rank {}'s call #{} has not sent: {}", mine.sequence, peer,
                     mine.sequence, kWhy);
}

}  // namespace

std::string Signature::to_string() const {
  if (collective >= kCollectives || type >= kDataTypes || op >= kReduceKinds) return "an unknown call";
  const auto which = static_cast<Collective>(collective);
  if (which == Collective::send_recv) return fmt::format("{} ({})", name(which), name(static_cast<DataType>(type)));
  std::string text = fmt::format("{} #{} (count {}, {}", name(which), sequence, count, element(*this));
  if (reduces(which)) text += fmt::format(", {}", name(static_cast<ReduceKind>(op)));
  if (has_root(which)) text += fmt::format(", root {}", root);
  return text + ")";
}

Error mismatch(const Signature& mine, std::size_t my_bytes, const Signature& theirs, std::size_t their_bytes, Rank peer) {
  return {Code::mismatch,
          fmt::format("ranks disagree about the call: this rank is in {} (message of {} bytes), rank {} is in {} (message of {} "
                      "bytes){}{}; every rank must make the same calls in the same order",
                      mine.to_string(), my_bytes, peer, theirs.to_string(), their_bytes, hidden_difference(mine, theirs),
                      left_over(mine, theirs, peer)),
          peer};
}

Error mismatch(const Signature& mine, const Signature& theirs, Rank peer) {
  return {
      Code::mismatch,
      fmt::format("ranks disagree about the call: this rank is in {}, rank {} is in {}{}; every rank must make the same calls "
                  "in the same order",
                  mine.to_string(), peer, theirs.to_string(), hidden_difference(mine, theirs)),
      peer};
}

}  // namespace tutti
