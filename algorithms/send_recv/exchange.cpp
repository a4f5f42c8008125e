// Exchange: a send and a receive that do not wait for each other, so ranks may send to each other in any circle.
//
//   ranks                          0          1          2          3
//   swap in pairs                  0 <------> 1          2 <------> 3
//   shift, as one call each        0 -------> 1 -------> 2 -------> 3 ---> 0
//
// Source: MPI: A Message-Passing Interface Standard, MPI_Sendrecv.
#include "algorithms/send_recv/send_recv.h"

namespace tutti {

Schedule send_recv_schedule(Rank me, Rank ranks, Rank destination, Rank source) {
  Builder b(Collective::send_recv, "exchange", me, Shape{.ranks = ranks}, 1);
  if (destination == me && source == me) b.copy(b.input(0), b.output(0));
  if (destination != kNoRank && destination != me) b.send(b.input(0), destination);
  if (source != kNoRank && source != me) b.recv(source, b.output(0));
  return std::move(b).finish();
}

}  // namespace tutti
