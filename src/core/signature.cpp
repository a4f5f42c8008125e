#include <fmt/format.h>

#include "tutti/transport.h"

namespace tutti {

std::string Signature::to_string() const {
  if (collective >= kCollectives || type >= kDataTypes || op >= kReduceKinds) return "an unknown call";
  const auto which = static_cast<Collective>(collective);
  if (which == Collective::send_recv) return fmt::format("{} ({})", name(which), name(static_cast<DataType>(type)));
  std::string text = fmt::format("{} #{} (count {}, {}", name(which), sequence, count, name(static_cast<DataType>(type)));
  if (reduces(which)) text += fmt::format(", {}", name(static_cast<ReduceKind>(op)));
  if (has_root(which)) text += fmt::format(", root {}", root);
  return text + ")";
}

namespace {

// What two signatures that read alike differ in.
std::string_view hidden_difference(const Signature& mine, const Signature& theirs) {
  return mine.to_string() == theirs.to_string() && mine.plan != theirs.plan ? " with another algorithm, v-counts or operator"
                                                                            : "";
}

}  // namespace

Error mismatch(const Signature& mine, std::size_t my_bytes, const Signature& theirs, std::size_t their_bytes, Rank peer) {
  return {Code::mismatch,
          fmt::format("ranks disagree about the call: this rank is in {} (message of {} bytes), rank {} is in {} (message of {} "
                      "bytes){}; every rank must make the same calls in the same order",
                      mine.to_string(), my_bytes, peer, theirs.to_string(), their_bytes, hidden_difference(mine, theirs)),
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
