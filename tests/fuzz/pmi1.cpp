// What a launcher's PMI-1 server answers.
#include "bootstrap/pmi1.h"

#include "tests/fuzz/sockets.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  const Pair pair = connected();
  say(pair.theirs, input);
  Launch launch;
  launch.rank = 0;
  launch.size = 2;
  launch.pmi.fd = pair.ours.get();
  auto store = Pmi1Store::open(launch, Clock::now() + from_seconds(5));
  if (!parsed(store)) return;
  promise((*store)->rank() >= 0 && (*store)->rank() < (*store)->size(), "a rank is one of the ranks");
  (void)parsed((*store)->put("address", "00"));
  (void)parsed((*store)->fence());
  (void)parsed((*store)->get(1, "address"));
  (void)parsed((*store)->finish());
}

}  // namespace tutti::fuzz
