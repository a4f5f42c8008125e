// What a peer says its shared memory's socket is called. Nobody listens there.
#include "tests/fuzz/fuzz.h"
#include "transports/registry.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  static const auto kShm = find_transport("shm")->make({.secret = {}, .interface = {}});
  promise(!parsed(kShm->reaches(1, input)), "nobody is reached where nobody listens");
}

}  // namespace tutti::fuzz
