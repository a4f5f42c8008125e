// What a job has measured, as `tutti explain --json` says it.
#include "simulate/measured.h"
#include "tests/fuzz/fuzz.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  JobMachine machine;
  machine.links = {{1, 2, Origin::estimate}, {3, 4, Origin::estimate}};
  const JobMachine before = machine;
  const Status taken = simulate::take_measured(machine, text_of(input));
  if (!parsed(taken)) {
    promise(machine.links[1].bandwidth_gbps == before.links[1].bandwidth_gbps && machine.copy_gbps == before.copy_gbps,
            "what is refused changes nothing");
    return;
  }
  promise(machine.links.size() == 2, "as many links as before");
  for (const LinkParameters& link : machine.links) promise(link.latency_us > 0 && link.bandwidth_gbps > 0, "all cost something");
}

}  // namespace tutti::fuzz
