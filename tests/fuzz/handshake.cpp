// A stranger at either end of a fresh connection: the first byte says which end is ours.
#include "core/handshake.h"

#include "tests/fuzz/sockets.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  if (input.empty()) return;
  const Pair pair = connected(SOCK_NONBLOCK);
  say(pair.theirs, input.subspan(1));
  const auto role = (input[0] & std::byte{1}) == std::byte{0} ? Handshake::Role::accepts : Handshake::Role::connects;
  Handshake ours(pair.ours.get(), role, secret_from_text("fuzz"), {});
  const auto done = ours.advance();
  promise(!parsed(done), "who does not know the secret and hangs up is refused");
}

}  // namespace tutti::fuzz
