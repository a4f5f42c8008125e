// Point to point: no row of the table, since what each rank does is its own caller's affair.
#pragma once

#include "tutti/schedule.h"

namespace tutti {

// What rank `me` of `ranks` does in a send, a receive or both at once: its input goes to `destination`, its output comes from
// `source`; kNoRank for none. A rank that is its own destination must be its own source as well: its input is copied.
// Both sides of a message must make the call, and calls of a pair of ranks match in their order.
[[nodiscard]] Schedule send_recv_schedule(Rank me, Rank ranks, Rank destination, Rank source);

}  // namespace tutti
