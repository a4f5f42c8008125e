// Chunks as element ranges: every buffer is tiled exactly, and all ranks cut a datum alike.
#include "schedule/chunk_map.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace tutti {
namespace {

using Counts = std::vector<std::uint64_t>;

constexpr Collective kAll[] = {Collective::all_reduce,     Collective::reduce, Collective::broadcast, Collective::all_gather,
                               Collective::reduce_scatter, Collective::gather, Collective::scatter,   Collective::all_to_all,
                               Collective::barrier,        Collective::scan,   Collective::exscan};

bool blocks_in(Collective c) { return input_chunks(c, 2, 1) == 2; }
bool blocks_out(Collective c) { return output_chunks(c, 2, 1) == 2; }

// The chunks of a block lie one behind the other and fill it, evenly to within 64 bytes (or one element).
void expect_tiled(const ChunkMap& map, Buffer buffer, std::uint32_t block, std::uint32_t parts, Extent whole,
                  std::size_t element_size) {
  std::uint64_t at = whole.offset, least = UINT64_MAX, most = 0;
  for (std::uint32_t i = 0; i < parts; ++i) {
    const Extent e = map.chunk(buffer, block * parts + i);
    ASSERT_EQ(e.offset, at) << "block " << block << " chunk " << i;
    at += e.count;
    if (i + 1 < parts) least = std::min(least, e.count);
    most = std::max(most, e.count);
  }
  EXPECT_EQ(at, whole.offset + whole.count) << "block " << block;
  const std::uint64_t unit = std::max<std::uint64_t>(1, 64 / element_size);
  EXPECT_LE(most - std::min(least, most), parts > 1 ? unit : most) << "block " << block << " of " << whole.count;
}

TEST(ChunkMap, tiles_uniform_blocks) {
  for (const Collective c : kAll)
    for (const Rank p : {1, 2, 3, 7})
      for (const std::uint32_t parts : {1U, 2U, 3U, 8U, 21U})
        for (const std::uint64_t n : {0ULL, 1ULL, 2ULL, 7ULL, 64ULL, 1000ULL, 4097ULL, 1ULL << 40, (1ULL << 40) + 12345})
          for (const std::size_t size : {1U, 2U, 4U, 8U, 16U})
            for (Rank r = 0; r < p; ++r) {
              const ChunkMap map(c, r, p, parts, {.uniform = n}, {.uniform = n}, size, {});
              const auto check = [&](Buffer buffer, bool many) {
                for (std::uint32_t b = 0; b < (many ? static_cast<std::uint32_t>(p) : 1); ++b)
                  expect_tiled(map, buffer, b, parts, {b * n, n}, size);
              };
              check(Buffer::input, blocks_in(c));
              check(Buffer::output, blocks_out(c));
            }
}

TEST(ChunkMap, starts_chunks_of_large_blocks_at_64_bytes) {
  for (const std::size_t size : {1U, 4U, 16U}) {
    const ChunkMap map(Collective::all_reduce, 0, 4, 7, {.uniform = 100003}, {.uniform = 100003}, size, {});
    for (std::uint32_t i = 0; i < 7; ++i) EXPECT_EQ(map.chunk(Buffer::input, i).offset * size % 64, 0U) << i;
  }
}

TEST(ChunkMap, gives_some_chunks_nothing_where_elements_are_few) {
  const ChunkMap map(Collective::all_reduce, 0, 4, 8, {.uniform = 3}, {.uniform = 3}, 4, {});
  std::uint64_t filled = 0;
  for (std::uint32_t i = 0; i < 8; ++i) filled += map.chunk(Buffer::input, i).count > 0 ? 1 : 0;
  EXPECT_EQ(filled, 3U);
  EXPECT_EQ(map.extents({Buffer::input, 0, 8}), (std::vector<Extent>{{0, 3}}));
}

TEST(ChunkMap, makes_one_extent_of_chunks_side_by_side) {
  const ChunkMap map(Collective::all_gather, 1, 4, 3, {.uniform = 1000}, {.uniform = 1000}, 4, {});
  EXPECT_EQ(map.extents({Buffer::output, 0, 12}), (std::vector<Extent>{{0, 4000}}));
  EXPECT_EQ(map.extents({Buffer::output, 3, 3}), (std::vector<Extent>{{1000, 1000}}));
}

struct Uneven {
  Counts counts, displacements;
};

// Counts with zeroes, very large ones and, where wanted, gaps and blocks out of order.
Uneven uneven(Rank p, bool gaps, std::mt19937_64& random) {
  Uneven u;
  for (Rank r = 0; r < p; ++r)
    u.counts.push_back(random() % 4 == 0 ? 0 : random() % 5 == 0 ? (1ULL << 40) + random() % 999 : random() % 500);
  if (!gaps) return u;
  u.displacements.resize(u.counts.size());
  std::vector<std::size_t> order(u.counts.size());
  std::iota(order.begin(), order.end(), 0U);
  std::shuffle(order.begin(), order.end(), random);
  std::uint64_t at = random() % 10;
  for (const auto b : order) {
    u.displacements[b] = at;
    at += u.counts[b] + random() % 20;
  }
  return u;
}

Extent block(const Uneven& u, std::size_t b) {
  const auto first = std::accumulate(u.counts.begin(), u.counts.begin() + static_cast<std::ptrdiff_t>(b), std::uint64_t{0});
  return {u.displacements.empty() ? first : u.displacements[b], u.counts[b]};
}

TEST(ChunkMap, tiles_blocks_of_any_counts) {
  std::mt19937_64 random(7);
  for (const Collective c : {Collective::all_gather, Collective::gather, Collective::reduce_scatter, Collective::scatter})
    for (int round = 0; round < 100; ++round) {
      const auto p = static_cast<Rank>(1 + random() % 6);
      const auto parts = static_cast<std::uint32_t>(1 + random() % 5);
      const Uneven u = uneven(p, round % 2 == 1, random);
      const Blocks many{.counts = u.counts, .displacements = u.displacements};
      const Buffer many_side = blocks_in(c) ? Buffer::input : Buffer::output,
                   own_side = blocks_in(c) ? Buffer::output : Buffer::input;
      for (Rank r = 0; r < p; ++r) {
        const auto me = static_cast<std::size_t>(r);
        const Blocks none;
        const ChunkMap map(c, r, p, parts, blocks_in(c) ? many : none, blocks_in(c) ? none : many, 4, {});
        for (std::size_t b = 0; b < u.counts.size(); ++b)
          expect_tiled(map, many_side, static_cast<std::uint32_t>(b), parts, block(u, b), 4);
        expect_tiled(map, own_side, 0, parts, {0, u.counts[me]}, 4);
        // The own block is cut as everybody else cuts it.
        for (std::uint32_t i = 0; i < parts; ++i)
          EXPECT_EQ(map.chunk(own_side, i).count, map.chunk(many_side, static_cast<std::uint32_t>(r) * parts + i).count);
      }
    }
}

TEST(ChunkMap, cuts_what_two_ranks_exchange_alike) {
  std::mt19937_64 random(8);
  for (int round = 0; round < 100; ++round) {
    const auto p = static_cast<Rank>(1 + random() % 5);
    const auto parts = static_cast<std::uint32_t>(1 + random() % 4);
    std::vector<Uneven> to(static_cast<std::size_t>(p)), from(static_cast<std::size_t>(p));
    for (auto& u : to) u = uneven(p, false, random);
    for (std::size_t r = 0; r < from.size(); ++r)
      for (const auto& u : to) from[r].counts.push_back(u.counts[r]);
    std::vector<ChunkMap> maps;
    for (std::size_t r = 0; r < to.size(); ++r)
      maps.emplace_back(Collective::all_to_all, static_cast<Rank>(r), p, parts, Blocks{.counts = to[r].counts},
                        Blocks{.counts = from[r].counts}, 8, ChunkList{});
    for (std::uint32_t a = 0; a < maps.size(); ++a)
      for (std::uint32_t b = 0; b < maps.size(); ++b)
        for (std::uint32_t i = 0; i < parts; ++i)
          EXPECT_EQ(maps[a].chunk(Buffer::input, b * parts + i).count, maps[b].chunk(Buffer::output, a * parts + i).count);
  }
}

TEST(ChunkMap, never_joins_chunks_of_uneven_blocks) {
  const Counts counts{100, 0, 50};
  const ChunkMap map(Collective::all_gather, 0, 3, 2, {}, {.counts = counts}, 4, {});
  EXPECT_EQ(map.extents({Buffer::output, 0, 6}).size(), 6U);
}

TEST(ChunkMap, gives_scratch_the_size_of_its_data_chunks) {
  const Counts counts{100, 7, 51};
  const ChunkList like{5, 0, 2, 3};
  const ChunkMap map(Collective::reduce_scatter, 1, 3, 2, {.counts = counts}, {}, 4, like);
  std::uint64_t at = 0;
  for (std::uint32_t i = 0; i < like.size(); ++i) {
    EXPECT_EQ(map.chunk(Buffer::scratch, i), (Extent{at, map.chunk(Buffer::input, like[i]).count}));
    at += map.chunk(Buffer::scratch, i).count;
  }
  EXPECT_EQ(map.scratch_elements(), at);
  // In all_to_all the output's chunks are numbered behind the input's.
  const Counts in{10, 20, 30}, out{1, 2, 3};
  const ChunkList both{2, 4};
  const ChunkMap all(Collective::all_to_all, 0, 3, 1, {.counts = in}, {.counts = out}, 4, both);
  EXPECT_EQ(all.chunk(Buffer::scratch, 0), (Extent{0, 30}));
  EXPECT_EQ(all.chunk(Buffer::scratch, 1), (Extent{30, 2}));
}

}  // namespace
}  // namespace tutti
