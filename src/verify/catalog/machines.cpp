#include "catalog/machines.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace tutti {
namespace {

Grouping group_by(Rank ranks, const std::function<int(Rank)>& label) {
  std::vector<int> labels;
  for (Rank r = 0; r < ranks; ++r) labels.push_back(label(r));
  return Grouping(labels);
}

// Groups of 1, 2, 3, 1, 2, 3, ... neighbours.
int uneven(Rank r) {
  const int in_six = r % 6;
  return r / 6 * 3 + (in_six == 0 ? 0 : in_six < 3 ? 1 : 2);
}

// All ranks, `step` apart (which shares no factor with their number), from `first` on.
std::vector<Rank> strided(Rank ranks, Rank first, Rank step) {
  while (std::gcd(step, ranks) != 1) ++step;
  std::vector<Rank> order;
  for (Rank i = 0; i < ranks; ++i) order.push_back((first + i * step) % ranks);
  return order;
}

// Entry i of an order below entry above(i).
Tree hang(const std::vector<Rank>& order, std::uint32_t weight, const std::function<Rank(Rank)>& above) {
  Tree tree{std::vector<Rank>(order.size(), kNoRank), weight};
  for (std::size_t i = 1; i < order.size(); ++i)
    tree.parent[static_cast<std::size_t>(order[i])] = order[static_cast<std::size_t>(above(static_cast<Rank>(i)))];
  return tree;
}

}  // namespace

std::vector<MadeUpRoutes> made_up_routes(Rank p) {
  const auto chain = [](Rank i) { return i - 1; };
  const auto star = [](Rank) { return 0; };
  const auto binary = [](Rank i) { return (i - 1) / 2; };
  const auto comb = [](Rank i) { return i % 2 == 1 ? std::max(0, i - 2) : i - 1; };
  const auto backwards = strided(p, p - 1, p > 1 ? p - 1 : 1);
  const MadeUpRoutes uneven{"two rings and trees of weights 2 and 1",
                            {{{strided(p, p / 2, 1), 2}, {strided(p, p - 1, 2), 1}},
                             {hang(strided(p, 0, 5), 2, comb), hang(strided(p, p - 1, 2), 1, binary)}}};
  std::vector<MadeUpRoutes> all{
      uneven,
      {"one ring, one chain", {{{strided(p, 0, 1), 1}}, {hang(strided(p, 0, 1), 1, chain)}}},
      {"a ring and its reverse, two binary trees",
       {{{strided(p, 0, 1), 1}, {backwards, 1}}, {hang(strided(p, 0, 1), 1, binary), hang(backwards, 1, binary)}}},
      {"three rings and trees of weights 1, 3 and 2",
       {{{strided(p, 0, 3), 1}, {strided(p, p / 2, 1), 3}, {strided(p, p - 1, 2), 2}},
        {hang(strided(p, p / 2, 3), 1, star), hang(strided(p, 0, 5), 3, comb), hang(strided(p, p - 1, 2), 2, chain)}}},
  };
  if (p <= 8) return all;
  // Many ranks take long to prove: the first, and the others in turns.
  return {all.front(), all[1 + static_cast<std::size_t>(p) % (all.size() - 1)]};
}

std::vector<Machine> made_up_machines(Rank p) {
  const auto by = [p](auto label) { return group_by(p, label); };
  const auto blocks = [&](int size) { return by([size](Rank r) { return r / size; }); };
  const Rank half = (p + 1) / 2;
  return {
      {"pairs", {blocks(2)}},
      {"groups of 4", {blocks(4)}},
      {"one group", {blocks(p)}},
      {"groups of 1, 2 and 3", {by(uneven)}},
      {"dealt out to 3 groups", {by([](Rank r) { return r % 3; })}},
      {"dealt out to 2 groups", {by([](Rank r) { return r % 2; })}},
      {"pairs in groups of 4", {blocks(2), blocks(4)}},
      {"groups of 1, 2 and 3 in groups of 6", {by(uneven), blocks(6)}},
      {"dealt out to 4, then 2 groups", {by([](Rank r) { return r % 4; }), by([](Rank r) { return r % 2; })}},
      {"pairs in groups of 4 in groups of 8", {blocks(2), blocks(4), blocks(8)}},
      {"threes in two halves in one",
       {by([half](Rank r) { return r < half ? r / 3 : 1000 + (r - half) / 3; }), by([half](Rank r) { return r / half; }),
        blocks(p)}},
  };
}

std::vector<std::vector<Rank>> made_up_tori(Rank p) {
  std::vector<std::vector<Rank>> tori{{p}};
  Rank nearest = 1;  // to a square
  for (Rank side = 2; side * side <= p; ++side)
    if (p % side == 0) nearest = side;
  if (nearest > 1) tori.push_back({nearest, p / nearest});
  if (p % 4 == 0 && p > 8) tori.push_back({p / 4, 4});
  if (p % 8 == 0) tori.push_back({2, p / 8, 4});
  if (p % 12 == 0) tori.push_back({p / 12, 2, 6});
  return tori;
}

}  // namespace tutti
