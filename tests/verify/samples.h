// Small schedules written out by hand, so that the verifier's tests do not lean on the algorithms they judge.
#pragma once

#include <string>
#include <vector>

#include "tutti/schedule.h"

namespace tutti::samples {

inline Schedule ring_all_reduce(Rank me, const Shape& shape) {
  const Rank p = shape.ranks;
  const auto chunk = [p](Rank c) { return static_cast<std::uint32_t>(((c % p) + p) % p); };
  Builder b(Collective::all_reduce, "ring", me, shape, static_cast<std::uint32_t>(p));
  b.copy(b.input(0, static_cast<std::uint32_t>(p)), b.output(0, static_cast<std::uint32_t>(p)));
  for (Rank k = 0; k < p - 1; ++k) {
    b.send(b.output(chunk(me - k)), static_cast<Rank>(chunk(me + 1)));
    const Slice arrived = b.scratch_like(b.output(chunk(me - k - 1)));
    b.recv(static_cast<Rank>(chunk(me - 1)), arrived);
    b.reduce(arrived, b.output(chunk(me - k - 1)));
  }
  for (Rank k = 0; k < p - 1; ++k) {
    b.send(b.output(chunk(me + 1 - k)), static_cast<Rank>(chunk(me + 1)));
    b.recv(static_cast<Rank>(chunk(me - 1)), b.output(chunk(me - k)));
  }
  return std::move(b).finish();
}

// Everybody sends to everybody; contributions are combined in rank order.
inline Schedule direct_all_reduce(Rank me, const Shape& shape) {
  Builder b(Collective::all_reduce, "direct", me, shape, 1);
  const Slice all = b.scratch_like({Buffer::input, 0, 1});
  Slice first = all;
  for (Rank r = 0; r < shape.ranks; ++r)
    if (r != me) b.send(b.input(0), r);
  std::vector<Slice> arrived(static_cast<std::size_t>(shape.ranks), first);
  for (Rank r = 0; r < shape.ranks; ++r) {
    auto& slot = arrived[static_cast<std::size_t>(r)];
    if (r == me)
      b.copy(b.input(0), slot = r == 0 ? first : b.scratch_like(first));
    else
      b.recv(r, slot = r == 0 ? first : b.scratch_like(first));
  }
  for (Rank r = 1; r < shape.ranks; ++r) b.reduce(arrived[static_cast<std::size_t>(r)], first);
  b.copy(first, b.output(0));
  return std::move(b).finish();
}

inline Schedule ring_all_gather(Rank me, const Shape& shape) {
  const Rank p = shape.ranks;
  const auto at = [p](Rank r) { return static_cast<std::uint32_t>(((r % p) + p) % p) * 2; };
  Builder b(Collective::all_gather, "ring", me, shape, 2);
  b.copy(b.input(0, 2), b.output(at(me), 2));
  for (Rank k = 0; k < p - 1; ++k) {
    b.send(b.output(at(me - k), 2), static_cast<Rank>(at(me + 1) / 2));
    b.recv(static_cast<Rank>(at(me - 1) / 2), b.output(at(me - k - 1), 2));
  }
  return std::move(b).finish();
}

inline Schedule linear_scan(Rank me, const Shape& shape) {
  Builder b(Collective::scan, "linear", me, shape, 1);
  b.copy(b.input(0), b.output(0));
  if (me > 0) {
    const Slice arrived = b.scratch_like(b.output(0));
    b.recv(me - 1, arrived);
    b.reduce_left(arrived, b.output(0));
  }
  if (me + 1 < shape.ranks) b.send(b.output(0), me + 1);
  return std::move(b).finish();
}

inline Schedule chain_broadcast(Rank me, const Shape& shape) {
  constexpr std::uint32_t kPieces = 3;
  const Rank at = (me - shape.root + shape.ranks) % shape.ranks;
  Builder b(Collective::broadcast, "chain", me, shape, kPieces);
  if (at == 0) b.copy(b.input(0, kPieces), b.output(0, kPieces));
  for (std::uint32_t i = 0; i < kPieces; ++i) {
    if (at > 0) b.recv((me - 1 + shape.ranks) % shape.ranks, b.output(i));
    if (at + 1 < shape.ranks) b.send(b.output(i), (me + 1) % shape.ranks);
  }
  return std::move(b).finish();
}

inline Schedule pairwise_all_to_all(Rank me, const Shape& shape) {
  const Rank p = shape.ranks;
  Builder b(Collective::all_to_all, "pairwise", me, shape, 1);
  b.copy(b.input(static_cast<std::uint32_t>(me)), b.output(static_cast<std::uint32_t>(me)));
  for (Rank k = 1; k < p; ++k) {
    const Rank to = (me + k) % p, from = (me - k + p) % p;
    b.send(b.input(static_cast<std::uint32_t>(to)), to);
    b.recv(from, b.output(static_cast<std::uint32_t>(from)));
  }
  return std::move(b).finish();
}

template <class Build>
std::vector<Schedule> all_ranks(Build&& build, const Shape& shape) {
  std::vector<Schedule> ranks;
  for (Rank r = 0; r < shape.ranks; ++r) ranks.push_back(build(r, shape));
  return ranks;
}

// A text with the schedules of all ranks.
inline std::vector<Schedule> from_text(std::string_view text) { return parse_schedules(text).value_or_throw(); }

}  // namespace tutti::samples
