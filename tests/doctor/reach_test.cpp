// Doors that are knocked at, on this host.
#include "doctor/reach.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

#include "transports/tcp/socket.h"

namespace tutti::doctor {
namespace {

SocketAddress local(std::uint16_t port) { return SocketAddress::parse("127.0.0.1", port).value_or_throw(); }

std::string knock_once(std::uint16_t port, const std::string& token, double patience_s = 20) {
  return knock({{{}, local(port), token}}, from_seconds(patience_s)).front();
}

// Says one thing to the first who comes, and then nothing.
struct Stranger {
  explicit Stranger(std::string says)
      : listener(listen_on(local(0), {}).value_or_throw()),
        port(SocketAddress::of_socket(listener.get()).value_or_throw().port()) {
    thread = std::thread([this, text = std::move(says)] {
      while (!guest) guest = Fd(accept(listener.get(), nullptr, nullptr));
      EXPECT_EQ(send(guest.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    });
  }
  ~Stranger() { thread.join(); }
  Fd listener, guest;
  std::uint16_t port;
  std::thread thread;
};

TEST(DoctorReach, TheRightDoorAnswersOftenAndAtOnce) {
  auto door = Door::open().value_or_throw();
  EXPECT_EQ(door->token().size(), kTokenBytes);
  std::vector<Knock> many(20, Knock{{}, local(door->port()), door->token()});
  for (const std::string& outcome : knock(many, from_seconds(20))) EXPECT_EQ(outcome, "");
  EXPECT_EQ(knock({{local(0), local(door->port()), door->token()}}, from_seconds(20)).front(), "");
  EXPECT_TRUE(knock({}, from_seconds(20)).empty());
}

TEST(DoctorReach, NobodyAtHome) {
  std::uint16_t port = 0;
  {
    auto door = Door::open().value_or_throw();
    port = door->port();
  }
  EXPECT_NE(knock_once(port, std::string(kTokenBytes, 'a')).find("ECONNREFUSED"), std::string::npos);
}

TEST(DoctorReach, SomebodyElse) {
  auto door = Door::open().value_or_throw();
  EXPECT_EQ(knock_once(door->port(), std::string(kTokenBytes, 'z')), "somebody else answers at this address");
  Stranger polite("220 mail.example.com ESMTP, who are you and what do you want?\r\n");
  EXPECT_EQ(knock_once(polite.port, std::string(kTokenBytes, 'z')), "somebody else answers at this address");
}

TEST(DoctorReach, LargePacketsThatGetLost) {
  const std::string token(kTokenBytes, 't');
  Stranger half(token + std::string(100, '.'));
  EXPECT_NE(knock_once(half.port, token, 0.5).find("only 132 of 65536 bytes arrive"), std::string::npos);
  Stranger silent("");
  EXPECT_EQ(knock_once(silent.port, token, 0.5), "it connects, but nothing arrives");
}

}  // namespace
}  // namespace tutti::doctor
