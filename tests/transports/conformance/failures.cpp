// What goes wrong between ranks, and that it stays between those concerned.
#include <dirent.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "core/fd.h"
#include "tests/transports/conformance/world.h"

namespace tutti::conformance {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

void check_error(Member& me, const Error& error, Code code, Rank peer, std::initializer_list<std::string> parts = {}) {
  const std::string text = error.to_string();
  me.check(error.code() == code, fmt::format("expected {}, got {}: {}", name(code), name(error.code()), text));
  me.check(error.peer() == peer, fmt::format("the error blames rank {} instead of {}: {}", error.peer(), peer, text));
  for (const std::string& part : parts) me.check(text.find(part) != std::string::npos, fmt::format("no '{}' in: {}", part, text));
}

void exchange_once(Member& me, Link& link, std::uint32_t k, std::size_t size) {
  me.step(fmt::format("exchanging {} bytes with rank {}", size, link.peer()));
  const auto mine = pattern(size, k);
  Buffer theirs(size);
  link.send(signature(k), mine);
  link.recv(signature(k), theirs);
  me.until_idle({&link});
  me.check(theirs == mine, "wrong bytes");
}

// The error of the receive, wherever it shows.
Error error_of_recv(Member& me, Link& link, const Signature& expected, const Sink& sink) {
  if (auto error = link.try_recv(expected, sink)) return std::move(*error);
  return me.until_error(link);
}

TEST_P(TransportConformance, AnotherSignatureIsAMismatch) {
  for (const std::size_t size : {std::size_t{8}, std::size_t{5000}, 5 * kMiB}) {
    run(GetParam(), 2, [size](Member& me) {
      Link link = me.connect(1 - me.rank());
      exchange_once(me, link, 0, 100);
      const auto mine = pattern(size, 1);
      Buffer theirs(size);
      me.step("disagreeing");
      if (me.rank() == 0) {
        link.send(signature(1, 10), mine);
        while (!me.arrived(1)) (void)link.poll();
        return;
      }
      Signature expected = signature(1, 20);
      expected.collective = static_cast<std::uint8_t>(Collective::broadcast);
      const Error error = error_of_recv(me, link, expected, {.data = theirs.data(), .size = size});
      check_error(me, error, Code::mismatch, 0, {"all_reduce #1", "count 10", "broadcast #1", "count 20"});
      me.check(link.try_recv(expected, {.data = theirs.data(), .size = size}).has_value(), "the error was not final");
      me.arrive(1);
    });
  }
}

TEST_P(TransportConformance, AnotherSizeIsAMismatch) {
  for (const auto& [sent, expected] :
       {std::pair<std::size_t, std::size_t>{8, 16}, {0, 8}, {8, 0}, {3000, 2999}, {5 * kMiB, 6 * kMiB}}) {
    run(GetParam(), 2, [sent = sent, expected = expected](Member& me) {
      Link link = me.connect(1 - me.rank());
      const auto mine = pattern(sent, 1);
      Buffer theirs(expected);
      me.step("disagreeing about the size");
      if (me.rank() == 0) {
        link.send(signature(1), mine);
        // The connection may still be coming up, in which case only polling brings the message over.
        while (!me.arrived(1)) (void)link.poll();
      } else {
        const Error error = error_of_recv(me, link, signature(1), {.data = theirs.data(), .size = expected});
        check_error(me, error, Code::mismatch, 0, {fmt::format("{} bytes", sent), fmt::format("{} bytes", expected)});
        me.arrive(1);
      }
    });
  }
}

// Rank 1 dies; ranks 0 and 2 wait for it and learn who it was.
void survive(const Case& config, std::size_t bytes_to_dead, std::size_t bytes_from_dead) {
  run(config, 3, [=](Member& me) {
    std::deque<Link> links;
    for (Rank peer = 0; peer < 3; ++peer)
      if (peer != me.rank()) links.push_back(me.connect(peer));
    for (Link& link : links) exchange_once(me, link, 0, 1000);
    me.barrier();
    if (me.rank() == 1) return me.die({&links[0], &links[1]});
    Link& dead = links[me.rank() == 0 ? 0 : 1];
    Link& survivor = links[me.rank() == 0 ? 1 : 0];
    me.step("waiting for rank 1, who is dead");
    const auto data = pattern(bytes_to_dead, 1);
    Buffer into(bytes_from_dead);
    auto error = bytes_to_dead > 0 ? dead.try_send(signature(1), data) : std::nullopt;
    if (!error) error = error_of_recv(me, dead, signature(1), {.data = into.data(), .size = bytes_from_dead});
    check_error(me, *error, Code::peer_lost, 1, {"rank 1"});
    me.check(dead.try_send(signature(2), data).has_value(), "sending to a dead rank must go on failing");
    exchange_once(me, survivor, 1, 200000);
  });
}

TEST_P(TransportConformance, ADeadPeerIsNamedToAReceiver) { survive(GetParam(), 0, 8); }
TEST_P(TransportConformance, ADeadPeerIsNamedToASender) { survive(GetParam(), 32 * kMiB, 8); }

// More small messages than fit on the way.
TEST_P(TransportConformance, ADeadPeerIsNamedToASenderOfMany) {
  run(GetParam(), 2, [](Member& me) {
    Link link = me.connect(1 - me.rank());
    exchange_once(me, link, 0, 1000);
    me.barrier();
    if (me.rank() == 1) return me.die({&link});
    me.step("sending small messages to a rank that is dead");
    const auto data = pattern(1000, 1);
    std::optional<Error> error;
    for (std::uint32_t k = 1; k <= 5000 && !error; ++k) error = link.try_send(signature(k), data);
    Buffer into(8);
    if (!error) error = error_of_recv(me, link, signature(1), {.data = into.data(), .size = into.size()});
    check_error(me, *error, Code::peer_lost, 1, {"rank 1"});
  });
}

// Dies while it is being sent to and is sending.
TEST_P(TransportConformance, ADeathInTheMiddleOfAMessage) {
  run(GetParam(), 2, [](Member& me) {
    Link link = me.connect(1 - me.rank());
    exchange_once(me, link, 0, 8);
    const auto mine = pattern(64 * kMiB, 1);
    Buffer theirs(64 * kMiB);
    auto error = link.try_send(signature(1), mine);
    me.check(!error, "the first send failed");
    if (me.rank() == 1) {
      for (int i = 0; i < 20; ++i) me.check(static_cast<bool>(link.poll()), "poll failed");
      return me.die({&link});
    }
    me.step("exchanging with a rank that dies");
    error = link.try_recv(signature(1), {.data = theirs.data(), .size = theirs.size()});
    // The message may have been under way as a whole; nothing comes after it.
    Buffer more(8);
    if (!error) error = error_of_recv(me, link, signature(2), {.data = more.data(), .size = more.size()});
    check_error(me, *error, Code::peer_lost, 1, {"rank 1"});
  });
}

TEST_P(TransportConformance, WhatWasSentBeforeAnOrderlyEndArrives) {
  run(GetParam(), 2, [](Member& me) {
    Link link = me.connect(1 - me.rank());
    exchange_once(me, link, 0, 8);
    const std::size_t sizes[] = {8, 100, 5000, 0};
    std::deque<Buffer> messages;
    for (std::uint32_t k = 0; k < 4; ++k) messages.push_back(me.rank() == 0 ? pattern(sizes[k], k) : Buffer(sizes[k]));
    if (me.rank() == 0) {
      me.step("sending and leaving");
      for (std::uint32_t k = 0; k < 4; ++k) link.send(signature(k), messages[k]);
      me.until_idle({&link});
      link.endpoint().close();
      return;
    }
    me.step("receiving from a rank that leaves");
    for (std::uint32_t k = 0; k < 4; ++k) link.recv(signature(k), messages[k]);
    me.until_idle({&link});
    for (std::uint32_t k = 0; k < 4; ++k) me.check(messages[k] == pattern(sizes[k], k), "wrong bytes");
    Buffer more(8);
    const Error error = error_of_recv(me, link, signature(4), {.data = more.data(), .size = 8});
    check_error(me, error, Code::peer_lost, 0, {"rank 0"});
  });
}

TEST_P(TransportConformance, AWrongSecretIsRefusedAndDisturbsNobody) {
  const auto secret_of = [](Rank rank) { return Secret{{std::byte{rank == 2 ? std::uint8_t{66} : std::uint8_t{1}}}}; };
  run(
      GetParam(), 3,
      [](Member& me) {
        if (me.rank() == 2) {
          me.step("connecting with a wrong secret");
          Link link = me.connect(0);
          Buffer got(8);
          const Error error = error_of_recv(me, link, signature(0), {.data = got.data(), .size = 8});
          check_error(me, error, Code::unauthenticated, 0);
          me.arrive(1);
          return;
        }
        Link link = me.connect(1 - me.rank(), 7);
        for (std::uint32_t k = 0; k < 20; ++k) exchange_once(me, link, k, k * 1000);
        if (me.rank() == 1) return;
        me.step("waiting for a rank that cannot prove itself");
        Link stranger = me.connect(2);
        Buffer got(8);
        stranger.recv(signature(0), got);
        while (!me.arrived(1)) me.check(static_cast<bool>(stranger.poll()), "a stranger ended a connection");
        me.check(stranger.recvs() == 1, "received something from a stranger");
      },
      secret_of);
}

TEST_P(TransportConformance, GarbageOnTheListeningSocketDisturbsNobody) {
  if (!GetParam().factory.dial) GTEST_SKIP() << "no listening socket";
  run(GetParam(), 2, [&](Member& me) {
    std::vector<Fd> strangers;
    const auto garbage = pattern(3000, 99);
    const auto send_some = [&](const Fd& fd, std::size_t size) {
      // The other side may have hung up by now, and may do so.
      (void)!::send(fd.get(), garbage.data(), size, MSG_NOSIGNAL | MSG_DONTWAIT);
    };
    for (std::size_t i = 0; i < 20; ++i) {
      Fd fd(GetParam().factory.dial(me.address_of(1 - me.rank())));
      me.check(static_cast<bool>(fd), "could not reach the listening socket");
      if (i % 4 != 0) send_some(fd, i * 37 + 1);
      if (i % 3 != 0) strangers.push_back(std::move(fd));
    }
    me.barrier();
    Link link = me.connect(1 - me.rank());
    for (std::uint32_t k = 0; k < 10; ++k) {
      exchange_once(me, link, k, k * 5000);
      for (const Fd& fd : strangers) send_some(fd, 50);
    }
    me.barrier();
  });
}

TEST_P(TransportConformance, WhoDoesNotListenIsNotReached) {
  run(GetParam(), 1, [](Member& me) {
    me.step("reaching for nobody");
    std::vector<std::byte> address(me.address_of(0).begin(), me.address_of(0).end());
    me.leave_transport();
    me.come_back();
    const Status gone = me.transport().reaches(1, address);
    me.check(!gone, "reached a rank that has left");
    me.check(gone.error().peer() == 1, "the error does not name the rank");
    for (const std::size_t size : {std::size_t{0}, std::size_t{3}, std::size_t{40}, std::size_t{512}}) {
      const Buffer garbage = pattern(size, 5);
      const Status reached = me.transport().reaches(1, garbage);
      me.check(!reached, fmt::format("reached an address of {} bytes of garbage", size));
      auto connected =
          me.transport().connect({.me = 2, .peer = 1, .stream = 0, .peer_address = {garbage.begin(), garbage.end()}});
      if (connected) {
        Link link(std::move(*connected), 1);
        me.until_error(link);
      }
    }
  });
}

std::vector<std::string> names_in(const char* path) {
  std::vector<std::string> names;
  if (DIR* dir = opendir(path)) {
    while (const dirent* entry = readdir(dir)) names.emplace_back(entry->d_name);
    closedir(dir);
  }
  std::ranges::sort(names);
  return names;
}

TEST_P(TransportConformance, NothingIsLeftBehind) {
  const auto ours_in_shared_memory = [] {  // others may come and go
    auto names = names_in("/dev/shm");
    std::erase_if(names, [](const std::string& name) { return name.find("tutti") == std::string::npos; });
    return names;
  };
  const auto shared_memory = ours_in_shared_memory();
  const std::size_t before = names_in("/proc/self/fd").size();
  run(GetParam(), 3, [&](Member& me) {
    {
      std::deque<Link> links;
      for (Rank peer = 0; peer < 3; ++peer)
        for (std::uint64_t stream = 0; stream < 3; ++stream)
          if (peer != me.rank()) links.push_back(me.connect(peer, stream));
      for (Link& link : links) exchange_once(me, link, 0, 100000);
      me.barrier();
    }
    me.barrier();
    me.leave_transport();
    me.barrier();
    // Threads look at their common table one by one: a look opens a descriptor, too.
    if (me.rank() != 0) return me.barrier();
    const std::size_t now = names_in("/proc/self/fd").size();
    me.barrier();
    me.check(now <= before, fmt::format("{} descriptors before, {} after", before, now));
  });
  EXPECT_EQ(names_in("/proc/self/fd").size(), before);
  EXPECT_EQ(ours_in_shared_memory(), shared_memory);
}

}  // namespace
}  // namespace tutti::conformance
