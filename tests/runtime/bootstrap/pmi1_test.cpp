#include "bootstrap/pmi1.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <random>
#include <thread>

namespace tutti {
namespace {

using testing::HasSubstr;

// A proxy that answers each line by the next line of a script, and keeps what it was asked.
class FakeProxy {
 public:
  explicit FakeProxy(std::vector<std::string> answers) {
    std::array<int, 2> ends{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    client_.reset(ends[0]);
    server_.reset(ends[1]);
    thread_ = std::thread([this, script = std::move(answers)] { serve(script); });
  }
  ~FakeProxy() {
    client_.reset();
    thread_.join();
  }
  [[nodiscard]] Launch launch(Rank rank = 1, Rank size = 2) const {
    Launch launch;
    launch.kind = LauncherKind::hydra;
    launch.meeting = Meeting::pmi;
    launch.rank = rank;
    launch.size = size;
    launch.pmi.fd = client_.get();
    return launch;
  }
  // Only after the client is gone.
  const std::vector<std::string>& asked() {
    client_.reset();
    if (thread_.joinable()) thread_.join();
    thread_ = std::thread([] {});
    return asked_;
  }

 private:
  void serve(const std::vector<std::string>& answers) {
    std::string line;
    std::size_t next = 0;
    for (char c = 0; recv(server_.get(), &c, 1, 0) == 1;) {
      if (c != '\n') {
        line += c;
        continue;
      }
      asked_.push_back(std::exchange(line, ""));
      if (next == answers.size()) return server_.reset();
      const std::string answer = answers[next++];
      if (answer == "(silence)") continue;
      (void)send(server_.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
    }
  }

  Fd client_, server_;
  std::thread thread_;
  std::vector<std::string> asked_;
};

const std::vector<std::string> kGreeting{"cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n",
                                         "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=1024\n",
                                         "cmd=my_kvsname kvsname=kvs_1\n"};
std::vector<std::string> after_greeting(const std::vector<std::string>& more) {
  auto all = kGreeting;
  all.insert(all.end(), more.begin(), more.end());
  return all;
}
TimePoint soon() { return Clock::now() + std::chrono::milliseconds(200); }
TimePoint later() { return Clock::now() + std::chrono::seconds(30); }

TEST(Pmi1, SpeaksTheProtocol) {
  FakeProxy proxy(after_greeting({"cmd=put_result rc=0 msg=success\n", "cmd=barrier_out\n",
                                  "cmd=get_result rc=0 msg=success value=abc\n", "cmd=finalize_ack\n"}));
  {
    auto store = Pmi1Store::open(proxy.launch(), later()).value_or_throw();
    EXPECT_EQ(store->rank(), 1);
    EXPECT_EQ(store->size(), 2);
    store->put("address", "0a").value_or_throw();
    store->fence().value_or_throw();
    EXPECT_EQ(store->get(0, "job").value_or_throw(), "abc");
    store->finish().value_or_throw();
  }
  EXPECT_THAT(proxy.asked(), testing::ElementsAre("cmd=init pmi_version=1 pmi_subversion=1", "cmd=get_maxes",
                                                  "cmd=get_my_kvsname", "cmd=put kvsname=kvs_1 key=tutti-1-address value=0a",
                                                  "cmd=barrier_in", "cmd=get kvsname=kvs_1 key=tutti-0-job", "cmd=finalize"));
}

TEST(Pmi1, SaysWhatTheProxyRefused) {
  FakeProxy proxy(after_greeting({"cmd=get_result rc=-1 msg=key_not_found value=unknown\n"}));
  auto store = Pmi1Store::open(proxy.launch(), later()).value_or_throw();
  auto value = store->get(0, "job");
  ASSERT_FALSE(value);
  EXPECT_THAT(value.error().to_string(), HasSubstr("key_not_found"));
  EXPECT_THAT(value.error().to_string(), HasSubstr("rank 0's job"));
}

TEST(Pmi1, RefusesValuesThatDoNotFit) {
  FakeProxy proxy({kGreeting[0], "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=8\n", kGreeting[2]});
  auto store = Pmi1Store::open(proxy.launch(), later()).value_or_throw();
  auto put = store->put("address", "0123456789");
  ASSERT_FALSE(put);
  EXPECT_THAT(put.error().message(), HasSubstr("values up to 8 bytes"));
}

TEST(Pmi1, SilenceEndsAtTheDeadline) {
  FakeProxy proxy({"(silence)"});
  auto store = Pmi1Store::open(proxy.launch(), soon());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code(), Code::timeout);
}

TEST(Pmi1, ProxyThatHangsUp) {
  FakeProxy proxy({kGreeting[0]});
  auto store = Pmi1Store::open(proxy.launch(), later());
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().to_string(), HasSubstr("closed the connection"));
}

TEST(Pmi1, AClosedDescriptorIsExplained) {
  Launch launch;
  launch.size = 2;
  launch.pmi.fd = 999;
  auto store = Pmi1Store::open(launch, later());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code(), Code::environment);
  EXPECT_THAT(store.error().to_string(), HasSubstr("PMI_FD=999"));
}

TEST(Pmi1, NonsenseIsAnErrorAndNoCrash) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::string garbage(random() % 300, ' ');
    for (char& c : garbage) c = static_cast<char>(random());
    FakeProxy proxy({garbage + "\n"});
    auto store = Pmi1Store::open(proxy.launch(), later());
    ASSERT_FALSE(store);
    EXPECT_FALSE(store.error().message().empty());
  }
}

TEST(Pmi1, AnEndlessLineIsRefused) {
  FakeProxy proxy({std::string(20000, 'x')});
  auto store = Pmi1Store::open(proxy.launch(), later());
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().to_string(), HasSubstr("more than"));
}

}  // namespace
}  // namespace tutti
