// Doors that are knocked at, on this host.
#include "doctor/reach.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
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

// As many files as a process may have open, and the limit as it was.
class FileLimit {
 public:
  explicit FileLimit(rlim_t most) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit lower{std::min(most, before_.rlim_max), before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &lower);
  }
  ~FileLimit() { setrlimit(RLIMIT_NOFILE, &before_); }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;

 private:
  rlimit before_{};
};

TEST(DoctorReach, ManyTriesAndGuestsTakeFewFiles) {
  const FileLimit limit(250);
  auto door = Door::open().value_or_throw();
  std::vector<Knock> many(700, Knock{{}, local(door->port()), door->token()});
  many[300].token = std::string(kTokenBytes, 'z');
  const auto outcomes = knock(many, from_seconds(60));
  for (std::size_t i = 0; i < many.size(); ++i)
    EXPECT_EQ(outcomes[i], i == 300 ? "somebody else answers at this address" : "") << i;
}

TEST(DoctorReach, ADoorWithoutFilesToSpareLetsOldGuestsGo) {
  auto door = Door::open().value_or_throw();
  const std::vector<Knock> some(20, Knock{{}, local(door->port()), door->token()});
  for (const std::string& outcome : knock(some, from_seconds(60))) ASSERT_EQ(outcome, "");
  const Fd guest(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  std::vector<Fd> more;  // the lowest numbers that are free, until there are none below the last
  for (int i = 0; i < 100; ++i) more.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const FileLimit limit(static_cast<rlim_t>(more.back().get()) + 1);
  sockaddr_in there{};
  there.sin_family = AF_INET;
  there.sin_port = htons(door->port());
  there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(connect(guest.get(), reinterpret_cast<const sockaddr*>(&there), sizeof there), 0);
  pollfd waiting{guest.get(), POLLIN, 0};
  EXPECT_EQ(poll(&waiting, 1, 60000), 1);
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
