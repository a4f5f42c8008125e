#include "catalog/machines.h"

#include <functional>

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

}  // namespace

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
