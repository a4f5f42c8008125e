// What a peer that has proved itself sends: frames, and messages in them.
#include "bootstrap/channel.h"

#include "bootstrap/member.h"
#include "tests/fuzz/sockets.h"

namespace tutti::fuzz {

void try_input(ConstBytes input) {
  Pair pair = connected(SOCK_NONBLOCK);
  const Fd raw(dup(pair.theirs.get()));
  const Secret secret = secret_from_text("fuzz");
  Channel ours(std::move(pair.ours), Handshake::Role::accepts, secret, {}, 1u << 16);
  Channel theirs(std::move(pair.theirs), Handshake::Role::connects, secret, {}, 1u << 16);
  while (!ours.is_open() || !theirs.is_open())
    promise(parsed(theirs.progress()) && parsed(ours.progress()), "two that know the secret agree");
  say(raw, input);
  while (!ours.ended()) {
    if (!parsed(ours.progress())) return;
    while (const auto frame = ours.receive()) {
      Reader in(*frame);
      while (in.ok() && !in.finished()) (void)in.bytes();
    }
  }
}

}  // namespace tutti::fuzz
