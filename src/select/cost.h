// The price of an algorithm: the closed-form cost of its row, times what messages and bytes cost on this machine.
#pragma once

#include <map>
#include <tuple>

#include "select/select.h"

namespace tutti {

// The gap between two messages of one rank over the network, as a share of its latency: system calls and copies that the two
// ends of a TCP connection pay, about 2 of 10 us; a card that does it alone needs 0.3 of 1.5 us.
inline constexpr double kNetworkGap = 0.2;

// What rows cost, by row and chunking, for one root on one machine: sizes do not matter to it, and on networks with a price of
// their own it takes a while to count. Another root starts it anew; another machine needs another one.
class Costs {
 public:
  struct Entry {
    Cost cost;
    std::vector<std::uint64_t> carried = {};  // LevelCost::carried of a flat row, for each of JobMachine::pods
  };
  const Entry& of(const Algorithm& row, const Chunking& chunking, Rank root, const JobMachine& machine);

 private:
  Rank root_ = 0;
  std::map<std::tuple<const Algorithm*, std::uint32_t, std::uint32_t>, Entry> entries_;
};

// Fills in the predicted times of a candidate whose algorithm and chunking are set.
//
// Hockney's model per level (R. Hockney, "The communication challenge for MPP", 1994): rounds * latency + bytes / bandwidth,
// with these additions:
// - Bytes are the heavier of the longest chain and the busiest rank (a gather's root takes in all blocks, whoever sends them).
// - Who sends or takes several messages in one round pays for each: the executor's step, and over the network LogP's gap
//   (Culler et al., "LogP: Towards a Realistic Model of Parallel Computation", 1993).
// - Pieces that follow each other are between hosts while cores work on others: the less of the two costs but the first piece.
// - Ranks of one host that send over the network at once share its bandwidth.
// - A reduction of what arrives costs what it takes longer than a copy, which it replaces.
// - On a torus, each rank has a link to each of its neighbours, and a message occupies every link that it crosses. Its time is
//   that of the chain over one link, that of the busiest rank over all of its own, or that of all links that all ranks have at
//   work, whichever is longest (D. De Sensi et al., "Swing", NSDI 2024, who call the ratio of the latter two the congestion
//   deficiency). Rows that do not say how far their messages go are taken to send them anywhere, at random.
// - In pods below tapered switches, it is that of what leaves the busiest pod over the uplinks that all its ranks share, if that
//   is longer (the "global links" of D. De Sensi et al., "Bine Trees", SC 2025).
// - Where ranks share cores, a round costs at least one turn of all ranks over the cores, and cores' work is slower.
void price(Candidate& candidate, const SelectRequest& request, const JobMachine& machine, Costs& costs);

}  // namespace tutti
