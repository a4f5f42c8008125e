// What the plugins of these tests are made of.
#pragma once

#include "tutti/plugin.h"

namespace tutti::plugins {

// Rank 0 hears of all, then tells all.
inline Schedule star(Rank me, const Shape& shape, const Chunking& /*has none*/) {
  Builder b(Collective::barrier, "star", me, shape, 1);
  if (me > 0) {
    b.send(b.input(0), 0);
    b.recv(0, b.output(0));
    return std::move(b).finish();
  }
  b.copy(b.input(0), b.output(0));
  for (Rank r = 1; r < shape.ranks; ++r) {
    const Slice arrived = b.scratch_like(b.output(0));
    b.recv(r, arrived);
    b.reduce(arrived, b.output(0));
  }
  for (Rank r = 1; r < shape.ranks; ++r) b.send(b.output(0), r);
  return std::move(b).finish();
}

// An all_gather where everybody sends to everybody; where it is to be wrong, one piece again and again.
inline Schedule everyone(std::string name, Rank me, const Shape& shape, std::uint32_t pieces, bool wrong) {
  const Rank p = shape.ranks;
  Builder b(Collective::all_gather, std::move(name), me, shape, pieces);
  const auto piece = [&](Rank of, std::uint32_t k) {
    return b.output(static_cast<std::uint32_t>(of) * pieces + (wrong ? 0 : k));
  };
  b.copy(b.input(0, pieces), b.output(static_cast<std::uint32_t>(me) * pieces, pieces));
  for (Rank d = 1; d < p; ++d)
    for (std::uint32_t k = 0; k < pieces; ++k) {
      b.send(piece(me, k), (me + d) % p);
      b.recv((me + p - d) % p, piece((me + p - d) % p, k));
    }
  return std::move(b).finish();
}

constexpr Algorithm row(std::string_view name, Schedule (*build)(Rank, const Shape&, const Chunking&) = star) {
  return {.collective = Collective::barrier,
          .name = name,
          .summary = "a test's",
          .source = "tests",
          .needs = {},
          .pipelines = false,
          .build = build,
          .cost = nullptr};
}

}  // namespace tutti::plugins
