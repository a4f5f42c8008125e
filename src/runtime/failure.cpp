#include "runtime/failure.h"

#include <cstring>
#include <thread>

namespace tutti {
namespace {

bool is_collective(const Signature& call) { return call.collective != static_cast<std::uint8_t>(Collective::send_recv); }

// Two calls of one sequence number that are not the same; none where a rank is only further on.
std::optional<Error> disagreement(const Signature& mine, ConstBytes note, Rank peer) {
  for (; note.size() >= sizeof(Signature); note = note.subspan(sizeof(Signature))) {
    Signature theirs;
    std::memcpy(&theirs, note.data(), sizeof theirs);
    if (is_collective(theirs) && theirs.sequence == mine.sequence && theirs != mine) return mismatch(mine, theirs, peer);
  }
  return std::nullopt;
}

}  // namespace

Status OverlayWatch::check(const Waiting& waiting) {
  if (auto s = overlay_.poll_failures(); !s) return s;
  if (auto s = compare_calls(waiting); !s) return s;
  return check_presence(waiting.peers);
}

// Ranks that disagree in such a way that none of them is sent anything (each a root of its own gather, say) see nothing of each
// other in their messages.
Status OverlayWatch::compare_calls(const Waiting& waiting) {
  constexpr auto kPatience = std::chrono::seconds(1);
  if (!has_asked_ && Clock::now() - since_ >= kPatience) {
    has_asked_ = true;
    const ConstBytes calls = std::as_bytes(std::span(waiting.calls));
    for (const Rank peer : waiting.peers)
      overlay_.send_note(peer, calls.first(std::min(calls.size(), Overlay::kMaxNote / sizeof(Signature) * sizeof(Signature))));
  }
  const auto notes = overlay_.notes();
  for (const Signature& mine : waiting.calls)
    for (const auto& [peer, note] : notes)
      if (is_collective(mine))
        if (auto error = disagreement(mine, note, peer)) return std::move(*error);
  return {};
}

Status OverlayWatch::check_presence(std::span<const Rank> awaited) {
  // A farewell may overtake the last data of the same rank: they travel on different connections.
  constexpr auto kGrace = std::chrono::seconds(2);
  for (const Rank peer : awaited) {
    auto s = overlay_.still_here(peer);
    if (s) continue;
    if (!somebody_left_) somebody_left_ = Clock::now();
    return Clock::now() - *somebody_left_ < kGrace ? Status{} : std::move(s);
  }
  somebody_left_.reset();
  return {};
}

Error find_cause(Overlay& overlay, Error error) {
  constexpr auto kPatience = std::chrono::milliseconds(500);
  if (error.code() == Code::peer_lost) {
    for (const TimePoint start = Clock::now(); Clock::now() - start < kPatience;
         std::this_thread::sleep_for(std::chrono::milliseconds(1)))
      if (auto s = overlay.poll_failures(); !s) return std::move(s.error());
  }
  overlay.abort(error);
  return error;
}

}  // namespace tutti
