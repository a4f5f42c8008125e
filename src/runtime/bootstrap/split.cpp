#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "bootstrap/hex.h"
#include "bootstrap/neighbours.h"
#include "bootstrap/start.h"
#include "core/handshake.h"
#include "core/hash.h"

namespace tutti {

Result<std::optional<Session>> split(Session& parent, int color, int key, const Config& config, std::stop_token stop) {
  const auto stopping = parent.overlay->aborted_by(stop);
  Listener listener;
  Writer mine;
  mine.value(color).value(key);
  if (parent.size > 1) {
    auto opened = open_listener(parent.control_address);
    if (!opened) return opened.because("opening the control connection of a part");
    listener = std::move(*opened);
    encode(listener.address, mine);
  }
  auto all = parent.overlay->all_gather(mine.take());
  if (!all) return all.because("splitting");

  struct Candidate {
    int key;
    Rank rank;
    SocketAddress address;
  };
  std::vector<Candidate> part;
  Hasher everybody;
  for (Rank rank = 0; rank < parent.size; ++rank) {
    const auto& entry = (*all)[static_cast<std::size_t>(rank)];
    everybody.bytes(entry.data(), entry.size());
    Reader in(entry);
    const int their_color = in.value<int>();
    const int their_key = in.value<int>();
    if (!in.ok()) return Error(Code::protocol, fmt::format("rank {} is not splitting", rank), rank);
    if (their_color != color || parent.size == 1) continue;
    auto address = decode_address(in, parent.control_address.scope());
    if (!address) return address.because(fmt::format("rank {}'s address", rank));
    part.push_back({their_key, rank, *address});
  }
  if (color < 0) return std::optional<Session>();
  std::ranges::sort(part, {}, [](const Candidate& c) { return std::tuple(c.key, c.rank); });

  Session session;
  session.launcher = parent.launcher;
  session.stop = std::move(stop);
  session.size = std::max<Rank>(1, static_cast<Rank>(part.size()));
  // The listeners' ports make every split of a parent different.
  session.job = Hasher().value(parent.job).value(everybody.result()).value(color).result();
  session.secret = secret_from_text(fmt::format("tutti part {} {}", to_hex(parent.secret.bytes), session.job));
  if (session.size == 1) {
    auto single = start_alone(parent.launcher);
    if (!single) return std::move(single.error());
    return std::optional(std::move(*single));
  }
  session.rank = static_cast<Rank>(std::ranges::find(part, parent.rank, &Candidate::rank) - part.begin());
  std::vector<SocketAddress> next;
  for (int link = 0; link < link_count(session.size); ++link)
    next.push_back(part[static_cast<std::size_t>(next_rank(session.rank, session.size, link))].address);
  if (auto s = connect_overlay(session, std::move(listener), std::move(next), config); !s) return std::move(s.error());
  return std::optional(std::move(session));
}

}  // namespace tutti
