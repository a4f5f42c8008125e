// The price of an algorithm: the closed-form cost of its row, times what messages and bytes cost on this machine.
#pragma once

#include "select/select.h"

namespace tutti {

// Fills in the predicted times of a candidate whose algorithm and chunking are set.
//
// Hockney's model per level (R. Hockney, "The communication challenge for MPP", 1994): rounds * latency + bytes / bandwidth,
// with three additions: bytes are the heavier of the longest chain and the busiest rank; ranks of one host that send over the
// network at once share its bandwidth; and where ranks share cores a round costs at least one turn of all ranks over the cores.
void price(Candidate& candidate, const SelectRequest& request, const JobMachine& machine);

}  // namespace tutti
